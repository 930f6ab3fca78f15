"""The figures of a promise: which there are, and how they follow from three kinds of images.

Shape legend: D draws.
"""

from typing import NamedTuple

from hierclf.metrics.accuracy import harmonic_mean
from hierclf.rules.score_table import Array


class Figure(NamedTuple):
    """An expected accuracy in [0, 1], and the ends of its interval."""

    expected: float
    low: float
    high: float


class Mix(NamedTuple):
    """The images to expect; fractions in [0, 1].

    Attributes:
        near_of_seen: of images of known super-classes, those of new sub-classes.
        far_of_unseen: of images of new sub-classes, those of new super-classes.
        super_novel, sub_novel: novel images, for `overall`.
        new_super_classes, new_sub_classes: how many new classes a figure is the mean of.
        known_sub_classes: the same for known ones; None takes as many as there are.
    """

    near_of_seen: float = 0.5
    far_of_unseen: float = 0.5
    super_novel: float = 0.5
    sub_novel: float = 0.5
    new_super_classes: int = 1
    new_sub_classes: int = 10
    known_sub_classes: int | None = None


Promise = dict[str, Figure | None]
Draws = tuple[Array | None, Array | None]
"""Of an accuracy at the super and at the sub level, float64 [D] each; None where nothing tells."""
DEFAULT_MIX = Mix()


def figures_of(known: Draws, near: Draws, far: Draws, mix: Mix) -> dict[str, Array | None]:
    """Every figure of `promise` from accuracies on the three kinds of images.

    Args:
        known, near, far: float64 [D] each, at the super and the sub level, of images of known
            sub-classes, new sub-classes and new super-classes; None where there are none.
        mix: how the kinds are mixed.

    Returns:
        float64 [D] by the keys of `promise`; None where a kind is missing.
    """
    (super_known, sub_seen), (super_near, sub_near), (super_unseen, sub_far) = known, near, far
    figures: dict[str, Array | None] = {
        "super_seen_known": super_known,
        "super_seen_near": super_near,
        "sub_unseen_near": sub_near,
        "sub_unseen_far": sub_far,
        "super_seen": _mixed(super_known, super_near, mix.near_of_seen),
        "super_unseen": super_unseen,
        "sub_seen": sub_seen,
        "sub_unseen": _mixed(sub_near, sub_far, mix.far_of_unseen),
    }
    for level, novel in (("super", mix.super_novel), ("sub", mix.sub_novel)):
        seen, unseen = figures[f"{level}_seen"], figures[f"{level}_unseen"]
        figures[f"{level}_overall"] = figures[f"{level}_harmonic"] = None
        if seen is not None and unseen is not None:
            figures[f"{level}_overall"] = (1.0 - novel) * seen + novel * unseen
            figures[f"{level}_harmonic"] = harmonic_mean(seen, unseen)
    return figures


def _mixed(first: Array | None, second: Array | None, fraction: float) -> Array | None:
    """(1 - fraction) * first + fraction * second; the one that is there, if only one is."""
    if first is None or second is None:
        return second if first is None else first
    return (1.0 - fraction) * first + fraction * second
