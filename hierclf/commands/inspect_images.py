"""What `hierclf check --images` does: look at every image, and show what deserves a look."""

import json
from pathlib import Path
from typing import NamedTuple

from hierclf.commands.check import unreadable_problems
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.inspection.findings import picture_findings
from hierclf.inspection.pictures import read_pictures
from hierclf.inspection.sheet import findings_json, findings_page, findings_text
from hierclf.io.atomic import draft_of
from hierclf.progress import progress


class Inspected(NamedTuple):
    """What a look at the images found: problems for the list of `check`, and findings as text."""

    problems: list[Problem]
    text: str


def inspect_images(source: Source, *, html_file: Path | None, json_file: Path | None) -> Inspected:
    """Read every image, and write what deserves a look; progress is on stderr.

    Args:
        source: what to read.
        html_file: where to write the page; None writes none.
        json_file: where to write all findings as JSON; None writes none.
    """
    with progress("reading images") as report:
        pictures = read_pictures(source, progress=report)
    findings = picture_findings(source, pictures)
    text = findings_text(source, findings)
    if json_file is not None:
        content = json.dumps(findings_json(source, findings), indent=2, allow_nan=False)
        with draft_of(json_file) as draft:
            draft.write_text(content + "\n", encoding="utf-8")
        text += f"\nwrote {json_file}"
    if html_file is not None:
        with progress("drawing the page") as report:
            page = findings_page(source, findings, progress=report)
        with draft_of(html_file) as draft:
            draft.write_text(page, encoding="utf-8")
        text += f"\nwrote {html_file}"
    return Inspected(unreadable_problems(source, pictures), text)
