"""Claims about worlds of new classes, on the demo set."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.benchmark.__main__ import app
from hierclf.benchmark.new_classes import best_harmonics, found_accuracies, report
from hierclf.benchmark.worlds import (
    cluster_groups,
    draw_world,
    inner_folds,
    read_groups,
    regrouped,
)
from hierclf.config import Config, load_config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.sources import open_source
from hierclf.rules.figures import Mix
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
SETTINGS = ["model.image_size=32", "train.epochs=1", "folds.sub=2", "folds.super=1"]
SETTINGS += ["folds.mixed=1", "thresholds.scores=[msp,energy,knn]"]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(DEMO, SETTINGS)


@pytest.fixture(scope="module")
def cache(config: Config, tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    folder = tmp_path_factory.mktemp("cache")
    whole = open_cache(open_source("demo"), size=config.data.size, directory=folder)
    return regrouped(whole, np.arange(whole.hierarchy.n_sub) % 5)


@pytest.mark.parametrize("seed", range(5))
def test_a_world_knows_three_groups_or_more_and_judges_by_what_it_does_not_know(
    cache: ImageCache, seed: int
) -> None:
    world = draw_world(cache, seed)
    every = np.concatenate([world.train, world.val, world.held_out])
    np.testing.assert_array_equal(np.sort(every), np.arange(len(cache.sub_labels)))
    assert 3 <= len(world.known_super) <= 4
    assert set(cache.sub_labels[world.val]) <= set(cache.sub_labels[world.train])
    assert not set(cache.sub_labels[world.held_out]) & set(world.known_sub.tolist())
    hidden = cache.super_labels[world.held_out]
    assert set(hidden.tolist()) - set(world.known_super.tolist()), "some groups are new"
    assert set(hidden.tolist()) & set(world.known_super.tolist()), "some sub-classes are new"


def test_new_sub_classes_are_a_quarter_of_those_of_known_groups_and_drawn_from_all_alike(
    cache: ImageCache,
) -> None:
    groups = np.asarray(cache.hierarchy.sub_to_super)
    new = np.zeros(cache.hierarchy.n_sub)
    there = np.zeros(cache.hierarchy.n_sub)
    for seed in range(200):
        world = draw_world(cache, seed)
        of_known = np.flatnonzero(np.isin(groups, world.known_super))
        hidden = np.setdiff1d(of_known, world.known_sub)
        assert len(hidden) == round(0.25 * len(of_known))
        assert set(groups[world.known_sub]) == set(world.known_super)
        there[of_known] += 1
        new[hidden] += 1
    # Binomial with about 140 worlds for each sub-class: four standard errors are 0.15.
    np.testing.assert_allclose(new / there, new.sum() / there.sum(), atol=0.15)


def test_every_new_class_weighs_the_same_in_what_is_found() -> None:
    # Two new super-classes, of three images found and one missed; one known image, which is right.
    frame = pd.DataFrame(
        {
            "fold": "all",
            "split": ["val"] + ["held_out"] * 4,
            "super_label": [0, 1, 1, 1, 2],
            "sub_label": [0, 1, 1, 1, 2],
            "super_known": [True] + [False] * 4,
            "sub_known": [True] + [False] * 4,
            "super_pred": 0,
            "sub_pred": 0,
            "super_msp": [-1.0, 1.0, 1.0, 1.0, -1.0],
            "sub_msp": -1.0,
        }
    )
    table, rule = ScoreTable(frame), Rule(LevelRule("msp", 0.0), LevelRule("msp", 0.0))
    found = found_accuracies(table, rule, Mix())
    assert (found["super_seen"], found["super_unseen"], found["sub_seen"]) == (1.0, 0.5, 1.0)
    assert best_harmonics(table, rule, Mix())["super_harmonic"] == pytest.approx(2 / 3)


def test_no_inner_fold_has_an_image_or_a_class_of_what_judges(
    config: Config, cache: ImageCache
) -> None:
    outer = draw_world(cache, 0)
    folds, parts = inner_folds(cache, config, outer)
    names = ["sub0", "sub1", "super0", "mixed0", "reference", "smaller", "all"]
    assert [fold.name for fold in folds] == names
    for fold in folds[:-1]:
        rows = np.concatenate([fold.train, fold.val, fold.held_out])
        assert set(rows.tolist()) <= set(outer.train.tolist())
        trained = cache.sub_labels[fold.train]
        np.testing.assert_array_equal(np.unique(trained), fold.known_sub)
        np.testing.assert_array_equal(np.unique(cache.super_labels[fold.train]), fold.known_super)
        assert not np.isin(cache.sub_labels[fold.held_out], fold.known_sub).any()
    np.testing.assert_array_equal(folds[-1].train, outer.train)
    # Sub fold i hides part i, as the cross-fitting takes it.
    for part in (0, 1):
        hidden = np.unique(cache.sub_labels[folds[part].held_out])
        assert (parts[hidden] == part).all()


def test_classes_that_look_alike_are_clustered_together() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8)[[0, 0, 0, 3, 3, 6, 6, 6]]
    labels = np.repeat(np.arange(8), 20)
    features = centres[labels] + 0.05 * rng.normal(size=(160, 8))
    groups = cluster_groups(features, labels, 3)
    for members in ([0, 1, 2], [3, 4], [5, 6, 7]):
        assert len(set(groups[members])) == 1
    assert len(set(groups)) == 3


def test_a_mapping_file_names_the_groups_and_its_mistakes_are_one_line(
    cache: ImageCache, tmp_path: Path
) -> None:
    names, path = cache.hierarchy.sub_names, tmp_path / "groups.csv"
    table = pd.DataFrame({"class": names, "group": [f"g{i % 3}" for i in range(len(names))]})
    table.to_csv(path, index=False)
    np.testing.assert_array_equal(read_groups(path, cache.hierarchy), np.arange(len(names)) % 3)
    table.iloc[1:].to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"every class needs a group, but .* has none"):
        read_groups(path, cache.hierarchy)
    table.assign(**{"class": "unicorn"}).to_csv(path, index=False)
    with pytest.raises(ValueError, match="row 2: 'unicorn' is not a class of the data"):
        read_groups(path, cache.hierarchy)


def test_fewer_than_four_groups_are_refused(cache: ImageCache) -> None:
    with pytest.raises(ValueError, match="worlds need 4 groups or more, but got 3"):
        draw_world(regrouped(cache, np.arange(cache.hierarchy.n_sub) % 3), 0)


def test_the_report_counts_what_lies_within_the_intervals() -> None:
    row = {"figure": "sub_seen", "expected": 0.8, "low": 0.7, "high": 0.9, "regret": np.nan}
    rows = [row | {"world": 0, "found": 0.85}, row | {"world": 2, "found": 0.95}]
    assert "| sub seen | 80.0 | 90.0 | +10.0 | 50 |  |" in report(pd.DataFrame(rows))


@pytest.mark.slow
def test_promised_and_found_are_written_for_each_world(cache: ImageCache, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    names = cache.hierarchy.sub_names
    pd.DataFrame({"class": names, "group": [f"g{i % 5}" for i in range(len(names))]}).to_csv(
        path, index=False
    )
    given = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["new-classes", "--config", str(DEMO), *given, "--worlds", "2", "--groups", str(path)]
    app([*words, "--first", "3", "--out", str(tmp_path)], standalone_mode=False)
    rows = pd.read_csv(tmp_path / "new_classes.csv")
    assert set(rows["world"]) == {3, 4}
    assert rows["found"].between(0, 1).all()
    assert (rows["regret"].dropna() >= 0).all()
    assert "| super unseen |" in (tmp_path / "new_classes.md").read_text()
