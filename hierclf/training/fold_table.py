"""The score table: for every image that a fold's model never trained on, all that thresholds need.

Shape legend: N images of the table, S and C the classes that the fold's model knows.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hierclf.hierarchy import Hierarchy
from hierclf.rules.calibration import calibrated_columns
from hierclf.rules.decoding import Decoding, decode
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import ScoreInputs
from hierclf.training.folds import Fold


def fold_table(
    fold: Fold,
    rows: np.ndarray,
    *,
    inputs: ScoreInputs,
    columns: dict[str, np.ndarray],
    names: Sequence[str],
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    hierarchy: Hierarchy,
    decoding: Decoding = "top-down",
    calibrated: bool = True,
) -> ScoreTable:
    """One row an image.

    Args:
        rows: int64 [N], which images, as indices into `names` and the labels.
        inputs: features and logits [N, ...] over the fold's known classes.
        columns: score columns such as `super_msp`, float32 [N] each.
        calibrated: whether to fit temperatures; else their columns are left out.
        decoding: how logits become classes (see `decode`).

    Returns:
        image, fold, split (`val` or `held_out`), super_label, sub_label, super_known, sub_known
        (does the fold's model know the class), super_pred, sub_pred (known classes, as the
        hierarchy's indices), super_prob, sub_prob, then these probabilities after temperature
        scaling, super_calibrated and sub_calibrated, with the temperatures that gave them, and the
        score columns.
    """
    sub_to_super = np.asarray(hierarchy.sub_to_super)[fold.known_sub]
    decoded = decode(
        inputs.super_logits,
        inputs.sub_logits,
        np.searchsorted(fold.known_super, sub_to_super),
        decoding=decoding,
    )
    true_super, true_sub = super_labels[rows], sub_labels[rows]
    val = np.isin(rows, fold.val)
    extra: dict[str, np.ndarray] = {}
    if calibrated:
        # Of val rows all classes are known: their labels are columns of the logits.
        super_columns = np.searchsorted(fold.known_super, true_super)
        sub_columns = np.searchsorted(fold.known_sub, true_sub)
        for level, logits, pred, labels in (
            ("super", inputs.super_logits, decoded.super_pred, super_columns),
            ("sub", inputs.sub_logits, decoded.sub_pred, sub_columns),
        ):
            prob, temperature = calibrated_columns(logits, pred, labels, val)
            extra |= {f"{level}_calibrated": prob, f"{level}_temperature": temperature}
    frame = pd.DataFrame(
        {
            "image": [names[row] for row in rows],
            "fold": fold.name,
            "split": np.where(val, "val", "held_out"),
            "super_label": true_super,
            "sub_label": true_sub,
            "super_known": np.isin(true_super, fold.known_super),
            "sub_known": np.isin(true_sub, fold.known_sub),
            "super_pred": fold.known_super[decoded.super_pred],
            "sub_pred": fold.known_sub[decoded.sub_pred],
            "super_prob": decoded.super_prob,
            "sub_prob": decoded.sub_prob,
            **extra,
            **columns,
        }
    )
    return ScoreTable(frame)
