"""The sheet that shows proposed groups: one page with thumbnails, to look at before naming them."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.hierarchy import NOVEL_NAME
from hierclf.reports.inline_page import inline_page

MOST = 24
"""Thumbnails of a group."""


class Group(NamedTuple):
    """Images that look alike.

    Attributes:
        superclass: name of the known super-class that they were given; "novel" for a new one.
        name: the proposed name; empty for images that are alone.
        images: their names.
    """

    superclass: str
    name: str
    images: Sequence[str]


def sheet(
    groups: Sequence[Group], thumbnail_of: Callable[[str], str], *, notes: Sequence[str], table: str
) -> str:
    """The page.

    Args:
        groups: in the order of the page.
        thumbnail_of: from an image's name to an address that holds a small picture.
        notes: sentences above the groups.
        table: name of the file in which the user names the groups.
    """
    sections: dict[str, list[dict[str, object]]] = {}
    for group in groups:
        title = group.name or "Alone"
        count = counted(len(group.images), "image")
        more = f", {MOST} of them shown" if len(group.images) > MOST else ""
        pictures = [{"name": name, "uri": thumbnail_of(name)} for name in group.images[:MOST]]
        known = group.superclass != NOVEL_NAME
        section = group.superclass if known else "New super-classes"
        sections.setdefault(section, []).append(
            {"title": f"{title}: {count}{more}", "images": pictures}
        )
    named = [group.name for group in groups if group.name]
    content = {
        "notes": list(notes),
        "table": table,
        "example": named[0] if named else "",
        "sections": [{"title": title, "groups": own} for title, own in sections.items()],
    }
    return inline_page(_source("sheet.html.j2"), content, style=_source("sheet.css"))


def _source(name: str) -> str:
    return (files("hierclf.discovery") / "page" / name).read_text(encoding="utf-8")
