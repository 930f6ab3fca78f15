"""What an outsider finds, on the demo set with networks trained for a moment."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.benchmark.nested import inner_folds, main, outer_folds
from hierclf.config import Config, load_config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.sources import open_source

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
SETTINGS = ["model.image_size=32", "train.epochs=1", "folds.sub=2", "folds.super=1"]
SETTINGS += ["folds.mixed=1", "thresholds.scores=[msp,energy,knn]"]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(DEMO, SETTINGS)


@pytest.fixture(scope="module")
def cache(config: Config, tmp_path_factory: pytest.TempPathFactory) -> ImageCache:
    folder = tmp_path_factory.mktemp("cache")
    return open_cache(open_source("demo"), size=config.data.size, directory=folder)


def test_every_sub_class_is_an_outsider_once(config: Config, cache: ImageCache) -> None:
    folds = outer_folds(cache, config, n=3, seed=0)
    hidden = [np.unique(cache.sub_labels[fold.held_out]) for fold in folds]
    np.testing.assert_array_equal(np.sort(np.concatenate(hidden)), np.arange(cache.hierarchy.n_sub))


def test_no_inner_fold_has_an_image_or_a_class_of_the_outsider(
    config: Config, cache: ImageCache
) -> None:
    outer = outer_folds(cache, config, n=3, seed=0)[0]
    folds, parts = inner_folds(cache, config, outer)
    assert [fold.name for fold in folds] == ["sub0", "sub1", "super0", "mixed0", "reference", "all"]
    for fold in folds[:-1]:
        rows = np.concatenate([fold.train, fold.val, fold.held_out])
        np.testing.assert_array_equal(np.sort(rows), outer.train)
        trained = cache.sub_labels[fold.train]
        np.testing.assert_array_equal(np.unique(trained), fold.known_sub)
        np.testing.assert_array_equal(np.unique(cache.super_labels[fold.train]), fold.known_super)
        assert not np.isin(cache.sub_labels[fold.held_out], fold.known_sub).any()
    np.testing.assert_array_equal(folds[-1].train, outer.train)
    # Sub fold i hides part i, as the cross-fitting takes it.
    for part in (0, 1):
        hidden = np.unique(cache.sub_labels[folds[part].held_out])
        assert (parts[hidden] == part).all()


@pytest.mark.slow
def test_estimate_and_what_was_found_are_written_for_both_carries(tmp_path: Path) -> None:
    given = [word for setting in SETTINGS for word in ("--set", setting)]
    main(["--config", str(DEMO), *given, "--folds", "2", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "outsider.csv")
    assert len(rows) == 2 * 5
    assert set(rows["kind"]) == {"estimate", "found"}
    found = rows[rows["kind"] == "found"]
    # The final network knows every super-class: none of the outsider's images is of a novel one.
    assert found["super_unseen"].isna().all()
    assert found["sub_unseen_near"].between(0.0, 1.0).all()
    text = (tmp_path / "outsider.md").read_text()
    assert "| paper's rule | sub seen | - |" in text


@pytest.mark.parametrize("option", ["--folds", "--seeds"])
def test_a_count_that_is_too_small_is_one_line(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([option, "0"])
    assert f"{option} >= " in capsys.readouterr().err
