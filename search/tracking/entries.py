"""The entries that a search reports to MLflow about its trials: one dataclass per kind.

On disk, an entry is one line of JSON: an object of the entry's fields, and its kind as `do`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The trial that an entry is about.

    Attributes:
        trial_id: Tune's id of the trial.
        stage: `search`, `confirm` or `refit`.
        name: name of the MLflow run.
        params: the searched values, as text.
    """

    trial_id: str
    stage: str
    name: str
    params: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Begin(Trial):
    """The trial started or was resumed."""

    do: ClassVar = "begin"


@dataclass(frozen=True, kw_only=True)
class Log(Trial):
    """The trial reported metrics.

    Attributes:
        metrics: the metrics by name.
        step: the epoch.
        timestamp: in milliseconds since 1970.
    """

    do: ClassVar = "log"
    metrics: dict[str, float]
    step: int
    timestamp: int


@dataclass(frozen=True, kw_only=True)
class End(Trial):
    """The trial ended.

    Attributes:
        status: `FINISHED`, `FAILED` or `KILLED`.
        tags: tags to set on the run.
        metric: name of the metric whose best value is logged as `best_METRIC`.
        seconds: how long the trial ran, or None.
    """

    do: ClassVar = "end"
    status: str
    tags: dict[str, str]
    metric: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Settle:
    """A stage ended; MLflow runs of trials that Tune does not know are deleted.

    Attributes:
        stage: the stage's name.
        trials: ids of the trials that Tune knows.
    """

    do: ClassVar = "settle"
    stage: str
    trials: list[str]


@dataclass(frozen=True, kw_only=True)
class Abandon:
    """The search was interrupted.

    Attributes:
        status: status of the search's run, `FAILED` or `KILLED`.
        pid: id of the interrupted process.
    """

    do: ClassVar = "abandon"
    status: str
    pid: int


Entry = Begin | Log | End | Settle | Abandon
_KINDS: dict[str, type[Entry]] = {kind.do: kind for kind in (Begin, Log, End, Settle, Abandon)}


def to_line(entry: Entry) -> str:
    """An entry as one line of JSON, with a newline."""
    return json.dumps({"do": entry.do, **asdict(entry)}) + "\n"


def from_line(line: str) -> Entry:
    """The entry that `to_line` wrote."""
    fields: dict[str, Any] = json.loads(line)
    return _KINDS[fields.pop("do")](**fields)
