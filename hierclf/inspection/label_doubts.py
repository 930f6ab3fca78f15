"""Labels that look wrong: confident learning on probabilities of models that never saw the image.

A label is in doubt if the image is as likely of another class as images of that class are on
average, and likelier than of any class whose own average it also reaches. Other than in the source,
80 % are enough, where classes are clear and half of the wrong labels lie below an average near 1,
and it must be likelier of the other class than of all the rest.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
2021.

Shape legend: N images, C classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.inspection.held_out import HeldOut

_ENOUGH, _LEAST = 0.8, 0.5


class Doubts(NamedTuple):
    """Images whose label looks wrong.

    Attributes:
        rows: int64 [M], the most doubtful first.
        suggested: int64 [M], the sub-classes that they look like.
        given: float64 [M], probabilities of the given sub-classes.
        likely: float64 [M], probabilities of the suggested ones.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    given: NDArray[np.float64]
    likely: NDArray[np.float64]


def confidently_other(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], *, enough: float = _ENOUGH
) -> NDArray[np.int64]:
    """The class that each image confidently is of instead of its own, int64 [N]; -1 for none.

    Args:
        probabilities: float64 [N, C].
        labels: int64 [N].
        enough: a probability that suffices, whatever a class's average.
    """
    n_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=n_classes)
    sums = np.bincount(labels, weights=own, minlength=n_classes)
    averages = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
    reached = probabilities >= np.minimum(averages, enough) - 1e-6
    confident = np.where(reached, probabilities, -1.0)
    best = confident.argmax(axis=1)
    other = (confident.max(axis=1) >= 0) & (best != labels)
    # The likeliest class of all may be the given one, below its own average.
    return np.where(other & (probabilities.argmax(axis=1) != labels), best, -1)


def label_doubts(
    held_out: HeldOut, sub_labels: NDArray[np.int64], sub_to_super: NDArray[np.int64]
) -> Doubts:
    """Images that confidently belong to another sub-class, or to another super-class.

    Args:
        held_out: of N images and C sub-classes.
        sub_labels: int64 [N].
        sub_to_super: int64 [C].
    """
    rows = np.flatnonzero(held_out.judged)
    found, labels = held_out.probabilities[rows], sub_labels[rows]
    parents = sub_to_super[labels]
    n_super = int(sub_to_super.max()) + 1
    of_super = found @ np.eye(n_super)[sub_to_super]
    sub, parent = confidently_other(found, labels), confidently_other(of_super, parents)
    # Where the super-class alone is clear, its likeliest sub-class.
    within = np.where(sub_to_super[None] == parent[:, None], found, -1.0).argmax(axis=1)
    suggested = np.where(sub >= 0, sub, np.where(parent >= 0, within, -1))
    own = found[np.arange(len(rows)), labels]
    likely = found[np.arange(len(rows)), suggested]
    chosen = np.flatnonzero((suggested >= 0) & (likely >= _LEAST))
    chosen = chosen[np.argsort(own[chosen], kind="stable")]
    return Doubts(rows[chosen], suggested[chosen], own[chosen], likely[chosen])
