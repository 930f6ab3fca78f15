"""What to expect of a rule on new images and new classes, and between what and what.

Every figure comes from cross-fitted margins (see `cross_fit`): how far the scores of a class lie
above the threshold of a rule that this class did not choose. The unit of uncertainty is the class.
Known and new sub-classes are many: they are resampled, twice, once for the classes at hand and once
for those to come. Super-classes are few: the posterior of `new_class` says where a new one may lie.

Shape legend: N rows of a table, C classes of a kind, D draws, M new classes, R residual rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.accuracy import harmonic_mean
from hierclf.rules.choose import choose_rule
from hierclf.rules.cross_fit import CrossFit, cross_fit
from hierclf.rules.draws import ClassDraws, SuperDraws, draw_classes, draw_super_classes
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.expected import new_super_class
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.new_class import PLAIN
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import Array, ScoreTable

_MAX_ROWS = 300
_CLIP = 10.0


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


class Drawn(NamedTuple):
    """The classes that a promise meets in its draws; see `draws`."""

    known: ClassDraws
    near: ClassDraws
    far: SuperDraws | None


class Promised(NamedTuple):
    """A promise and what it rests on.

    Attributes:
        figures: what to expect; see `promise`.
        rows: the rows that reported.
        fit: the rules that judged them.
        hidden_super, hidden_sub: how many classes could be held out at each level.
    """

    figures: Promise
    rows: ScoreTable
    fit: CrossFit
    hidden_super: int
    hidden_sub: int


def cross_fitted_promise(
    table: ScoreTable,
    parts: np.ndarray,
    report: ArrayLike,
    names: Sequence[str],
    *,
    goal: Goal = BALANCED,
    mix: Mix = DEFAULT_MIX,
) -> Promised:
    """What to expect of the rule that `choose_rule` finds, from classes that did not choose.

    Args:
        table: a score table. parts: int [C], the part of each sub-class.
        report: bool [N], rows that had no say in hyper-parameters.
        names: scores to fuse. goal: what rules are chosen for. mix: what images to expect.

    Raises:
        ValueError: no row that may report, and what `cross_fit` raises.
    """
    may = np.asarray(report, dtype=bool)
    if not may.any():
        raise ValueError("a promise needs rows that may report, but got none")
    folds = sorted(set(table.folds[may]))
    fit = cross_fit(table, parts, names, folds, choose=partial(choose_rule, goal=goal))
    margins = fit.predictions[may[fit.predictions.index]]
    rows = table.take(margins.index)
    evidence = Evidence.of(rows)
    counts = (evidence.n_classes(kind) for kind in (FAR, NEAR))
    return Promised(promise(rows, margins, mix=mix), rows, fit, *counts)


def margins_of(table: ScoreTable, rule: Rule) -> pd.DataFrame:
    """The margins of a rule that nothing here has chosen, such as the paper's; see `promise`."""
    return pd.DataFrame(
        {
            f"{level}_margin": table.score(level, rule[level].score) - rule[level].tau
            for level in LEVELS
        }
    )


def promise(
    table: ScoreTable,
    margins: pd.DataFrame,
    *,
    mix: Mix = DEFAULT_MIX,
    coverage: float = 0.9,
    seed: int = 0,
) -> Promise:
    """The six accuracies, harmonic means and their parts to expect.

    Args:
        table: N rows that may report. margins: their super_margin and sub_margin, as `cross_fit`
            gives them, in the same order.
        mix: what images to expect.
        coverage: in (0, 1), the probability of an interval.
        seed: same seed, same figures.

    Returns:
        super_overall, super_seen, super_unseen, super_harmonic and the same for sub; and the parts
        super_seen_known, super_seen_near, sub_unseen_near, sub_unseen_far. None where nothing could
        be held out to judge by.

    Raises:
        ValueError: `coverage` out of range, no rows.
    """
    if not 0.0 < coverage < 1.0:
        raise ValueError(f"`0 < coverage < 1` must hold, but got coverage={coverage}")
    if not len(table):
        raise ValueError("a promise needs rows that may report, but got none")
    evidence = Evidence.of(table)
    drawn = draw_for_promise(evidence, mix=mix, seed=seed)
    above = {
        level: np.clip(margins[f"{level}_margin"].to_numpy(np.float64), -_CLIP, _CLIP)
        for level in LEVELS
    }
    known = _resampled(
        evidence,
        KNOWN,
        evidence.super_right & (above["super"] <= 0),
        evidence.sub_right & (np.maximum(above["super"], above["sub"]) <= 0),
        drawn.known,
    )
    near = _resampled(
        evidence,
        NEAR,
        evidence.super_right & (above["super"] <= 0),
        np.maximum(above["super"], above["sub"]) > 0,
        drawn.near,
    )
    far = _new_super_classes(evidence, above["super"], above["sub"], drawn.far)
    draws = figures_of(known, near, far, mix)
    tail = (1.0 - coverage) / 2.0
    return {key: None if x is None else _figure(x, tail) for key, x in draws.items()}


def draw_for_promise(evidence: Evidence, *, mix: Mix = DEFAULT_MIX, seed: int = 0) -> Drawn:
    """The classes that `promise` draws: the same for every threshold."""
    rng = np.random.default_rng(seed)
    return Drawn(
        draw_classes(evidence, KNOWN, mix.known_sub_classes, rng),
        draw_classes(evidence, NEAR, mix.new_sub_classes, rng),
        draw_super_classes(evidence, mix.new_super_classes, rng),
    )


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


def _figure(draws: Array, tail: float) -> Figure:
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    mean = draws.mean()
    # The mean of a skewed distribution may lie outside its own quantiles; 1 + 2e-16 is a 1.
    ends = (mean, min(low, mean), max(high, mean))
    return Figure(*(min(max(float(x), 0.0), 1.0) for x in ends))


def _resampled(
    evidence: Evidence,
    kind: int,
    super_hit: np.ndarray,
    sub_hit: np.ndarray,
    drawn: ClassDraws,
) -> Draws:
    """Draws of the mean over new classes of a kind, at both levels."""
    found: dict[Level, Array | None] = {}
    for level, hit in zip(LEVELS, (super_hit, sub_hit), strict=True):
        # The weights make KNOWN figures means over images, NEAR ones means over classes.
        weight = evidence.weights(level) * evidence.rows(kind)
        rows = weight > 0.0
        if not rows.any():
            found[level] = None
            continue
        _, index = np.unique(evidence.unit[rows], return_inverse=True)
        total, mass = np.bincount(index, (weight * hit)[rows]), np.bincount(index, weight[rows])
        classes = drawn[len(mass)]
        found[level] = total[classes].sum(axis=1) / mass[classes].sum(axis=1)
    return found["super"], found["sub"]


def _new_super_classes(
    evidence: Evidence, super_above: Array, sub_above: Array, drawn: SuperDraws | None
) -> Draws:
    """Draws of both levels' accuracy on M new super-classes."""
    if drawn is None:
        return None, None
    models = [
        new_super_class(evidence, above, prior_classes=PLAIN) for above in (super_above, sub_above)
    ]
    step = -(-len(models[0].residuals) // _MAX_ROWS)
    weight = evidence.weight[evidence.rows(FAR)][::step]
    weight = weight / weight.sum()
    # One class has one place at both levels: the draws are shared.
    novel = [model.draw(*drawn)[:, :, None] + model.residuals[::step] > 0 for model in models]
    return (novel[0] @ weight).mean(axis=1), ((novel[0] | novel[1]) @ weight).mean(axis=1)
