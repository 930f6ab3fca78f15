"""The share of novel images among unlabelled ones, from their scores alone.

The images' pair of scores is taken to be distributed as

    p(s) = w_known p_known(s) + w_near p_near(s) + w_far p_far(s),

where the three densities are those of a score table: of known classes, of new sub-classes of known
super-classes, and of new super-classes (see `evidence`). Each is a histogram over the same cells;
the weights w maximise the likelihood of the images (EM). The share of novel images is w_far at the
super level and w_near + w_far at the sub level. Known classes are met again, new ones are not the
held-out ones: for the interval, classes are drawn anew as in `draws`, and images with them.

Shape legend: N rows of a table, U unlabelled images, C cells, D draws, K kinds with rows, G classes
of a kind.
"""

from typing import NamedTuple

import numpy as np

from hierclf.hierarchy import Level
from hierclf.rules.evidence import FAR, KINDS, KNOWN, Evidence
from hierclf.rules.promise import Figure
from hierclf.rules.score_table import Array, Ints

MIN_IMAGES = 50
"""With fewer, chance alone moves a share of 0.3 by more than 0.1, one time in eight."""
_BINS = 8
_DRAWS = 200
_STEPS = 300
_ROWS_PER_CELL = 0.5  # added to every histogram, so that no cell is impossible


class Shares(NamedTuple):
    """Shares in [0, 1] of all images, with 90 % intervals.

    Attributes:
        super: images of new super-classes; None where no super-class could be held out.
        sub: images of new sub-classes, those of new super-classes among them.
        near_of_seen: of images of known super-classes, those of new sub-classes.
        far_of_unseen: of images of new sub-classes, those of new super-classes.
    """

    super: Figure | None
    sub: Figure
    near_of_seen: float
    far_of_unseen: float


def novel_shares(
    evidence: Evidence,
    scores: dict[Level, Array],
    images: dict[Level, Array],
    *,
    coverage: float = 0.9,
    seed: int = 0,
) -> Shares:
    """Estimate the shares of novel images.

    Args:
        evidence: of a score table with N rows.
        scores: float64 [N] for each level, of the table's rows.
        images: float64 [U] for each level, the same scores of the unlabelled images.
        coverage: in (0, 1), the probability of an interval.
        seed: same seed, same intervals.

    Raises:
        ValueError: no known rows, or no rows of held-out classes.
    """
    n_images = len(images["sub"])
    assert n_images, "callers refuse few images"
    kinds = [kind for kind in KINDS if evidence.has(kind)]
    if KNOWN not in kinds or len(kinds) < 2:
        raise ValueError("a share needs rows of known and of held-out classes in the score table")
    rng = np.random.default_rng(seed)
    edges = {level: _edges(evidence, scores[level], kinds) for level in scores}
    cells, found = _cells(scores, edges), _cells(images, edges)
    n_cells = _BINS ** len(edges)
    counts = np.bincount(found, minlength=n_cells)
    histograms = [_histograms(evidence, kind, cells, n_cells) for kind in kinds]
    whole = np.stack([_density(h, np.ones((1, len(h)))) for h in histograms], axis=1)
    fitted = mixture_weights(whole, counts[None])
    drawn = np.stack([_density(h, _drawn(len(h), rng)) for h in histograms], axis=1)
    weights = mixture_weights(drawn, rng.multinomial(n_images, counts / n_images, size=_DRAWS))
    return _shares(kinds, fitted[0], weights, coverage)


def mixture_weights(densities: Array, counts: Ints) -> Array:
    """The most likely weights of D mixtures, by EM.

    Args:
        densities: float64 [D, K, C], each row of sum 1, all above 0.
        counts: int [D, C], how many images each cell holds.

    Returns:
        float64 [D, K], each row of sum 1.
    """
    n_kinds = densities.shape[1]
    weights = np.full(densities.shape[:2], 1.0 / n_kinds)
    share = counts / counts.sum(axis=1, keepdims=True)
    for _ in range(_STEPS):
        mixed = np.einsum("dk,dkc->dc", weights, densities)
        weights = weights * np.einsum("dc,dkc->dk", share / mixed, densities)
    return weights


def _edges(evidence: Evidence, scores: Array, kinds: list[int]) -> Array:
    """Inner edges of bins that hold equal parts of all kinds together."""
    weight = evidence.weight / len(kinds)
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weight[order])
    at = np.searchsorted(below, np.arange(1, _BINS) / _BINS)
    return scores[order][np.minimum(at, len(order) - 1)]


def _cells(scores: dict[Level, Array], edges: dict[Level, Array]) -> Ints:
    """The cell of each pair of scores, int64."""
    bins = [np.searchsorted(edges[level], scores[level]) for level in edges]
    return bins[0].astype(np.int64) * _BINS + bins[1]


def _histograms(evidence: Evidence, kind: int, cells: Ints, n_cells: int) -> Array:
    """Rows in each cell, float64 [G, C], a class per row; NEAR and FAR classes count alike."""
    rows = evidence.rows(kind)
    units, unit = np.unique(evidence.unit[rows], return_inverse=True)
    weight = evidence.weight[rows] * rows.sum()
    flat = np.bincount(unit * n_cells + cells[rows], weight, minlength=len(units) * n_cells)
    return flat.astype(np.float64).reshape(len(units), n_cells)


def _drawn(n_classes: int, rng: np.random.Generator) -> Array:
    """How often each of G classes is drawn, [D, G]: G of G with replacement, and G of these."""
    first = rng.integers(n_classes, size=(_DRAWS, n_classes))
    second = rng.integers(n_classes, size=(_DRAWS, n_classes))
    classes = np.take_along_axis(first, second, axis=1)
    return (classes[:, :, None] == np.arange(n_classes)).sum(axis=1).astype(np.float64)


def _density(histograms: Array, times: Array) -> Array:
    """Densities [D, C] of classes [G, C] that are drawn a number of times [D, G]."""
    rows = times @ histograms + _ROWS_PER_CELL
    return rows / rows.sum(axis=1, keepdims=True)


def _shares(kinds: list[int], fitted: Array, weights: Array, coverage: float) -> Shares:
    known, far = kinds.index(KNOWN), kinds.index(FAR) if FAR in kinds else None

    def figure(expected: float, draws: Array) -> Figure:
        reach = float(np.quantile(np.abs(draws - expected), coverage))
        return Figure(expected, max(expected - reach, 0.0), min(expected + reach, 1.0))

    sub = figure(float(1.0 - fitted[known]), 1.0 - weights[:, known])
    if far is None:
        return Shares(None, sub, sub.expected, 0.0)
    new_super = float(fitted[far])
    near = max(sub.expected - new_super, 0.0)
    return Shares(
        figure(new_super, weights[:, far]),
        sub,
        near / max(1.0 - new_super, 1e-9),
        new_super / max(sub.expected, 1e-9),
    )
