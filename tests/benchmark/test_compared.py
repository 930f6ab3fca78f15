"""Claims about variants of a configuration, compared in worlds of new classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hierclf.benchmark.__main__ import app
from hierclf.benchmark.compared import AS_IT_IS, Variant, gains, in_same_worlds, report
from hierclf.benchmark.worlds import draw_world
from hierclf.config import parse_config
from hierclf.data.cache import ImageCache
from hierclf.data.sources import open_source
from hierclf.training.prepare import Prepared
from tests.fold_runs import CACHE

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
SETTINGS = ["model.image_size=32", "train.epochs=1", "folds.sub=2", "folds.super=1"]
SETTINGS += ["folds.mixed=1", "thresholds.scores=[msp,energy]"]


def drawn_rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for world in range(6):
        easy = rng.normal(0.7, 0.1)  # a world that is easy is so for every variant
        for title, gain, seconds in ((AS_IT_IS, 0.0, 2.0), ("better", 0.03, 6.0)):
            for figure in ("super_harmonic", "sub_harmonic"):
                found = easy + gain + rng.normal(0, 0.005)
                rows.append((world, title, figure, found, seconds))
    return pd.DataFrame(rows, columns=["world", "variant", "figure", "found", "seconds"])


def test_a_gain_is_paired_by_world_with_students_interval() -> None:
    rows = drawn_rows()
    found = gains(rows).set_index("figure").loc["sub_harmonic"]
    of = {
        title: rows[(rows.variant == title) & (rows.figure == "sub_harmonic")]["found"].to_numpy()
        for title in (AS_IT_IS, "better")
    }
    test = stats.ttest_rel(of["better"], of[AS_IT_IS])
    low, high = test.confidence_interval(0.9)
    expected = [np.mean(of["better"] - of[AS_IT_IS]), low, high]
    np.testing.assert_allclose(found[["mean", "low", "high"]].astype(float), expected)
    assert found["worlds"] == 6
    assert 0.02 < found["low"] < found["high"] < 0.04  # far narrower than worlds differ


def test_one_world_tells_nothing_of_the_spread() -> None:
    rows = drawn_rows()
    found = gains(rows[rows.world == 0])
    assert np.isneginf(found["low"]).all()
    assert np.isposinf(found["high"]).all()
    assert "inf" not in report(rows[rows.world == 0])


def test_the_report_has_a_row_per_variant_with_its_time() -> None:
    lines = report(drawn_rows()).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| better | +")
    assert lines[2].endswith(" | 3.0 x |")


def variant_of(cache: ImageCache) -> Variant:
    return Variant(parse_config({}), Prepared(cache, {}, None, None, None, None))


def test_near_copies_that_another_backbone_finds_do_not_change_the_test_images() -> None:
    rng = np.random.default_rng(0)
    first, second = (replace(CACHE, groups=rng.integers(0, 40, len(CACHE.names))) for _ in range(2))
    group_of = np.arange(CACHE.hierarchy.n_sub) % 5
    variants = {AS_IT_IS: variant_of(first), "other": variant_of(second)}
    ours, theirs = (
        draw_world(prepared.cache, 3) for prepared in in_same_worlds(variants, group_of).values()
    )
    np.testing.assert_array_equal(ours.val, theirs.val)
    np.testing.assert_array_equal(ours.train, theirs.train)


def test_a_variant_with_other_images_is_refused() -> None:
    other = replace(CACHE, names=CACHE.names[::-1])
    variants = {AS_IT_IS: variant_of(CACHE), "data.path=other": variant_of(other)}
    with pytest.raises(ValueError, match=r"the same images and classes, but data\.path=other"):
        in_same_worlds(variants, np.arange(CACHE.hierarchy.n_sub) % 5)


@pytest.mark.slow
def test_variants_meet_the_same_world(tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    names = open_source("demo").hierarchy.sub_names
    own = [f"g{i % 5}" for i in range(len(names))]
    pd.DataFrame({"class": names, "group": own}).to_csv(groups, index=False)
    same, other = "thresholds.goal=balanced", "train.lr=0.02;thresholds.scores=[msp]"
    words = ["compare", "--config", str(DEMO), "--variant", same, "--variant", other]
    words += ["--worlds", "1", "--first", "2", "--groups", str(groups), "--out", str(tmp_path)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    app(words, standalone_mode=False)
    rows = pd.read_csv(tmp_path / "variants.csv")
    assert set(rows["world"]) == {2}
    found = rows.pivot_table(index="figure", columns="variant", values="found")
    assert (found[same] == found[AS_IT_IS]).all()  # a value that it has anyway
    assert (found[other] != found[AS_IT_IS]).any()
    assert f"| {other} | " in (tmp_path / "variants.md").read_text()
