"""Findings as text, as JSON, and as one page with pictures."""

import textwrap
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from hierclf.counts import counted
from hierclf.data.images import read_rgb
from hierclf.data.source import Source
from hierclf.data.thumbnails import data_uri, thumbnail
from hierclf.errors import visible
from hierclf.inspection.findings import Finding, Group, Shown
from hierclf.progress import Progress
from hierclf.reports.inline_page import inline_page

MOST = 60
"""Pictures of a finding on the page."""
_NAMED = 3  # groups or images of a finding in the text
_WIDTH = 80


def findings_text(source: Source, findings: Sequence[Finding]) -> str:
    """Counts, and the first names of each finding; lines of at most 80 columns."""
    found = [finding for finding in findings if finding.groups]
    lines = ["images to look at:" if found else "no image to look at"]
    for finding in found:
        lines.append(f"  {finding.title}: {counted(finding.n_images, 'image')}")
        lines += [f"    {line}" for line in _first_lines(source, finding)]
    clean = ", ".join(finding.title.lower() for finding in findings if not finding.groups)
    if clean:
        lines += textwrap.wrap(
            f"nothing found: {clean}", _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    return "\n".join(_cut(line) for line in lines)


def _first_lines(source: Source, finding: Finding) -> list[str]:
    lines: list[str] = []
    for group in finding.groups:
        if _is_list(group):
            lines += [_image_line(source, image) for image in group.images[: _NAMED + 1]]
        else:
            names = ", ".join(source.images[image.row] for image in group.images[:2])
            lines.append(f"{group.title}: {names}")
    if len(lines) > _NAMED:
        rest = (finding.n_images if _is_list(finding.groups[0]) else len(lines)) - _NAMED
        lines[_NAMED:] = [f"and {rest:,} more"]
    return lines


def _is_list(group: Group) -> bool:
    """Whether the images have nothing in common but the finding."""
    return not group.title


def _image_line(source: Source, image: Shown) -> str:
    name = source.images[image.row]
    return f"{name}: {image.note}" if image.note else name


def _cut(line: str) -> str:
    line = visible(line)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."


def findings_json(source: Source, findings: Sequence[Finding]) -> dict[str, Any]:
    """All findings as plain data: of every image its name, classes, note and figure."""
    return {
        "source": source.name,
        "images": len(source.images),
        "findings": [
            {
                "kind": finding.kind,
                "criterion": finding.text,
                "groups": [
                    {
                        "title": group.title,
                        "images": [
                            {
                                "image": source.images[image.row],
                                "superclass": _super_name(source, image.row),
                                "subclass": _sub_name(source, image.row),
                                "note": image.note,
                                "value": image.value,
                            }
                            for image in group.images
                        ],
                    }
                    for group in finding.groups
                ],
            }
            for finding in findings
        ],
    }


def findings_page(
    source: Source, findings: Sequence[Finding], *, progress: Progress | None = None
) -> str:
    """The page; of a finding with more than `MOST` pictures the first ones.

    Args:
        source: where the pictures are read again.
        findings: in the order of the page.
        progress: called as (done, total) while pictures are read.
    """
    chosen = [(finding, _first_groups(finding)) for finding in findings if finding.groups]
    total = sum(len(group.images) for _, groups in chosen for group in groups)
    done = 0
    sections = []
    for finding, groups in chosen:
        shown: list[dict[str, object]] = []
        for group in groups:
            figures = []
            for image in group.images:
                figures.append(_figure(source, image))
                done += 1
                if progress is not None:
                    progress(done, total)
            shown.append({"title": group.title, "images": figures})
        n_shown = sum(len(group.images) for group in groups)
        more = "" if n_shown == finding.n_images else f", {n_shown} of them shown"
        section = {
            "kind": finding.kind,
            "title": f"{finding.title}: {counted(finding.n_images, 'image')}{more}",
            "text": finding.text,
            "groups": shown,
        }
        sections.append(section)
    content = {
        "name": visible(source.name),
        "count": counted(len(source.images), "image"),
        "sections": sections,
        "clean": [finding.title for finding in findings if not finding.groups],
    }
    return inline_page(_source("sheet.html.j2"), content, style=_source("sheet.css"))


def _first_groups(finding: Finding) -> list[Group]:
    """The first groups of a finding, with `MOST` images together."""
    left, groups = MOST, []
    for group in finding.groups:
        if left <= 0:
            break
        groups.append(group._replace(images=group.images[:left]))
        left -= len(groups[-1].images)
    return groups


def _figure(source: Source, image: Shown) -> dict[str, str]:
    try:
        uri = data_uri(thumbnail(read_rgb(source.read, image.row)))
    except ValueError:  # it has its place among the unreadable ones
        uri = ""
    return {
        "uri": uri,
        "name": visible(source.images[image.row]),
        "classes": visible(f"{_super_name(source, image.row)} / {_sub_name(source, image.row)}"),
        "note": visible(image.note),
    }


def _super_name(source: Source, row: int) -> str:
    return source.hierarchy.super_names[int(source.super_labels[row])]


def _sub_name(source: Source, row: int) -> str:
    return source.hierarchy.sub_names[int(source.sub_labels[row])]


def _source(name: str) -> str:
    return (files("hierclf.inspection") / "page" / name).read_text(encoding="utf-8")
