"""Which classes fail, and what they are taken for: tables of the judged images.

Shape legend: M judged rows, S super-classes.
"""

from typing import Any

import numpy as np

from hierclf.hierarchy import NOVEL, UNLABELLED
from hierclf.rules.evidence import FAR, KNOWN, NEAR
from hierclf.run_report.judged import Judged
from hierclf.run_report.run_files import RunFiles

MAX_CLASSES = 1000
MAX_SUPERS = 20
MAX_PAIRS = 20
_SHADES = 9


def class_rows(run: RunFiles, judged: Judged) -> list[dict[str, Any]]:
    """One row per sub-class that was judged, the least accurate first, at most `MAX_CLASSES`.

    Returns:
        name, super_name; n, right, novel (counts and fractions of images while the class was
        known); new_n, found (the same while it was hidden); reports (False if the class had a say
        in the hyper-parameters). Fractions are None without images.
    """
    labels, kinds = judged.table.sub.labels, judged.evidence.kind
    decided = judged.found["pred_sub"].to_numpy()
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    rows = []
    for members in np.split(order, starts[1:]) if len(order) else []:
        label = int(labels[members[0]])
        known, new = (members[(kinds[members] == KNOWN) == is_known] for is_known in (True, False))
        rows.append(
            {
                "name": run.class_name("sub", label),
                "super_name": run.class_name("super", int(judged.table.super.labels[members[0]])),
                "n": len(known),
                "right": _mean(decided[known] == label),
                "novel": _mean(decided[known] == NOVEL),
                "new_n": len(new),
                "found": _mean(decided[new] == NOVEL),
                "reports": bool(judged.may_report[members].any()),
            }
        )
    rows.sort(key=lambda row: (2.0 if row["right"] is None else row["right"], row["name"]))
    return rows[:MAX_CLASSES]


def super_confusion(run: RunFiles, judged: Judged) -> dict[str, Any]:
    """Super-classes against decisions, in fractions of each row; new super-classes are one row.

    Of more than `MAX_SUPERS` super-classes, those that are confused most are shown, the decisions
    for all others in one column.

    Returns:
        columns: names; rows: name, n and cells, each with value (None for 0) and shade (0..9);
        hidden: how many super-classes are not shown.
    """
    labelled = judged.table.super.labels != UNLABELLED
    n_super = run.hierarchy.n_super
    true = np.where(judged.evidence.kind == FAR, n_super, judged.table.super.labels)[labelled]
    decided = judged.found["pred_super"].to_numpy()[labelled]
    decided = np.where(decided == NOVEL, n_super, decided)
    counts = np.zeros((n_super + 1, n_super + 1))
    np.add.at(counts, (true, decided), 1)
    wrong = (counts.sum(axis=1) - np.diag(counts))[:n_super]
    shown = np.sort(np.argsort(-wrong, kind="stable")[:MAX_SUPERS])
    hidden = n_super - len(shown)
    columns = [*run.hierarchy.super_names, "novel"]
    kept = [*shown.tolist(), n_super]
    rows = []
    for row in kept:
        total = counts[row].sum()
        values = counts[row][kept].tolist()
        if hidden:
            values.insert(-1, total - sum(values))
        if total:
            name = "new super-class" if row == n_super else columns[row]
            rows.append(
                {"name": name, "n": int(total), "cells": [_cell(x / total) for x in values]}
            )
    names = [columns[i] for i in kept]
    if hidden:
        names.insert(-1, f"{hidden} others")
    return {"columns": names, "rows": rows, "hidden": hidden}


def confused_pairs(run: RunFiles, judged: Judged) -> list[dict[str, Any]]:
    """The sub-classes that are most often taken for another, while both are known.

    Returns:
        true, taken_for (names), n (images), fraction (of the true class's known images).
    """
    known = judged.evidence.kind == KNOWN
    true, decided = judged.table.sub.labels[known], judged.found["pred_sub"].to_numpy()[known]
    wrong = (decided != true) & (decided != NOVEL)
    pairs, n = np.unique(np.stack([true[wrong], decided[wrong]]), axis=1, return_counts=True)
    totals = np.bincount(true, minlength=run.hierarchy.n_sub)
    order = np.argsort(-n, kind="stable")[:MAX_PAIRS]
    return [
        {
            "true": run.class_name("sub", int(pairs[0, i])),
            "taken_for": run.class_name("sub", int(pairs[1, i])),
            "n": int(n[i]),
            "fraction": float(n[i] / totals[pairs[0, i]]),
        }
        for i in order
    ]


def judged_counts(judged: Judged) -> dict[str, int]:
    """How many judged images there are of each kind: known, near, far."""
    kinds = judged.evidence.kind
    return {
        name: int((kinds == kind).sum())
        for name, kind in (("known", KNOWN), ("near", NEAR), ("far", FAR))
    }


def _cell(value: float) -> dict[str, Any]:
    return {"value": value or None, "shade": int(np.ceil(_SHADES * value))}


def _mean(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if len(hits) else None
