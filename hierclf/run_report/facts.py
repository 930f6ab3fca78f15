"""What a report says in tables and words: the promise, calibration, what ran.

Shape legend: M judged rows.
"""

import datetime
from typing import Any

import numpy as np
from scipy.stats import binomtest

from hierclf.counts import counted
from hierclf.hierarchy import LEVELS
from hierclf.metrics.calibration_error import expected_calibration_error
from hierclf.reports.promise_table import promise_notes
from hierclf.run_report.run_files import RunFiles

FIGURES = {
    "super_overall": ("overall", "half of the images are of a new super-class"),
    "super_seen": ("seen", "super-class known: the right one"),
    "super_unseen": ("unseen", "super-class new: called novel"),
    "super_harmonic": ("H", "harmonic mean of seen and unseen"),
    "sub_overall": ("overall", "half of the images are of a new sub-class"),
    "sub_seen": ("seen", "sub-class known: the right one"),
    "sub_unseen": ("unseen", "sub-class new: called novel"),
    "sub_harmonic": ("H", "harmonic mean of seen and unseen"),
}
PARTS = {
    "super_seen_known": ("known sub-class", "right if given its super-class"),
    "super_seen_near": ("near: new sub-class, known super-class", "right if given its super-class"),
    "super_unseen": ("far: new super-class", "right if called a novel super-class"),
    "sub_seen": ("known sub-class", "right if given its sub-class"),
    "sub_unseen_near": (
        "near: new sub-class, known super-class",
        "right if called a novel sub-class",
    ),
    "sub_unseen_far": ("far: new super-class", "right if called novel"),
}
_BINS = 10
_STAGES = ("prepare", "search", "confirm", "thresholds", "refit", "register")


def promise_rows(run: RunFiles) -> list[dict[str, Any]]:
    """The six accuracies and harmonic means, then the parts: one row per figure.

    Returns:
        key, level, name, text, part (whether it is a part of another figure), figure (expected, low
        and high in [0, 1], or None), paper and never_novel (expected or None).
    """
    held_out = run.summary["held_out"]
    rows = []
    for part, texts in ((False, FIGURES), (True, PARTS)):
        for key, (name, text) in texts.items():
            others = {rule: held_out[rule].get(key) for rule in ("paper", "never_novel")}
            rows.append(
                {
                    "key": key,
                    "level": key.partition("_")[0],
                    "name": name,
                    "text": text,
                    "part": part,
                    "figure": held_out["chosen"].get(key),
                    **{rule: x and x["expected"] for rule, x in others.items()},
                }
            )
    return rows


def why_wide(run: RunFiles) -> list[str]:
    """Why the intervals are as wide as they are, one sentence each."""
    hidden = run.summary["held_out_classes"]
    return promise_notes(hidden["super"], hidden["sub"])


def reliability(run: RunFiles) -> dict[str, Any]:
    """Calibrated probability against accuracy on known validation images, by level.

    Each half of the images has the temperature that the other half fitted.

    Returns:
        for each level: n, error (expected calibration error, or None) and points: n images of a
        bin, prob (their mean), right (the fraction) with the ends low and high of its interval.
    """
    val = run.table.where(run.table.val)
    found: dict[str, Any] = {}
    for level in LEVELS:
        prob = val.column(f"{level}_calibrated").astype(np.float64)
        right = val[level].right
        bins = np.clip(np.ceil(_BINS * prob).astype(np.int64) - 1, 0, _BINS - 1)
        points = [
            {"prob": float(prob[rows].mean()), "n": int(n), **_proportion(right[rows])}
            for number, n in enumerate(np.bincount(bins, minlength=_BINS))
            if n and (rows := bins == number).any()
        ]
        error = expected_calibration_error(prob, right)
        found[level] = {"n": len(prob), "error": error, "points": points}
    return found


def _proportion(right: np.ndarray) -> dict[str, float]:
    """A fraction with Wilson's 90 % interval."""
    found = binomtest(int(right.sum()), len(right))
    ends = found.proportion_ci(0.9, method="wilson")
    return {"right": float(right.mean()), "low": float(ends.low), "high": float(ends.high)}


def what_ran(run: RunFiles) -> dict[str, Any]:
    """Data, device, versions and times: each a list of (name, text)."""
    summary, config = run.summary, run.config
    hardware, plan, seconds = summary["hardware"], summary["plan"], summary["seconds"]
    hidden = summary["held_out_classes"]
    gpus = ", ".join(hardware["gpus"]) if plan.get("use_gpu") else ""
    data = [
        ("data", config.data.path),
        ("fingerprint", str(summary.get("data_fingerprint", "not kept"))[:16]),
        ("images", f"{summary['images']:,} ({summary['unreadable']:,} unreadable left out)"),
        ("classes", f"{run.hierarchy.n_super} super-classes, {run.hierarchy.n_sub} sub-classes"),
        ("held out to judge", f"{hidden['super']} super-classes, {hidden['sub']} sub-classes"),
        ("seed", str(config.seed)),
    ]
    place = [
        ("network", f"{config.model.backbone}, freeze: {config.model.freeze}"),
        ("device", gpus or f"CPU, {hardware['cpus']} cores"),
        (
            "trials at a time",
            f"{plan['trials_at_a_time']}, {counted(plan['workers'], 'worker')} each",
        ),
        ("platform", hardware["platform"]),
        ("Python", hardware["python"]),
        *((name, number) for name, number in summary["versions"].items()),
    ]
    times = [(stage, duration(seconds[stage])) for stage in _STAGES if stage in seconds]
    total = sum(seconds[stage] for stage in _STAGES if stage in seconds)
    return {"data": data, "place": place, "times": [*times, ("total", duration(total))]}


def duration(seconds: float) -> str:
    """Seconds as a person says them: 12 s, 3:25 min, 2:05 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def written_at() -> str:
    """Now, in UTC, to the minute."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
