"""Keeps reports and ends of trials, and Tune's own state, when the process of a stage dies.

Tune saves itself once a second, by copying over what it saved before. A process that dies may lose
that second, and a copy that was interrupted, or truncated by a full disk, is unusable. It also
forgets the earlier reports of a trial that is resumed.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from ray.tune.callback import Callback
from ray.tune.experiment import Trial
from ray.tune.result import AUTO_RESULT_KEYS

from hierclf.io.atomic import draft_of, room_for

_TIME = len("2026-01-31_23-59-59")
_OF_TUNE = frozenset({*AUTO_RESULT_KEYS, "trial_id", "experiment_tag", "done"})


class Ledger(Callback):
    """A Tune callback that records every report and end of a trial, and Tune's state.

    Args:
        storage: folder of the stage.
    """

    def __init__(self, storage: str) -> None:
        self._storage = Path(storage)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        path = _reports(self._storage, trial.trial_id)
        path.parent.mkdir(exist_ok=True)
        with room_for(path), path.open("a") as file:
            file.write(f"\n{_as_text(result)}")  # a line that was cut off ends here

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        ends = self._storage / "ends"
        ends.mkdir(exist_ok=True)
        with draft_of(ends / f"{trial.trial_id}.json") as draft:
            draft.write_text(_as_text(trial.last_result or {}))
        self._copy_state(Path(trial.storage.experiment_driver_staging_path))

    def _copy_state(self, written: Path) -> None:
        """Keep what Tune saved last; nothing writes there while a callback runs."""
        if not _whole(written):
            return
        with draft_of(_copy(self._storage)) as draft:
            draft.mkdir()
            for file in _state_files(written):
                shutil.copy(file, draft)


def reports(storage: str, trial_id: str) -> pd.DataFrame | None:
    """All reports of a trial, the last one of each epoch; None if there are none."""
    path = _reports(Path(storage), trial_id)
    if not path.is_file():
        return None
    rows = [row for row in map(_parsed, path.read_text().splitlines()) if row is not None]
    table = pd.DataFrame(rows)
    return table.drop_duplicates("epoch", keep="last", ignore_index=True)


def earlier_end(storage: str, trial_id: str) -> dict[str, Any] | None:
    """The last report of a trial that has ended, if an earlier process saw its end."""
    path = Path(storage) / "ends" / f"{trial_id}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def is_known(storage: str, trial_id: str) -> bool:
    """Whether Tune's newest state, if there is any, names a trial."""
    states = filter(_holds_trials, _latest(Path(storage) / "tune"))
    return any(f'"{trial_id}"' in state.read_text().replace("\\", "") for state in states)


def restorable(storage: str) -> bool:
    """Whether a stage can resume where an earlier process left it; repairs Tune's state if needed.

    If it cannot, the remains of Tune's state are removed.
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


def _as_text(result: dict[str, Any]) -> str:
    """A result without Tune's book-keeping."""
    own = {key: value for key, value in result.items() if key not in _OF_TUNE}
    return json.dumps(own, default=float)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def _reports(storage: Path, trial_id: str) -> Path:
    return storage / "reports" / f"{trial_id}.jsonl"


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
