"""Explain image files, one after another: as text, as a page, or as JSON for programs."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import torch

from hierclf.bundle.directory import Bundle
from hierclf.commands.explanation_page import Pictures, page_parts
from hierclf.commands.explanation_text import explanation_text
from hierclf.data.image_files import list_images
from hierclf.data.image_list import ImageFiles, Reader
from hierclf.errors import visible
from hierclf.explanations.background import Background
from hierclf.explanations.form import Explanation
from hierclf.explanations.images import explain_images
from hierclf.io.atomic import draft_of


def explain_files(
    bundle: Bundle,
    background: Background,
    places: Sequence[ImageFiles],
    *,
    json_file: str | None = None,
    html_file: Path | None = None,
    training: Pictures | None = None,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> None:
    """Explain all images of some places, in constant memory.

    Text is printed; unreadable images and what the model lacks are listed on stderr.

    Args:
        bundle: a model with thresholds.
        background: what to compare with.
        places: the images.
        json_file: write JSON to this file instead of text, or to stdout if it is "-".
        html_file: write a page to this file instead of text.
        training: pictures of training images for the page.
        batch_size: images per batch.
        device: by default a GPU where there is one.

    Raises:
        ValueError: no readable image (gives the first reason), or as `explain_images`.
    """
    readers: deque[Reader] = deque(maxlen=None if html_file else 0)
    images = _all_images(places, readers)
    found = explain_images(
        bundle, images, background=background, batch_size=batch_size, device=device
    )
    for what in background.missing:
        print(visible(f"missing: {what}"), file=sys.stderr)
    listed = _listed(found)
    if json_file == "-":
        _write_json(listed, background, sys.stdout)
    elif json_file is not None:
        with _replaced(Path(json_file)) as file:
            _write_json(listed, background, file)
    elif html_file is not None:
        with_readers = ((explanation, readers.popleft()) for explanation in listed)
        readable = (pair for pair in with_readers if pair[0]["error"] is None)
        with _replaced(html_file) as file:
            file.writelines(page_parts(readable, training or {}))
    else:
        for explanation in listed:
            if explanation["error"] is None:
                print(explanation_text(explanation), end="\n\n")


def list_places(
    places: Iterable[str], *, zip_encoding: str | None = None, keep_truncated: bool = False
) -> list[ImageFiles]:
    """List the images of each place, as `list_images` does; a single file is called as it is named.

    Args:
        places: files, folders, zips, patterns or Parquet files.
        zip_encoding, keep_truncated: as for `list_images`.

    Raises:
        ValueError: as `list_images`.
    """
    found = []
    for place in places:
        images = list_images(place, zip_encoding=zip_encoding, keep_truncated=keep_truncated)
        is_image = Path(place).is_file() and len(images) == 1
        found.append(replace(images, names=[place]) if is_image else images)
    return found


def _all_images(
    places: Iterable[ImageFiles], readers: deque[Reader]
) -> Iterator[tuple[str, Reader]]:
    """All images; their readers are kept for whoever shows the pictures."""
    for place in places:
        for name, read in place:
            readers.append(read)
            yield name, read


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name when it is whole."""
    with draft_of(path) as draft, draft.open("w", encoding="utf-8") as file:
        yield file
    print(f"wrote {path}")


def _listed(explanations: Iterable[Explanation]) -> Iterator[Explanation]:
    """List unreadable images on stderr and pass all on; ValueError if there are no others."""
    count, failed = 0, 0
    for explanation in explanations:
        count += 1
        if explanation["error"] is not None:
            failed += 1
            line = f"unreadable: {explanation['image']}: {explanation['error']}"
            print(visible(line), file=sys.stderr)
        yield explanation
    if failed == count:
        raise ValueError(f"at least one image must be readable, but none of {count} is")


def _write_json(explanations: Iterable[Explanation], background: Background, file: TextIO) -> None:
    """One object with `missing` and `images`; an image per line, written as soon as it is there."""
    file.write('{"missing": ' + json.dumps(list(background.missing)) + ', "images": [')
    for number, explanation in enumerate(explanations):
        file.write((",\n" if number else "\n") + json.dumps(explanation, ensure_ascii=False))
    file.write("\n]}\n")
