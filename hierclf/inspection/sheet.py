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
"""Pictures of a finding on the page; of one about sub-classes, groups."""
_EACH = 8  # pictures of each of those groups
_NAMED = 3  # groups or images of a finding in the text
_WIDTH = 80


def findings_text(source: Source, findings: Sequence[Finding], notes: Sequence[str]) -> str:
    """Counts, and the first names of each finding; lines of at most 80 columns.

    Args:
        source: whose images they are.
        findings: in the order of the text.
        notes: sentences about how they were found.
    """
    found = [finding for finding in findings if finding.groups]
    lines = ["to look at:" if found else "nothing to look at"]
    for note in notes:
        lines += textwrap.wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    for finding in found:
        lines.append(f"  {finding.title}: {finding.amount}")
        lines += [f"    {line}" for line in _first_lines(source, finding)]
    clean = ", ".join(finding.title.lower() for finding in findings if not finding.groups)
    if clean:
        lines += textwrap.wrap(
            f"none: {clean}", _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    return "\n".join(_cut(line) for line in lines)


def _first_lines(source: Source, finding: Finding) -> list[str]:
    """The first groups, or the first images of a finding whose images are a mere list."""
    first = finding.groups[0]
    if not first.title:
        total = len(first.images)
        shown = first.images[: total if total <= _NAMED + 1 else _NAMED]
        lines = [line for image in shown for line in _image_lines(source, image)]
        return lines if len(shown) == total else [*lines, f"and {total - _NAMED:,} more"]
    if finding.n_classes is None:
        lines = [
            f"{group.title}: {', '.join(source.images[image.row] for image in group.images[:2])}"
            for group in finding.groups
        ]
    else:
        of_each = len(finding.groups) // finding.n_classes
        lines = [group.title for group in finding.groups[::of_each]]
    total = len(lines)
    return lines if total <= _NAMED + 1 else [*lines[:_NAMED], f"and {total - _NAMED:,} more"]


def _image_lines(source: Source, image: Shown) -> list[str]:
    name, note = source.images[image.row], image.note
    if image.suggested is not None:
        return [f"{name}: {_sub_name(source, image.row)}", f"  {note}"]
    room = _WIDTH - len(note) - 6  # the end of a long name tells more
    name = name if len(name) <= room or room < 8 else "..." + name[3 - room :]
    return [f"{name}: {note}" if note else name]


def _cut(line: str) -> str:
    line = visible(line)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."


def findings_json(
    source: Source, findings: Sequence[Finding], notes: Sequence[str]
) -> dict[str, Any]:
    """All findings as plain data: of every image its name, classes, note and figure.

    Args:
        source, findings, notes: as for `findings_text`.
    """
    return {
        "notes": list(notes),
        "findings": [
            {
                "kind": finding.kind,
                "criterion": finding.text,
                "groups": [
                    {
                        "title": group.title,
                        "images": [_image_json(source, image) for image in group.images],
                    }
                    for group in finding.groups
                ],
            }
            for finding in findings
        ],
    }


def _image_json(source: Source, image: Shown) -> dict[str, Any]:
    found: dict[str, Any] = {
        "image": source.images[image.row],
        "superclass": _super_name(source, image.row),
        "subclass": _sub_name(source, image.row),
        "note": image.note,
        "value": image.value,
    }
    if image.suggested is not None:
        known = source.hierarchy
        parent = known.sub_to_super[image.suggested]
        found["suggested_superclass"] = known.super_names[parent]
        found["suggested_subclass"] = known.sub_names[image.suggested]
    return found


def findings_page(
    source: Source,
    findings: Sequence[Finding],
    notes: Sequence[str],
    *,
    progress: Progress | None = None,
) -> str:
    """The page; of a finding with many pictures, the first ones.

    Args:
        source: where the pictures are read again.
        findings: in the order of the page.
        notes: sentences about how they were found.
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
        all_shown = finding.n_classes is not None or n_shown == finding.n_images
        more = "" if all_shown else f", {n_shown} of them shown"
        section = {
            "kind": finding.kind,
            "title": f"{finding.title}: {finding.amount}{more}",
            "text": finding.text,
            "groups": shown,
        }
        sections.append(section)
    content = {
        "name": visible(source.name),
        "count": counted(len(source.images), "image"),
        "notes": list(map(visible, notes)),
        "sections": sections,
        "clean": [finding.title for finding in findings if not finding.groups],
    }
    return inline_page(_source("sheet.html.j2"), content, style=_source("sheet.css"))


def _first_groups(finding: Finding) -> list[Group]:
    """What the page shows of a finding."""
    if finding.n_classes is not None:
        first = finding.groups[:MOST]
        return [group._replace(images=group.images[:_EACH]) for group in first]
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
