"""Samplers and early stopping by name, refused before anything starts."""

from pathlib import Path

import pytest
from ray.tune.schedulers import TrialScheduler

from hierclf.config import load_config
from search.tuning import samplers
from search.tuning.halving import PersistentASHA
from search.tuning.median import MedianStop
from search.tuning.samplers import check_sampler
from search.tuning.schedulers import make_scheduler


def test_a_sampler_whose_package_is_missing_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    check_sampler("tpe")
    with pytest.raises(ValueError, match="which is not installed: run pip install cmaes"):
        check_sampler("cmaes")


@pytest.mark.parametrize(
    ("name", "kind"), [("asha", PersistentASHA), ("median", MedianStop), ("none", type(None))]
)
def test_early_stopping_has_a_name(
    tmp_path: Path, name: str, kind: type[TrialScheduler | None]
) -> None:
    config = load_config(None, [f"search.scheduler={name}"])
    assert type(make_scheduler(config, str(tmp_path))) is kind


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.sampler=bohb", "search.sampler"),
        ("search.scheduler=pbt", "search.scheduler"),
        ("search.study_name=all", "study_name names a study of search.study"),
        ("search.study=''", "search.study"),
    ],
)
def test_other_names_are_refused_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        load_config(None, [override])
    assert "\n" not in str(refused.value)
