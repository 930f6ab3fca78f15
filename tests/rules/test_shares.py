"""Claims about the share of novel images among unlabelled ones."""

import numpy as np
import pytest
from scipy.optimize import minimize

from hierclf.commands.adapt import goal_of
from hierclf.hierarchy import LEVELS
from hierclf.rules.choose import choose_rule
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.fusion import fused_score
from hierclf.rules.rule import Rule, apply_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.shares import Shares, mixture_weights, novel_shares
from tests.drawn_places import place_of, world_of
from tests.drawn_tables import draw_table

NAMES = ("msp", "energy", "knn")
# Shares of new super-classes, and of new sub-classes of known ones: 0 to 0.8 at both levels.
SHARES = ((0, 0), (0.2, 0), (0, 0.2), (0, 0.4), (0.4, 0.2), (0.6, 0), (0.6, 0.2), (0.8, 0))


def estimated(table: ScoreTable, place: ScoreTable, *, names: tuple[str, ...] = NAMES) -> Shares:
    texts = {level: fused_score(table, level, names) for level in LEVELS}
    scores = [
        {level: rows.score(level, texts[level]) for level in LEVELS} for rows in (table, place)
    ]
    return novel_shares(Evidence.of(table), *scores)


def truth_of(place: ScoreTable) -> tuple[float, float]:
    return float((~place.super.known).mean()), float((~place.sub.known).mean())


def covers(shares: Shares, truth: tuple[float, float]) -> list[bool]:
    """At each level; rounded, since a share of 0 is never estimated as exactly 0."""
    assert shares.super is not None
    pairs = zip((shares.super, shares.sub), truth, strict=True)
    return [round(figure.low, 2) <= true <= figure.high for figure, true in pairs]


def errors(shares: Shares, truth: tuple[float, float]) -> list[float]:
    assert shares.super is not None
    return [abs(shares.super.expected - truth[0]), abs(shares.sub.expected - truth[1])]


def test_shares_are_estimated_within_five_per_cent_and_the_intervals_cover() -> None:
    found = []
    for seed in range(3):
        table = ScoreTable(draw_table(3000, seed=seed))
        for far, near in SHARES:
            place = place_of(400, far, near, seed=seed)
            shares, truth = estimated(table, place), truth_of(place)
            found.append((errors(shares, truth), covers(shares, truth)))
    error, covered = np.array([x for x, _ in found]), np.array([x for _, x in found])
    assert error.mean(axis=0).max() < 0.03
    assert error.max() < 0.08
    assert covered.mean(axis=0).min() >= 0.9


def test_it_holds_where_the_new_classes_of_the_place_are_not_those_held_out() -> None:
    found = []
    for seed in range(30):
        far, near = SHARES[seed % len(SHARES)]
        table, place = world_of(400, far, near, seed=seed)
        shares, truth = estimated(table, place, names=("s",)), truth_of(place)
        found.append((errors(shares, truth), covers(shares, truth)))
    error, covered = np.array([x for x, _ in found]), np.array([x for _, x in found])
    assert error.mean(axis=0).max() < 0.05
    assert covered.mean(axis=0).min() >= 0.8


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_are_the_most_likely_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    densities = rng.dirichlet(np.full(20, 0.5), size=3) * 0.98 + 0.001
    counts = rng.multinomial(500, rng.dirichlet(np.ones(3)) @ densities / densities.sum(axis=1)[0])
    found = mixture_weights(densities[None], counts[None])[0]

    def loss(logits: np.ndarray) -> float:
        weights = np.exp(logits - np.logaddexp.reduce(logits))
        return -float(counts @ np.log(weights @ densities))

    reference = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    weights = np.exp(reference - np.logaddexp.reduce(reference))
    np.testing.assert_allclose(found, weights, atol=2e-3)


@pytest.mark.parametrize(
    ("far", "near", "least"),
    # Most images novel: thresholds allow for nearer classes than those held out, at a small cost.
    [(0, 0, 0.05), (0, 0.2, 0.03), (0.2, 0.2, 0.0), (0.4, 0.2, 0.0), (0.8, 0, -0.03)],
)
def test_thresholds_for_the_estimated_share_are_right_more_often_at_that_share(
    far: float, near: float, least: float
) -> None:
    gains = []
    for seed in range(3):
        table, place = ScoreTable(draw_table(3000, seed=seed)), place_of(1000, far, near, seed=seed)
        goal = goal_of(estimated(table, place), len(place))
        before, after = choose_rule(table, NAMES).rule, choose_rule(table, NAMES, goal=goal).rule
        gains.append(accuracy(place, after) - accuracy(place, before))
    assert np.mean(gains) > least, gains


def accuracy(place: ScoreTable, rule: Rule) -> float:
    """The mean of both levels."""
    found = apply_rule(place, rule)
    pairs = zip(found, place.targets, strict=True)
    return float(np.mean([(predicted == true).mean() for predicted, true in pairs]))


def test_without_held_out_super_classes_only_the_sub_level_is_estimated() -> None:
    whole = ScoreTable(draw_table(3000))
    table = whole.where(~Evidence.of(whole).rows(FAR))
    place = place_of(400, 0, 0.4, seed=0)
    shares = estimated(table, place)
    assert shares.super is None
    assert shares.sub.low <= truth_of(place)[1] <= shares.sub.high
    assert goal_of(shares, 400).super_novel_rate is None


@pytest.mark.parametrize("kinds", [(KNOWN,), (NEAR, FAR)])
def test_a_table_without_known_or_without_held_out_classes_is_refused(
    kinds: tuple[int, ...],
) -> None:
    table = ScoreTable(draw_table(3000))
    kept = table.where(np.isin(Evidence.of(table).kind, kinds))
    scores = {level: kept.score(level, "knn") for level in LEVELS}
    with pytest.raises(ValueError, match="a share needs rows of known and of held-out classes"):
        novel_shares(Evidence.of(kept), scores, scores)
