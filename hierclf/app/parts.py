"""Answers, reasons and figures as HTML.

Names come from strangers: the templates escape all text.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from hierclf.app.images import Answer, Seen
from hierclf.app.moves import Moves
from hierclf.commands.explanation_text import explanation_text
from hierclf.data.images import decode
from hierclf.data.thumbnails import data_uri, thumbnail
from hierclf.errors import visible
from hierclf.explanations.columns import BY_SUPER
from hierclf.explanations.form import Explanation, Neighbour
from hierclf.metrics.text import percent
from hierclf.model import Model
from hierclf.reports.promise_table import PROMISE_ROWS

_TITLES = ("super-class", "sub-class")
Pictures = Mapping[str, Callable[[], bytes]]
"""Functions that read training images, by name."""


def style() -> str:
    """Of all parts, CSS; colours are those of the page around them."""
    return _source("style.css")


def heading(model: Model, name: str) -> str:
    """What the model is."""
    return _template("heading").render(
        name=name, network=model.bundle.backbone, hierarchy=model.hierarchy
    )


def answers(seen: Seen, judged: Sequence[tuple[Answer, Answer]]) -> str:
    """A card per image, then a line per image that could not be read."""
    cards = [
        {"name": name, "picture": picture, "levels": zip(_TITLES, levels, strict=True)}
        for name, picture, levels in zip(seen.names, seen.pictures, judged, strict=True)
    ]
    return _template("answers").render(cards=cards, unreadable=seen.unreadable, by_super=BY_SUPER)


def reasons(explanation: Explanation, training: Pictures | None) -> str:
    """Why an image got its answer, with the nearest training images.

    Args:
        explanation: of a readable image.
        training: pictures of training images; None if nobody said where they are.
    """
    near = explanation["neighbours"] or []
    return _template("reasons").render(
        text=explanation_text({**explanation, "neighbours": []}),
        near=[{**neighbour, "picture": _picture(neighbour, training)} for neighbour in near],
        nowhere=training is None,
    )


def figures(moves: Moves, moved: Model) -> str:
    """What to expect of the moved thresholds beside the deployed ones, and how to deploy them."""
    now, before = moves.promise(moved), moves.promise(moves.model)
    rows = []
    for key, title in PROMISE_ROWS.items() if now and before else ():
        assert now is not None
        assert before is not None
        rows.append({"title": title, "now": now[key], "before": before[key]})
    return _template("figures").render(
        rows=rows,
        missing=moves.missing,
        command=moves.command(moved),
        is_deployed=moved.thresholds == moves.deployed,
    )


def _picture(near: Neighbour, training: Pictures | None) -> str | None:
    """A training image as an address that holds it; None where it is not there or is damaged."""
    name = near["image"]
    read = (training or {}).get(name) or (training or {}).get(posixpath.basename(name))
    try:
        return None if read is None else data_uri(thumbnail(decode(read())))
    except (ValueError, OSError):
        return None


@cache
def _template(name: str) -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update({"percent": percent, "visible": visible})
    return environment.from_string(_source(f"{name}.html.j2"))


def _source(name: str) -> str:
    return (files("hierclf.app") / "page" / name).read_text(encoding="utf-8")
