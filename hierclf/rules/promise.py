"""What to expect of a rule on new images and new classes, and between what and what.

Every figure comes from cross-fitted margins (see `cross_fit`): how far the scores of a class lie
above the threshold of a rule that this class did not choose. The unit of uncertainty is the class.
Known and new sub-classes are many: they are resampled, twice, once for the classes at hand and once
for those to come. Super-classes are few: the posterior of `new_class` says where a new one may lie,
and an interval spans what it says and what resampling the hidden ones says. The posterior alone
ends too low where the hidden ones were found nearly always; resampling alone knows no class that
lies nearer than those at hand.

Shape legend: N rows of a table, C classes of a kind, D draws, M new classes, R residual rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.choose import choose_rule
from hierclf.rules.cross_fit import CrossFit, cross_fit
from hierclf.rules.draws import ClassDraws, SuperDraws, draw_classes, draw_super_classes
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.expected import new_super_class
from hierclf.rules.figures import DEFAULT_MIX, Draws, Figure, Mix, Promise, figures_of
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.new_class import PLAIN
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import Array, Bools, ScoreTable

_MAX_ROWS = 300
_CLIP = 10.0


class Drawn(NamedTuple):
    """The classes that a promise meets in its draws; see `draws`.

    Attributes:
        known, near: sub-classes at hand, of known super-classes.
        far: new super-classes, as places that `new_class` gives them; None where none was hidden.
        hidden: super-classes at hand that were hidden.
    """

    known: ClassDraws
    near: ClassDraws
    far: SuperDraws | None
    hidden: ClassDraws


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
    sub_novel = np.maximum(above["super"], above["sub"]) > 0
    known = _resampled(
        evidence,
        KNOWN,
        evidence.super_right & (above["super"] <= 0),
        evidence.sub_right & ~sub_novel,
        drawn.known,
    )
    near = _resampled(
        evidence,
        NEAR,
        evidence.super_right & (above["super"] <= 0),
        sub_novel,
        drawn.near,
    )
    far = _new_super_classes(evidence, above["super"], above["sub"], drawn.far)
    hidden = _resampled(evidence, FAR, above["super"] > 0, sub_novel, drawn.hidden)
    draws = [
        figures_of(known, near, new, mix)
        for new in (_centred(evidence, far, sub_novel), far, hidden)
    ]
    tail = (1.0 - coverage) / 2.0
    return {key: _figure([x[key] for x in draws], tail) for key in draws[0]}


def draw_for_promise(evidence: Evidence, *, mix: Mix = DEFAULT_MIX, seed: int = 0) -> Drawn:
    """The classes that `promise` draws: the same for every threshold."""
    rng = np.random.default_rng(seed)
    return Drawn(
        draw_classes(evidence, KNOWN, mix.known_sub_classes, rng),
        draw_classes(evidence, NEAR, mix.new_sub_classes, rng),
        draw_super_classes(evidence, mix.new_super_classes, rng),
        draw_classes(evidence, FAR, mix.new_super_classes, rng),
    )


def _figure(draws: Sequence[Array | None], tail: float) -> Figure | None:
    """The expected value is that of the first draws; the interval spans those of all."""
    known = [x for x in draws if x is not None]
    if not known:
        return None
    low, high = np.quantile(known, [tail, 1.0 - tail], axis=1)
    mean = known[0].mean()
    # The mean of a skewed distribution may lie outside its own quantiles; 1 + 2e-16 is a 1.
    ends = (mean, min(low.min(), mean), max(high.max(), mean))
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


def _centred(evidence: Evidence, far: Draws, found: Bools) -> Draws:
    """The draws with the sub level's moved up to the mean over the super-classes at hand.

    The model of `new_class` says how far a class may lie from the others. As a mean it is too low
    where nearly all images are found, since its tails end at 100 %. So it counts as `PLAIN` classes
    beside the K that were hidden, and misses shrink in proportion. At the super level its caution
    is needed: the networks of the folds know fewer super-classes than the final one, to which a
    new one lies nearer (results/README.md, "New classes").

    Args:
        evidence: N rows. far: the model's draws. found: bool [N], the FAR rows called novel at the
            sub level.
    """
    super_draws, sub_draws = far
    if sub_draws is None:
        return far
    n, weight = evidence.n_classes(FAR), evidence.weight * evidence.rows(FAR)
    old, at_hand = float(sub_draws.mean()), float(weight @ found)
    if at_hand <= old:
        return far
    misses = (n * (1.0 - at_hand) + PLAIN * (1.0 - old)) / (n + PLAIN)
    return super_draws, 1.0 - (1.0 - sub_draws) * misses / (1.0 - old)
