"""Explanations as one page that a browser opens without a network, with pictures."""

import html
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping

from hierclf.commands.explanation_text import explanation_text
from hierclf.data.images import decode
from hierclf.data.thumbnails import data_uri, thumbnail
from hierclf.errors import visible
from hierclf.explanations.form import Explanation

Pictures = Mapping[str, Callable[[], bytes]]
"""Functions that return encoded images, by name."""
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Why?</title>
<style>
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; }
section { border-top: 1px solid #999; padding: 1em 0; }
pre { font-size: 13px; overflow-x: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; }
figure { margin: 0; width: 128px; font-size: 12px; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>Why?</h1>
"""
_FOOT = "</body>\n</html>\n"


def page_parts(
    explained: Iterable[tuple[Explanation, Callable[[], bytes]]], training: Pictures
) -> Iterator[str]:
    """The page, piece by piece.

    Args:
        explained: readable images' explanations, each with a function that reads the image.
        training: the training images; a picture that is not there is left out.
    """
    yield _HEAD
    for explanation, read in explained:
        figures = [_figure(read, explanation["image"])]
        for near in explanation["neighbours"] or ():
            name = near["image"]
            found = training.get(name) or training.get(posixpath.basename(name))
            if found is not None:
                classes = f"{near['superclass']} / {near['subclass']}"
                figures.append(_figure(found, f"{near['distance']:.3f} {name}: {classes}"))
        text = html.escape(explanation_text(explanation))
        yield f'<section>\n<div class="pictures">{"".join(figures)}</div>\n<pre>{text}</pre>\n'
        yield "</section>\n"
    yield _FOOT


def _figure(read: Callable[[], bytes], caption: str) -> str:
    """A thumbnail with a caption; the caption alone for what is no readable image."""
    try:
        picture = f'<img alt="" src="{data_uri(thumbnail(decode(read())))}">'
    except (ValueError, OSError):
        picture = ""
    return f"<figure>{picture}<figcaption>{html.escape(visible(caption))}</figcaption></figure>"
