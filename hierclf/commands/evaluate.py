"""Accuracy of predictions, given as a file, against labels: `hierclf evaluate`.

Shape legend: N labelled images.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierclf.commands.prediction_tables import ids_of_mappings, ids_of_model, read_classes
from hierclf.hierarchy import NOVEL, Level
from hierclf.metrics.accuracy import constant_predictions, six_accuracies

# A prediction that is wrong whatever the label: neither a class nor NOVEL.
_NO_PREDICTION = NOVEL - 1


@dataclass(frozen=True)
class Evaluation:
    """Accuracies in [0, 1]; None for a part without images.

    Attributes:
        accuracies: as `six_accuracies` returns them.
        always_novel: the same for the constant prediction "novel".
        never_novel: the same for a classifier that is right on every known image and never predicts
            "novel": the upper bound for a closed-set classifier.
        counts: images of each part, by the keys of `accuracies` without the harmonic means.
        missing: labelled images without a prediction; they count as wrong.
        unlabelled: predicted images without a label; they are ignored.
    """

    accuracies: dict[str, float | None]
    always_novel: dict[str, float | None]
    never_novel: dict[str, float | None]
    counts: dict[str, int]
    missing: list[str]
    unlabelled: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "accuracies": self.accuracies,
            "always_novel": self.always_novel,
            "never_novel_at_best": self.never_novel,
            "counts": self.counts,
            "missing": len(self.missing),
            "unlabelled": len(self.unlabelled),
        }


def evaluate(predictions: Path, labels: Path, *, model: Path | None = None) -> Evaluation:
    """Join predictions and labels by image name and compute accuracies.

    Args:
        predictions: .csv or .parquet with image, superclass_index and subclass_index; further
            columns are ignored.
        labels: the same. An image of a novel class has the novel id.
        model: model directory whose hierarchy gives known and novel ids; by default the mapping
            files beside `labels` do, which must have a row `novel`.

    Raises:
        ValueError: a file that is missing or malformed, an image that appears twice, an id that is
            neither a known class nor novel, or no image in common.
    """
    ids = ids_of_mappings(labels.parent) if model is None else ids_of_model(model)
    truth, predicted = read_classes(labels, ids), read_classes(predictions, ids)
    if not truth.keys() & predicted.keys():
        names = f"{next(iter(truth))!r} there, {next(iter(predicted))!r} here"
        raise ValueError(f"{predictions} must name images of {labels}, but names none ({names})")
    true_super, true_sub = _columns(truth.values())
    nothing = (_NO_PREDICTION, _NO_PREDICTION)
    pred_super, pred_sub = _columns(predicted.get(image, nothing) for image in truth)
    constants = constant_predictions(
        true_super, true_sub, true_super.clip(min=0), true_sub.clip(min=0)
    )
    return Evaluation(
        accuracies=six_accuracies(true_super, true_sub, pred_super, pred_sub),
        always_novel=constants["always_novel"],
        never_novel=constants["never_novel"],
        counts=_counts("super", true_super) | _counts("sub", true_sub),
        missing=[image for image in truth if image not in predicted],
        unlabelled=[image for image in predicted if image not in truth],
    )


def _counts(level: Level, true: NDArray[np.int64]) -> dict[str, int]:
    novel = int((true == NOVEL).sum())
    return {
        f"{level}_overall": len(true),
        f"{level}_seen": len(true) - novel,
        f"{level}_unseen": novel,
    }


def _columns(
    pairs: Iterable[tuple[int, int]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    array = np.array(list(pairs), dtype=np.int64)
    return array[:, 0], array[:, 1]
