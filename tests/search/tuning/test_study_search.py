"""A search whose memory is a stored study: the same draws, nothing told twice, nothing lost."""

import pickle
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hierclf.config.search import Sampler
from search.tuning.study import open_study
from search.tuning.study_search import own_trials, settle
from tests.search.tuning.stored_studies import (
    FIRST,
    SPACE,
    keep,
    one_trial,
    place_in,
    search,
    value_of,
)

SAMPLERS: tuple[Sampler, ...] = ("tpe", "gp", "cmaes", "random", "qmc")
TRIALS = {"gp": 11}  # it begins with ten trials at random
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_gives_the_same_suggestions_also_in_a_process_that_continues(
    tmp_path: Path, sampler: Sampler
) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    runs = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / folder).mkdir()
        searcher = search(place_in(tmp_path / folder), sampler=sampler, seed=seed)
        drawn = []
        for number in range(TRIALS.get(sampler, 6)):
            drawn.append(one_trial(searcher, f"t{number}"))
            if folder == "b":  # as Tune restores it
                searcher = pickle.loads(pickle.dumps(searcher))
        runs.append(drawn)
    assert runs[0] == runs[1]
    assert runs[0][0] == runs[2][0] == FIRST
    assert runs[0] != runs[2]
    assert len({str(values) for values in runs[0]}) > len(runs[0]) / 2  # `gp` may find the corner
    for values in runs[0]:
        assert all(SPACE[k]._contains(SPACE[k].to_internal_repr(values[k])) for k in SPACE)


def test_a_study_learns_as_optunas_own_loop_would(tmp_path: Path) -> None:
    searcher = search(place_in(tmp_path), first=())
    drawn = [one_trial(searcher, f"t{number}") for number in range(15)]
    study = optuna.create_study(direction="maximize")
    for number in range(15):
        study.sampler = optuna.samplers.TPESampler(seed=searcher._seed_of(number))
        trial = study.ask(SPACE)
        study.tell(trial, value_of(trial.params))
        assert trial.params == drawn[number]


def test_every_trial_and_epoch_is_in_the_study(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    searcher = search(place)
    values = one_trial(searcher, "a")
    assert searcher.suggest("b")
    assert searcher.suggest("c")
    searcher.on_trial_complete("c", {"objective": 0.2, "epoch": 2})  # stopped: its end alone
    first, second, third = own_trials(open_study(place).study, "one")
    assert (third.value, third.intermediate_values) == (0.2, {2: 0.2})
    assert (first.params, first.value) == (values, value_of(values))
    assert first.intermediate_values == {1: value_of(values)}
    assert [first.state, second.state] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_what_tune_tells_twice_counts_once(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    one_trial(search(place), "a")
    again = search(place)
    again.on_trial_result("a", {"objective": 0.9, "epoch": 2})
    again.on_trial_complete("a", {"objective": 0.9, "epoch": 2})
    again.on_trial_complete("a", None, error=True)
    (trial,) = own_trials(open_study(place).study, "one")
    assert trial.value == value_of(FIRST)
    assert trial.intermediate_values == {1: value_of(FIRST)}


def test_a_search_ends_after_its_own_number_of_trials(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for number in range(3):
        one_trial(search(place, n_trials=3), f"t{number}")
    assert search(place, n_trials=3).suggest("t3") == Searcher.FINISHED


def test_a_trial_that_tune_has_lost_is_drawn_again(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    searcher = search(place, n_trials=3)
    one_trial(searcher, "kept")
    lost = searcher.suggest("lost")
    keep(tmp_path, known=["kept"], ended={})
    settle(place, "one", str(tmp_path), metric="objective")
    after = search(place, n_trials=3)
    assert after.suggest("new") == lost
    assert isinstance(after.suggest("newest"), dict)
    assert after.suggest("more") == Searcher.FINISHED
    trials = open_study(place).study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "RUNNING", "RUNNING"]


def test_a_lost_first_trial_is_the_first_again(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    assert search(place).suggest("lost") == FIRST
    keep(tmp_path, known=[], ended={})
    settle(place, "one", str(tmp_path), metric="objective")
    assert search(place).suggest("new") == FIRST


def test_an_end_that_only_the_ledger_knows_is_told_once(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    search(place).suggest("a")
    keep(tmp_path, known=["a"], ended={"a": 0.7})
    for _ in range(2):
        settle(place, "one", str(tmp_path), metric="objective")
    (trial,) = own_trials(open_study(place).study, "one")
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.7)


def test_a_failed_trial_that_succeeds_when_it_is_repeated_counts_with_its_value(
    tmp_path: Path,
) -> None:
    place = place_in(tmp_path)
    searcher = search(place, n_trials=2)
    searcher.suggest("a")
    searcher.on_trial_complete("a", None, error=True)
    keep(tmp_path, known=["a"], ended={"a": 0.7})
    for _ in range(2):
        settle(place, "one", str(tmp_path), metric="objective")
    states = [trial.state.name for trial in own_trials(open_study(place).study, "one")]
    assert states == ["FAIL", "COMPLETE"]
    assert isinstance(search(place, n_trials=2).suggest("b"), dict)
    assert search(place, n_trials=2).suggest("c") == Searcher.FINISHED


def test_searches_that_share_a_study_draw_their_own_values_and_learn_from_each_other(
    tmp_path: Path,
) -> None:
    place = place_in(tmp_path, "both", shared=True)
    left, right = search(place, "left"), search(place, "right")
    drawn = [one_trial(each, f"{i}") for i in range(4) for each in (left, right)]
    assert drawn[:2] == [FIRST, FIRST]
    assert len({str(values) for values in drawn}) == 7
    study = open_study(place).study
    assert len(own_trials(study, "left")) == len(own_trials(study, "right")) == 4
    assert study.best_value == max(map(value_of, drawn))


def test_the_first_trial_that_another_search_takes_is_queued_again(tmp_path: Path) -> None:
    place = place_in(tmp_path, "both", shared=True)
    open_study(place).study.enqueue_trial(FIRST, user_attrs={"run": "left", "first": 0})
    right = search(place, "right", first=())
    assert right.suggest("r") == FIRST
    assert search(place, "left").suggest("l") == FIRST


def test_a_storage_that_fails_does_not_end_a_search(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    searcher = search(place)
    searcher.suggest("a")
    log = tmp_path / "study.log"
    log.rename(tmp_path / "away")
    log.mkdir()
    with pytest.warns(UserWarning, match="the study's storage failed, and is told later"):
        searcher.on_trial_complete("a", {"objective": 0.5, "epoch": 3})
    log.rmdir()
    (tmp_path / "away").rename(log)
    keep(tmp_path, known=["a"], ended={"a": 0.5})
    settle(place, "one", str(tmp_path), metric="objective")
    assert [trial.value for trial in own_trials(open_study(place).study, "one")] == [0.5]
