"""Mahalanobis distances to the classes.

Shape legend: N images, M training images, K classes of a level, C sub-classes, D features.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, Score, ScoreInputs, State, feature_score
from hierclf.scores.rows import by_chunks, check_width, chunks, unit_rows

RIDGE = 0.1
"""Regularisation of `fit_relative`, relative to the mean variance within classes."""
FIT_CELLS = 2**26
"""Numbers that a fit looks at together, 512 MiB of float64: 52,000 rows of 1,280 features."""


def fit_mahalanobis(features: np.ndarray, labels: np.ndarray) -> State:
    """Class means and shared covariance of unit features.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"; on
    unit features as in Müller & Hein 2025, "Mahalanobis++". The covariance is shrunk (Ledoit &
    Wolf 2004), so that it is invertible however few images there are.

    Args:
        features: float [M, D].
        labels: int [M], any values.

    Returns:
        whitening: float32 [D, D], the map after which the covariance is the identity.
        means: float32 [K, D], whitened class means, classes ascending.

    Raises:
        ValueError: the features do not vary within any class.
    """
    index, means = _unit_means(features, labels)
    covariance = ledoit_wolf(_within(features, index, means))
    _check_spread(covariance, len(features), len(means))
    whitening = _whitening(covariance)
    return {
        "whitening": whitening.astype(np.float32),
        "means": (means @ whitening).astype(np.float32),
    }


def ledoit_wolf(parts: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Covariance [D, D] of centred points, shrunk towards a multiple of the identity.

    Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    The same as scikit-learn's with `assume_centered=True`, but faster: the sum of all elements of
    (x^2)^T (x^2) is the sum of the rows' lengths to the fourth power, without the product.

    Args:
        parts: the points, float64 [m, D] each; none is kept.
    """
    n, products, fourth_powers = 0, np.zeros(()), 0.0
    for points in parts:
        n += len(points)
        products = products + points.T @ points
        fourth_powers += ((points**2).sum(axis=1) ** 2).sum()
    width, covariance = len(products), products / n
    squared_norm = (covariance**2).sum()
    mean_variance = np.trace(covariance) / width
    fourth_powers /= n
    noise = max(0.0, (fourth_powers - squared_norm) / n)
    distance = squared_norm - width * mean_variance**2
    shrinkage = min(noise / distance, 1.0) if distance > 0 else 1.0
    return (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(width)


def score_mahalanobis(state: State, features: np.ndarray) -> Floats:
    """Squared Mahalanobis distance to the nearest class mean, >= 0, dimensionless.

    Args:
        state: from `fit_mahalanobis`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    check_width(features, len(state["whitening"]))
    return by_chunks(
        lambda rows: squared_distances(state, rows).min(axis=1),
        features,
        cells=distance_cells(state),
    )


def fit_relative(features: np.ndarray, labels: np.ndarray) -> State:
    """Gaussians of the classes with a shared covariance, and one Gaussian of all images.

    Both covariances get the same ridge, `RIDGE` times the mean variance within classes. With
    separate regularisation, such as Ledoit-Wolf shrinkage of each, one distance would dominate the
    other in the directions in which few images leave both undetermined.

    Args:
        features: float [M, D].
        labels: int [M], any values.

    Returns:
        whitening [D, D] and means [K, D] as of `fit_mahalanobis`; background_whitening [D, D] and
        background [1, D], the same for all images; float32.

    Raises:
        ValueError: the features do not vary within any class.
    """
    index, means = _unit_means(features, labels)
    n, width = features.shape
    everything = np.zeros(n, dtype=np.int64)
    centre = sum(unit.sum(axis=0, keepdims=True) for unit in _unit_parts(features)) / n
    squares = sum((spread**2).sum() for spread in _within(features, index, means))
    ridge = RIDGE * (squares / (n * width)) * np.eye(width)
    state: State = {}
    for owners, names, middles in (
        (index, ("whitening", "means"), means),
        (everything, ("background_whitening", "background"), centre),
    ):
        covariance = sum(x.T @ x for x in _within(features, owners, middles)) / n
        _check_spread(covariance, n, len(means))
        whitening = _whitening(covariance + ridge)
        arrays = whitening, middles @ whitening
        state |= {name: a.astype(np.float32) for name, a in zip(names, arrays, strict=True)}
    return state


def score_relative(state: State, features: np.ndarray) -> Floats:
    """Squared distance to the nearest class mean minus that to the mean of all images; any sign.

    Ren et al. 2021, "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection":
    RMD = min_k MD_k - MD_0, each with its own covariance; here on unit features. Distance along
    directions that do not separate classes cancels.

    Args:
        state: from `fit_relative`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    whitening, background = state["background_whitening"], state["background"]
    of_all = {"whitening": whitening, "means": background}
    return score_mahalanobis(state, features) - score_mahalanobis(of_all, features)


def owners_within(state: State, inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """For the sub level, the super-class of each sub-class.

    Args:
        state: of `fit_mahalanobis` on the sub-classes of the same images; not used.
        inputs: of M images; super_logits over the sorted super-classes of `labels`.
        labels: of the same images.
        level: the level that the score is for.

    Returns:
        owner: int64 [C], columns of super_logits; nothing for level "super".

    Raises:
        ValueError: super_logits have another number of classes than the labels; a sub-class belongs
            to two super-classes.
    """
    return {} if level == "super" else {"owner": _owners(inputs, labels)}


def score_within(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """Squared Mahalanobis distance to the nearest sub-class mean, >= 0.

    For level "sub", only the sub-classes of the predicted super-class (the largest super logit)
    count: an image between two super-classes may be near a sub-class of the wrong one. For level
    "super" all sub-classes count, since one mean describes a super-class of diverse sub-classes
    badly. Distance and covariance are those of `fit_mahalanobis`, after Lee et al. 2018.

    Args:
        state: of `fit_mahalanobis` on sub-classes, and of `owners_within` for the same level.
        inputs: of N images.
        level: the level that the score is for.

    Raises:
        ValueError: another D than in training.
    """
    if level == "super":
        return score_mahalanobis(state, inputs.features)
    check_width(inputs.features, len(state["whitening"]))

    def nearest(features: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        distances = squared_distances(state, features)
        return np.where(predicted[:, None] == state["owner"], distances, np.inf).min(axis=1)

    predicted = inputs.super_logits.argmax(axis=1)
    return by_chunks(nearest, inputs.features, predicted, cells=distance_cells(state))


def mahalanobis_score() -> Score:
    """`fit_mahalanobis` and `score_mahalanobis`, on the classes of each level."""
    return feature_score(fit_mahalanobis, score_mahalanobis, per_level=True)


def relative_mahalanobis_score() -> Score:
    """`fit_relative` and `score_relative`, on sub-classes for both levels."""
    return feature_score(fit_relative, score_relative)


def within_score() -> Score:
    """`fit_mahalanobis` on sub-classes for both levels, `owners_within`, and `score_within`."""
    return Score(
        lambda inputs, labels, level: fit_mahalanobis(inputs.features, labels.sub_labels),
        score_within,
        refine=owners_within,
    )


def class_means(points: NDArray[np.float64], index: np.ndarray) -> NDArray[np.float64]:
    """Class means float64 [K, D].

    Args:
        points: float64 [M, D].
        index: int [M] in 0..K-1; each class occurs.
    """
    sums = np.zeros((index.max() + 1, points.shape[1]))
    np.add.at(sums, index, points)
    return sums / np.bincount(index)[:, None]


def _unit_parts(features: np.ndarray) -> Iterator[NDArray[np.float64]]:
    """Unit rows, float64 [m, D] at a time, so that memory does not grow with M."""
    for start, stop in chunks(len(features), cells=features.shape[1], most=FIT_CELLS):
        yield unit_rows(features[start:stop]).astype(np.float64)


def _unit_means(
    features: np.ndarray, labels: np.ndarray
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class of each row, int64 [M] in 0..K-1, and the class means [K, D] of unit rows."""
    classes, index = np.unique(labels, return_inverse=True)
    sums, start = np.zeros((len(classes), features.shape[1])), 0
    for unit in _unit_parts(features):
        np.add.at(sums, index[start : start + len(unit)], unit)
        start += len(unit)
    return index, sums / np.bincount(index)[:, None]


def _within(
    features: np.ndarray, index: np.ndarray, means: NDArray[np.float64]
) -> Iterator[NDArray[np.float64]]:
    """Unit rows minus the mean that `index`, int [M], names; [m, D] at a time."""
    start = 0
    for unit in _unit_parts(features):
        yield unit - means[index[start : start + len(unit)]]
        start += len(unit)


def _check_spread(covariance: NDArray[np.float64], n_images: int, n_classes: int) -> None:
    if not np.trace(covariance) > np.finfo(np.float32).eps:
        raise ValueError(
            "`features` must vary within a class to have a covariance, but got "
            f"{counted(n_images, 'image')} of {counted(n_classes, 'class', 'classes')} "
            "without any spread"
        )


def _whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map [D, D] after which points of this covariance have the identity as covariance.

    With C = L L^T it is the inverse of L^T, in a quarter of the operations of inverting C.
    """
    from scipy.linalg import cholesky, lapack  # prediction does not need it

    lower = cholesky(covariance, lower=True, check_finite=False)
    inverse, _ = lapack.dtrtri(lower, lower=1)
    return np.ascontiguousarray(inverse.T)  # safetensors writes memory as it is laid out


def squared_distances(state: State, features: np.ndarray) -> NDArray[np.float64]:
    """Squared Mahalanobis distances [N, K] of features [N, D] to every class mean, >= 0."""
    means = state["means"].astype(np.float64)
    white = (unit_rows(features) @ state["whitening"]).astype(np.float64)
    # |a - b|^2 expanded; in float64, since the terms almost cancel.
    squares = (white**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * white @ means.T
    return np.maximum(squares, 0.0)


def distance_cells(state: State) -> int:
    """Floats per row that `squared_distances` allocates: arrays of D and K, some of 8 bytes."""
    return 4 * (len(state["whitening"]) + len(state["means"]))


def _owners(inputs: ScoreInputs, labels: Labels) -> NDArray[np.int64]:
    """The column of super_logits that each sub-class belongs to, int64 [C], ascending."""
    supers, super_index = np.unique(labels.super_labels, return_inverse=True)
    if inputs.super_logits.shape[1] != len(supers):
        raise ValueError(
            f"`super_logits` must have a column for each of {len(supers)} super-classes of the "
            f"labels, but got {inputs.super_logits.shape[1]}"
        )
    subs, first, sub_index = np.unique(labels.sub_labels, return_index=True, return_inverse=True)
    owner = super_index[first]
    torn = owner[sub_index] != super_index
    if torn.any():
        raise ValueError(
            "a sub-class must belong to one super-class, but got images of two with sub-class "
            f"{subs[sub_index[np.argmax(torn)]]}"
        )
    return owner.astype(np.int64)
