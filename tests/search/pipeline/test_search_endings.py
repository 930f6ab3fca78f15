"""A search that cannot succeed says so."""

from pathlib import Path

import pandas as pd
import pytest

from tests.searches import Place, runs_of, stages, tiny, tune

pytestmark = pytest.mark.slow


@pytest.fixture
def apart(place: Place) -> Place:
    """Results of their own, so that the other search has its model registry for itself."""
    return place._replace(results=place.results.with_name("other results"))


def test_a_search_in_which_every_loss_is_nan_fails_in_one_line(apart: Place, run: Path) -> None:
    options = tiny(
        apart,
        "nan",
        "--trials",
        "1",
        "--set",
        "search.space.train.lr={low: 1e30, high: 1e32, log: true}",
    )
    ended = tune(*options, cache=apart.cache)
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    for words in ("at least one trial must succeed", "all 1 failed", "the loss must stay finite"):
        assert words in line
    trials = pd.read_parquet(apart.run("nan") / "trials.parquet")
    assert trials["status"].tolist() == ["failed"]
    parent, children = runs_of(apart, "nan")
    assert parent.info.status == "FAILED"
    assert stages(children) == ["search"]
    assert children[0].info.status == "FAILED"
    assert "the loss must stay finite" in children[0].data.tags["error"]
    # The same seed suggests the same: both searches share the ranges of these two, not lr's.
    both = [pd.read_parquet(folder / "trials.parquet") for folder in (run, apart.run("nan"))]
    suggested = [set(zip(t["train.weight_decay"], t["train.strength"], strict=True)) for t in both]
    assert suggested[0] & suggested[1]
