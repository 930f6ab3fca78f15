"""A novelty score that is trained on pseudo-novel classes: known ones that are left out in turn.

The inputs are distances to training images and to class means. Each can be computed as if a class
had never been seen. A network's logits cannot: its heads were trained on every known class, so they
are no input. If the backbone was trained on the known classes, too, its features separate them
better than it would new ones, and the weights rest on a task that is easier than the real one.

Shape legend: N images, M training images, C sub-classes, D features, F inputs.
"""

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, ScoreInputs, State, labels_of
from hierclf.scores.inner_folds import inner_folds
from hierclf.scores.knn import fit_knn, nearest_in_bank
from hierclf.scores.mahalanobis import distance_cells, fit_relative, squared_distances
from hierclf.scores.monotone import fit_monotone
from hierclf.scores.rows import chunks, stratified_rows

NEIGHBOURS = (1, 5, 20)
INPUTS = (*(f"neighbour_{k}" for k in NEIGHBOURS), "class_mean", "relative", "undecided")
"""Names of the F inputs; the larger one is, the more novel is the image."""
INNER_LIMIT = 10_000


def fit_learned(
    inputs: ScoreInputs,
    labels: Labels,
    level: Level,
    *,
    limit: int = INNER_LIMIT,
    seed: int = 0,
) -> State:
    """Fit distances on all images, and their weights in inner folds (see `inner_folds`).

    In each inner fold, the distances are fitted anew without the classes that are left out. Over
    all inner folds, logistic regression with weights >= 0 tells images of classes left out from
    others of the classes that stay. Without two classes of the level, or with too few images to
    leave any out, all inputs weigh the same.

    Args:
        inputs: of M training images; only the features count.
        labels: of the same images.
        level: what inner folds leave out, sub-classes or super-classes.
        limit: of more training images than this, inner folds use a stratified sample.
        seed: of the sample and the inner folds.

    Returns:
        bank [M, D] of `fit_knn`, whitening, means, background_whitening and background of
        `fit_relative`: float32. owner: int64 [C], the class of the level that a mean belongs to.
        centre, spread, weights: float64 [F]. bias: float64 [1].

    Raises:
        ValueError: the features do not vary within any class.
    """
    state = _fit_distances(inputs.features, labels, level)
    rows = stratified_rows(labels.sub_labels, limit=limit, seed=seed)
    known, novel = _judged(inputs.features[rows], Labels(*(a[rows] for a in labels)), level, seed)
    usual = known if len(known) else distance_inputs(state, inputs.features[rows])
    centre, spread = usual.mean(axis=0), usual.std(axis=0)
    # An input that is always the same has no unit of its own.
    spread[spread <= 1e-6 * np.abs(centre)] = 1.0
    judged = (np.concatenate([known, novel]) - centre) / spread
    weights, bias = fit_monotone(judged, np.arange(len(judged)) >= len(known))
    return state | {
        "centre": centre,
        "spread": spread,
        "weights": weights,
        "bias": np.array([bias]),
    }


def score_learned(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """The log odds, in nats, that an image is of a class left out; both kinds equally frequent.

    Args:
        state: from `fit_learned` for the same level.
        inputs: of N images; only the features count.
        level: not used; the state is of one level.

    Raises:
        ValueError: another D than in training.
    """
    standardised = (distance_inputs(state, inputs.features) - state["centre"]) / state["spread"]
    return (standardised @ state["weights"] + state["bias"]).astype(np.float32)


def distance_inputs(state: State, features: np.ndarray) -> NDArray[np.float64]:
    """What the score sees of images, float64 [N, F], in the order of `INPUTS`.

    The Euclidean distances of unit features to the 1st, 5th and 20th nearest training image; the
    Mahalanobis distance to the nearest class mean; `score_relative`; and the ratio of the
    Mahalanobis distances to the nearest and the second nearest class of the level, in [0, 1].

    Args:
        state: bank, whitening, means, background_whitening, background and owner of `fit_learned`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    _, cosine = nearest_in_bank(state, features, max(NEIGHBOURS))
    columns = [min(k, cosine.shape[1]) - 1 for k in NEIGHBOURS]
    of_means = np.empty((len(features), len(INPUTS) - len(NEIGHBOURS)))
    for start, stop in chunks(len(features), cells=distance_cells(state)):
        of_means[start:stop] = _mean_inputs(state, features[start:stop])
    return np.hstack([np.sqrt(2.0 * cosine[:, columns].astype(np.float64)), of_means])


def _mean_inputs(state: State, features: np.ndarray) -> NDArray[np.float64]:
    """The inputs that look at class means, float64 [N, 3]."""
    of_all = {"whitening": state["background_whitening"], "means": state["background"]}
    squares = squared_distances(state, features)
    order = np.argsort(state["owner"], kind="stable")
    _, first = np.unique(state["owner"][order], return_index=True)
    by_class = np.sort(np.minimum.reduceat(squares[:, order], first, axis=1), axis=1)
    nearest = by_class[:, 0]
    # A single class has no other that an image could be undecided about.
    second = by_class[:, 1] if len(first) > 1 else np.full(len(nearest), np.inf)
    undecided = np.sqrt(nearest / np.maximum(second, np.finfo(np.float64).tiny))
    relative = nearest - squared_distances(of_all, features)[:, 0]
    return np.stack([np.sqrt(nearest), relative, undecided], axis=1)


def _fit_distances(features: np.ndarray, labels: Labels, level: Level) -> State:
    """The part of the state that `distance_inputs` reads."""
    _, first = np.unique(labels.sub_labels, return_index=True)
    _, owner = np.unique(labels_of(labels, level)[first], return_inverse=True)
    return {
        "bank": fit_knn(features, labels.sub_labels, k=1)["bank"],
        **fit_relative(features, labels.sub_labels),
        "owner": owner.astype(np.int64),
    }


def _judged(
    features: np.ndarray, labels: Labels, level: Level, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs of known and of pseudo-novel images, [N, F] each, maybe none."""
    known, novel = ([np.empty((0, len(INPUTS)))] for _ in range(2))
    for fold in inner_folds(labels, level, seed=seed):
        train = fold.train
        if not len(fold.known):
            continue
        try:
            state = _fit_distances(features[train], Labels(*(a[train] for a in labels)), level)
        except ValueError:  # what stays has one image a class
            continue
        known.append(distance_inputs(state, features[fold.known]))
        novel.append(distance_inputs(state, features[fold.novel]))
    return np.concatenate(known), np.concatenate(novel)
