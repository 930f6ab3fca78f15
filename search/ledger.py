"""What a stage must not lose when its process dies: the ends of its trials, and Tune's own state.

Tune saves itself once a second, by copying over what it saved before. A process that dies may lose
that second, and a copy that it was at, or that a full disk cut off, is of no use.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from ray.tune.callback import Callback
from ray.tune.experiment import Trial
from ray.tune.result import AUTO_RESULT_KEYS

from hierclf.out_files import draft_of

_TIME = len("2026-01-31_23-59-59")
_OF_TUNE = frozenset({*AUTO_RESULT_KEYS, "trial_id", "experiment_tag", "done"})


class Ledger(Callback):
    """Write down every end of a trial, before anything of the trial is deleted, and Tune's state.

    A class because Tune asks for one.

    Args:
        storage: folder of the stage.
    """

    def __init__(self, storage: str) -> None:
        self._storage = Path(storage)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        result = trial.last_result or {}
        said = {key: value for key, value in result.items() if key not in _OF_TUNE}
        ends = self._storage / "ends"
        ends.mkdir(exist_ok=True)
        with draft_of(ends / f"{trial.trial_id}.json") as draft:
            draft.write_text(json.dumps(said, default=float))
        self._copy_state(Path(trial.storage.experiment_driver_staging_path))

    def _copy_state(self, written: Path) -> None:
        """Keep what Tune saved last; nothing writes there while a callback runs."""
        if not _whole(written):
            return
        with draft_of(_copy(self._storage)) as draft:
            draft.mkdir()
            for file in _state_files(written):
                shutil.copy(file, draft)


def earlier_end(storage: str, trial_id: str) -> dict[str, Any] | None:
    """The last report of a trial that has ended, if an earlier process saw its end."""
    path = Path(storage) / "ends" / f"{trial_id}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def restorable(storage: str) -> bool:
    """Whether a stage can go on where an earlier process left it; mends Tune's state if need be.

    Where it can't, what is left of Tune's state is removed.
    """
    folder, copy = Path(storage) / "tune", _copy(Path(storage))
    if not _whole(folder) and _whole(copy):
        for file in _state_files(folder):
            file.unlink()
        shutil.copytree(copy, folder, dirs_exist_ok=True)
    while not _whole(folder) and (latest := _latest(folder)):
        for file in latest:
            file.unlink()
    if _whole(folder) and (folder / "tuner.pkl").is_file():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _copy(storage: Path) -> Path:
    return storage / "tune-copy"


def _state_files(folder: Path) -> list[Path]:
    """The files that Tune writes again and again; each process adds its own, named by its start."""
    patterns = ("experiment_state-*", "searcher-state-*", "search_gen_state-*", "callback_states-*")
    return [file for pattern in patterns for file in folder.glob(pattern)]


def _latest(folder: Path) -> list[Path]:
    """The files of the process that started last; their names end in the time of its start."""
    states = _state_files(folder)
    newest = max((file.stem[-_TIME:] for file in states), default="")
    return [file for file in states if file.stem[-_TIME:] == newest]


def _whole(folder: Path) -> bool:
    """Whether Tune could read its newest state."""
    latest = _latest(folder)
    return all(map(_readable, latest)) and any(map(_holds_trials, latest))


def _holds_trials(file: Path) -> bool:
    return file.name.startswith("experiment_state-")


def _readable(file: Path) -> bool:
    content = file.read_bytes()
    if not _holds_trials(file):
        return content.endswith(b".")  # a pickle, by whatever name; the dot is its last opcode
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
