"""Claims about the paired comparison of two configurations."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.comparison import Gain, paired_gain
from hierclf.rules.score_table import ScoreTable


def judged(
    rng: np.random.Generator, skill: float, n_classes: int = 12
) -> tuple[ScoreTable, pd.DataFrame]:
    """Rows of known, near and far classes, right with a probability that differs by class."""
    frames = []
    for kind, (super_known, sub_known) in enumerate([(True, True), (True, False), (False, False)]):
        for c in range(n_classes):
            sup = c % 3 if super_known else 10 + c
            right = rng.random(40) < np.clip(skill + rng.normal(0, 0.02), 0, 1)
            novel = right ^ sub_known
            frames.append(
                pd.DataFrame(
                    {
                        "fold": f"fold{kind}",
                        "super_label": sup,
                        "sub_label": 100 * kind + c,
                        "super_pred": sup,
                        "sub_pred": 100 * kind + c,
                        "super_known": super_known,
                        "sub_known": sub_known,
                        "super_margin": np.where(novel & ~np.bool_(super_known), 1.0, -1.0),
                        "sub_margin": np.where(novel, 1.0, -1.0),
                    }
                )
            )
    table = pd.concat(frames, ignore_index=True)
    return ScoreTable(table), table


def test_a_configuration_against_itself_gains_nothing() -> None:
    own = judged(np.random.default_rng(0), 0.8)
    assert paired_gain(own, own) == Gain(0.0, 0.0, 0.0)
    assert not paired_gain(own, own).convincing


def test_a_clear_gain_is_convincing_and_the_other_way_round_its_negative() -> None:
    rng = np.random.default_rng(1)
    good, poor = judged(rng, 0.9), judged(rng, 0.6)
    gain, loss = paired_gain(good, poor), paired_gain(poor, good)
    assert gain.convincing
    assert not loss.convincing
    assert gain.mean == pytest.approx(-loss.mean)
    assert gain.low < gain.mean < gain.high


def test_noise_is_rarely_convincing() -> None:
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found += paired_gain(judged(rng, 0.8), judged(rng, 0.8)).convincing
    assert found <= 12  # 5 wanted: one side of a 90 % interval


def test_the_mean_is_the_difference_counted_by_hand() -> None:
    own, other = judged(np.random.default_rng(2), 1.0), judged(np.random.default_rng(2), 1.0)
    # All known images of one of 12 classes become novel at the sub level: 1/12 of half a level.
    worse = other[1].copy()
    worse.loc[worse["sub_label"] == 0, "sub_margin"] = 1.0
    own[1].loc[own[1]["sub_label"] == 0, "sub_margin"] = -1.0
    assert paired_gain(own, (other[0], worse)).mean == pytest.approx(0.5 * 0.5 / 12)


def test_one_hidden_super_class_tells_nothing_of_others() -> None:
    rng = np.random.default_rng(3)
    tables = []
    for skill in (0.95, 0.5):
        table, margins = judged(rng, skill)
        keep = table.super.known | (table.super.labels == 10)
        tables.append((table.where(keep), margins[keep]))
    gain = paired_gain(tables[0], tables[1])
    assert (gain.low, gain.high) == (-1.0, 1.0)
    assert not gain.convincing


def test_other_rows_are_refused_in_one_line() -> None:
    table, margins = judged(np.random.default_rng(4), 0.8)
    with pytest.raises(ValueError, match="compared on the same rows"):
        paired_gain((table, margins), (table.where(table.sub.known), margins[table.sub.known]))
