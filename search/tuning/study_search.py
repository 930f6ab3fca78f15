"""Suggests the values of trials from an Optuna study, which is all that it remembers.

Ray's own `OptunaSearch` keeps a copy of what it asked and told. Restored after a crash, that copy
is older than a stored study: it tells trials a second time, which Optuna refuses, and forgets
others.
"""

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from ray.tune.search import Searcher

from hierclf.config.search import Sampler
from hierclf.errors import one_line
from hierclf.io.atomic import warn_once
from search.trials.ledger import earlier_end, is_known
from search.tuning.samplers import make_sampler
from search.tuning.study import OpenStudy, StudyErrors, StudyPlace, open_study

PATIENCE_S = 60.0
"""How long a search without a suggestion waits for a storage that does not answer."""
_RUN, _TRIAL, _FIRST = "run", "trial", "first"
"""Attributes of a trial in the study: the search's name, Tune's id, which first trial it is."""
_LOST = "lost by {}"
"""Attribute of the study: Tune's ids of trials that a search has asked for and does not know."""


class StudySearch(Searcher):
    """Tune's search algorithm over a stored study that other searches may share.

    Args:
        place: where the study is; it exists.
        run: name of the search.
        space: distributions by dotted key.
        metric: what reports call the value to maximise.
        n_trials: of this search.
        first: values of the trials to begin with.
        sampler: as in `search.sampler`.
        seed: of the sampler, in [0, 2**32).
    """

    def __init__(
        self,
        place: StudyPlace,
        *,
        run: str,
        space: dict[str, BaseDistribution],
        metric: str,
        n_trials: int,
        first: Sequence[dict[str, Any]],
        sampler: Sampler,
        seed: int,
    ) -> None:
        super().__init__(metric=metric, mode="max")
        self._place, self._run, self._space = place, run, space
        self._n_trials, self._first = n_trials, list(first)
        self._sampler, self._seed = sampler, seed
        self._open: OpenStudy | None = None
        self._keys: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_open": None,
            "_keys": {},
        }  # Tune saves this: connections stay behind

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Tune's hook: the values of another trial, or FINISHED.

        Raises:
            ValueError: the storage did not answer for a minute.
        """
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._ask(trial_id)
            except StudyErrors as error:
                if _says_full(error):
                    raise
                if time.monotonic() > give_up:
                    raise ValueError(
                        f"the study's storage {self._place.address} must answer, but did not for "
                        f"{PATIENCE_S:.0f} s: {one_line(error)}"
                    ) from None
            time.sleep(1.0)

    def _ask(self, trial_id: str) -> dict[str, Any] | str:
        opened = self._opened()
        study = opened.study
        mine = own_trials(study, self._run)
        number = len({trial.user_attrs.get(_TRIAL) for trial in mine} - {None})
        if number >= self._n_trials:
            return Searcher.FINISHED
        begun = {trial.user_attrs.get(_FIRST) for trial in mine}
        waiting = [i for i in range(len(self._first)) if i not in begun]
        if waiting:
            study.enqueue_trial(
                self._first[waiting[0]], user_attrs={_RUN: self._run, _FIRST: waiting[0]}
            )
        study.sampler = make_sampler(
            self._sampler, sequence=self._seed, draws=self._seed_of(number)
        )
        trial = study.ask(self._space)
        if trial.user_attrs.get(_RUN) not in (None, self._run):
            trial.set_user_attr(_FIRST, None)  # it was the first one of another search
        trial.set_user_attr(_RUN, self._run)
        trial.set_user_attr(_TRIAL, trial_id)
        self._keys[trial_id] = opened.key_of(trial.number)
        return trial.params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tune's hook: the study shows the value of every epoch."""
        with _not_urgent():
            if (key := self._key(trial_id)) is not None:
                epoch, value = int(result["epoch"]), float(result[self.metric])
                self._opened().storage.set_trial_intermediate_value(key, epoch, value)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tune's hook: tell the study, unless it knows."""
        if result and self.metric in result:  # of a trial that is stopped, Tune says its end alone
            self.on_trial_result(trial_id, result)
        with _not_urgent():
            if (key := self._key(trial_id)) is not None:
                study, storage = self._opened()
                value = None if error else (result or {}).get(self.metric)
                _tell(study, storage.get_trial(key), value)
                del self._keys[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Tune's hook, which must write a file; the ledger wants its last byte to be a dot."""
        Path(checkpoint_path).write_text("All that was suggested is in the study.")

    def restore(self, checkpoint_path: str) -> None:
        """Tune's hook; there is nothing to restore."""

    def _key(self, trial_id: str) -> int | None:
        """The storage's key of a trial that runs; None for one that has ended, or is not known."""
        if trial_id not in self._keys:
            opened = self._opened()
            trial = _newest(opened.study, self._run).get(trial_id)
            if trial is None or trial.state.is_finished():
                return None
            self._keys[trial_id] = opened.key_of(trial.number)
        return self._keys[trial_id]

    def _opened(self) -> OpenStudy:
        if self._open is None:
            self._open = open_study(self._place)
        return self._open

    def _seed_of(self, number: int) -> int:
        """The sampler's seed for a trial: a process that continues draws what the first would.

        Searches that share a study and a seed draw each their own values.
        """
        name = int.from_bytes(self._run.encode(), "big") if self._place.shared else 0
        return int(np.random.SeedSequence([self._seed, name, number]).generate_state(1)[0])


def own_trials(study: optuna.Study, run: str) -> list[FrozenTrial]:
    """The trials of a search in a study, in order; those that were lost are not its own."""
    lost = study.user_attrs.get(_LOST.format(run), [])
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.user_attrs.get(_RUN) == run and trial.user_attrs.get(_TRIAL) not in lost
    ]


def settle(place: StudyPlace, run: str, storage: str, *, metric: str) -> None:
    """Bring the study to what the ledger of a stage knows: Tune's own hooks may have missed it.

    A trial that has ended is told; one that failed and was repeated is added. One that Tune's state
    does not know is no longer the search's own, so that another one takes its place.

    Args:
        place: where the study is; it exists.
        run: name of the search.
        storage: folder of the stage.
        metric: what reports call the value.
    """
    with _not_urgent():
        study = open_study(place).study
        trials = _newest(study, run)
        lost = [trial_id for trial_id in trials if not is_known(storage, trial_id)]
        if lost:
            key = _LOST.format(run)
            study.set_user_attr(key, [*study.user_attrs.get(key, []), *lost])
        for trial_id, trial in trials.items():
            if (end := earlier_end(storage, trial_id)) is not None:
                _tell(study, trial, end.get(metric))
            elif trial_id in lost:
                _tell(study, trial, None)


@contextmanager
def _not_urgent() -> Iterator[None]:
    """Let a search go on without its storage: `settle` tells at the end what was missed."""
    try:
        yield
    except StudyErrors as error:
        if _says_full(error):  # half a line was written, and another would spoil the journal
            raise
        warn_once(f"the study's storage failed, and is told later: {one_line(error)}")


def _says_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


def _newest(study: optuna.Study, run: str) -> dict[str, FrozenTrial]:
    """A search's trials by Tune's id: of one that was repeated after a failure, the last."""
    return {
        trial.user_attrs[_TRIAL]: trial
        for trial in own_trials(study, run)
        if _TRIAL in trial.user_attrs
    }


def _tell(study: optuna.Study, trial: FrozenTrial, value: float | None) -> None:
    if trial.state == TrialState.RUNNING:
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        study.tell(trial.number, value, state=state, skip_if_finished=True)
    elif trial.state == TrialState.FAIL and value is not None:
        study.add_trial(
            create_trial(
                value=value,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs,
                intermediate_values=trial.intermediate_values,
            )
        )
