"""Accuracy of predictions, given as a file, against labels: `hierclf evaluate`.

Shape legend: N labelled images.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierclf.commands.label_tables import match_names, read_labels
from hierclf.commands.prediction_tables import (
    ids_of_mappings,
    ids_of_model,
    parents_of_model,
    read_classes,
)
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
        new_classes: names in the labels that are no known classes; they count as novel.
    """

    accuracies: dict[str, float | None]
    always_novel: dict[str, float | None]
    never_novel: dict[str, float | None]
    counts: dict[str, int]
    missing: list[str]
    unlabelled: list[str]
    new_classes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "accuracies": self.accuracies,
            "always_novel": self.always_novel,
            "never_novel_at_best": self.never_novel,
            "counts": self.counts,
            "missing": len(self.missing),
            "unlabelled": len(self.unlabelled),
            "new_classes": self.new_classes,
        }


def evaluate(
    predictions: Path,
    labels: Path,
    *,
    model: Path | None = None,
    columns: str | None = None,
    hierarchy: str | None = None,
) -> Evaluation:
    """Join predictions and labels by image name and compute accuracies.

    Args:
        predictions: .csv or .parquet with image, superclass_index and subclass_index; further
            columns are ignored.
        labels: any layout of labelled images, by names or ids: see `label_tables.read_labels`. An
            image of a novel class has the novel id, or a name that is no known class's.
        model: model directory whose hierarchy gives known classes and novel ids; by default the
            mapping files beside `labels` do, which must have a row `novel`.
        columns: the columns of a table of labels; those that are not given are known by name.
        hierarchy: a table that gives further sub-classes their super-class.

    Raises:
        ValueError: a file that is missing or malformed, an image that appears twice, an id that is
            neither a known class nor novel, or no image in common.
    """
    folder = labels if labels.is_dir() else labels.parent
    ids = ids_of_mappings(folder) if model is None else ids_of_model(model)
    parents = None if model is None else parents_of_model(model)
    truth, new_classes = read_labels(
        labels, ids, parents=parents, columns=columns, hierarchy=hierarchy
    )
    predicted = read_classes(predictions, ids)
    match = match_names(truth, predicted)
    if not match:
        names = f"{next(iter(truth))!r} there, {next(iter(predicted))!r} here"
        raise ValueError(f"{predictions} must name images of {labels}, but names none ({names})")
    true_super, true_sub = _columns(truth.values())
    nothing = (_NO_PREDICTION, _NO_PREDICTION)
    pred_super, pred_sub = _columns(
        predicted[match[image]] if image in match else nothing for image in truth
    )
    labelled = set(match.values())
    constants = constant_predictions(
        true_super, true_sub, true_super.clip(min=0), true_sub.clip(min=0)
    )
    return Evaluation(
        accuracies=six_accuracies(true_super, true_sub, pred_super, pred_sub),
        always_novel=constants["always_novel"],
        never_novel=constants["never_novel"],
        counts=_counts("super", true_super) | _counts("sub", true_sub),
        missing=[image for image in truth if image not in match],
        unlabelled=[image for image in predicted if image not in labelled],
        new_classes=new_classes,
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
