"""`report.html` of a run, from its folder."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hierclf.data.cache import ImageCache
from hierclf.io.atomic import draft_of
from hierclf.rules.evidence import FAR, KNOWN, NEAR
from hierclf.run_report.classes import class_rows, confused_pairs, judged_counts, super_confusion
from hierclf.run_report.facts import promise_rows, reliability, what_ran, why_wide, written_at
from hierclf.run_report.judged import Judged, judge
from hierclf.run_report.pictures import (
    Pictures,
    load_pictures,
    make_pictures,
    previews_of,
    save_pictures,
    thumbnail_of,
)
from hierclf.run_report.playground import playground
from hierclf.run_report.render import render
from hierclf.run_report.run_files import RunFiles, read_run
from hierclf.run_report.searched import parameter_panels, parameters, trial_rows
from hierclf.run_report.sheets import Sheet, sheets

REPORT = "report.html"
_KIND_OF = {"known": KNOWN, "near": NEAR, "far": FAR}


def write_report(folder: Path, caches: Sequence[ImageCache] = ()) -> Path:
    """Write or replace the report of a finished run, atomically.

    Args:
        folder: of the run.
        caches: the decoded images: the known ones first, then the user's own novel ones. Small
            pictures of some are kept in the folder; without caches, those kept before are shown.

    Returns:
        The file.

    Raises:
        ValueError: not the folder of a finished run; one line.
    """
    run = read_run(folder)
    judged = judge(run)
    sheets_ = sheets(run, judged)
    if caches:
        names = {shown.image for sheet in sheets_ for shown in sheet.images}
        save_pictures(folder, make_pictures(caches, names))
    text = render(_content(run, judged, sheets_, load_pictures(folder)))
    path = folder / REPORT
    with draft_of(path) as draft:
        # A file name that is no valid text must not cost the report.
        draft.write_text(text, encoding="utf-8", errors="replace")
    return path


def _content(
    run: RunFiles, judged: Judged, sheets_: Sequence[Sheet], pictures: Pictures
) -> dict[str, Any]:
    """The variables of the template."""
    table = playground(run, judged)
    classes, found = class_rows(run, judged), reliability(run)
    promise = [row | {"kind": _kind(row["key"])} for row in promise_rows(run)]
    panels = parameter_panels(run)
    strength = run.summary["deployed"]["values"].get("train.strength", run.config.train.strength)
    return {
        "title": run.folder.resolve().name,
        "backbone": run.config.model.backbone,
        "data_path": run.config.data.path,
        "n_images": f"{run.summary['images']:,}",
        "n_super": run.hierarchy.n_super,
        "n_sub": run.hierarchy.n_sub,
        "written": written_at(),
        "promise": promise,
        "why_wide": why_wide(run),
        "command": shlex.join(["hierclf", "thresholds", str(_short(run.folder / "model"))]),
        "rows_text": _rows_text(table),
        "super_score": run.rule.super.score,
        "sub_score": run.rule.sub.score,
        "counts": judged_counts(judged),
        "classes": classes,
        "not_reporting": any(not row["reports"] for row in classes),
        "confusion": super_confusion(run, judged),
        "pairs": confused_pairs(run, judged),
        "sheets": [_with_pictures(sheet, pictures) for sheet in sheets_],
        "reliability": found,
        "gain_text": _gain_text(run),
        "parameters": parameters(run),
        "trials": trial_rows(run),
        "panels": panels,
        "previews": previews_of(pictures),
        "strength": f"{strength:.3g}",
        "ran": what_ran(run),
        "config": yaml.safe_dump(run.summary["config"], sort_keys=False, allow_unicode=True),
        "data": {"playground": table, "reliability": found, "panels": panels},
    }


def _kind(key: str) -> int:
    """The kind of images that a figure's counts are of."""
    names = {"super_seen_known": "known", "super_seen_near": "near", "sub_seen": "known"}
    names |= {"sub_unseen_near": "near"}
    return _KIND_OF[names.get(key, "far")]


def _with_pictures(sheet: Sheet, pictures: Pictures) -> dict[str, Any]:
    images = [x._asdict() | {"uri": thumbnail_of(pictures, x.image)} for x in sheet.images]
    return sheet._asdict() | {"images": images}


def _rows_text(table: dict[str, Any]) -> str:
    if table["rows"] == table["of"]:
        return f"Computed in this page from {table['rows']:,} judged images."
    return f"Computed in this page from a sample of {table['rows']:,} of {table['of']:,} images."


def _gain_text(run: RunFiles) -> str:
    gain = run.summary["search_gain"]
    if gain is None:
        values = run.summary["deployed"]["values"]
        if run.trials is None:
            why = "none was made"
        elif any(run.config.value(key) != value for key, value in values.items()):
            why = "the configuration as it is could not be trained beside it"
        else:
            why = "the best trial has the configuration's own values"
        return f"Nothing is claimed of the search: {why}."
    mean, low, high = (100 * gain[key] for key in ("mean", "low", "high"))
    figures = f"{mean:+.1f} points ({low:+.1f} to {high:+.1f}, 90 % interval over classes)"
    if gain["low"] > 0:
        return f"On new classes the search gains {figures}: its values are deployed."
    return f"The search gains nothing that is certain, {figures}: the configuration stays as it is."


def _short(path: Path) -> Path:
    """Relative to the working directory where it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
