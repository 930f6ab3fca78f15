"""MLflow: the store, the parent run of a search, and the helpers that write runs.

A search has one parent run; below it are one run per trial (trial_logger.py) and one for the
threshold search. Runs are found by their tags, so that a resumed search continues in its own runs.
All calls go through `connect(uri)` and leave the process-wide tracking URI unchanged.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from hierclf.io.locks import locked
from search.tracking.address import check_address, local_path
from search.tracking.pages import comparison
from search.tracking.store_errors import plain_errors

EXPERIMENT = "hierclf"
"""Where the runs of searches and of registered directories are."""
_DIGEST = 32
"""Characters of a data set's digest; MLflow takes up to 36."""
_COMPARED = 100
"""The most trials that a link compares."""
_TALKATIVE = (
    "alembic.runtime.migration",
    "89d4b8295536_create_latest_metrics_table_py",
    "2b4d017a5e9b_add_model_registry_tables_to_db_py",
)
"""Loggers that write a page of INFO lines per new store. They get a filter, since older versions of
MLflow reset their levels with every store that they open."""


def default_uri(results: Path) -> str:
    """Absolute URI of the SQLite store `results`/mlflow.db; creates nothing."""
    path = str(results.resolve())
    if "?" in path or "%" in path:  # MLflow would unquote the path and write somewhere else
        raise ValueError(f"the results folder's path must contain no ? and no %, but got {path}")
    return f"sqlite:///{path}/mlflow.db"


def open_store(uri: str, experiment: str, artifact_dir: Path, *, own: bool = False) -> str:
    """Create the store and the experiment if they are missing; return the experiment's id.

    Call it in the main process, before any other process uses the store.

    Args:
        uri: a SQLite store (absolute path), another database, or an MLflow server (http or https).
        experiment: name of the experiment.
        artifact_dir: folder for files; a server chooses its own.
        own: whether the store belongs to the folder of `artifact_dir`.

    Raises:
        ValueError: the store cannot be reached or is another program's, the URI is invalid, or an
            own store was moved or copied.
    """
    check_address(uri)
    with plain_errors(uri):
        if not uri.startswith("sqlite:"):
            return _open_experiment(uri, experiment, artifact_dir, own=own)
        # Searches that start at the same time may create the same store, which MLflow cannot: hence
        # the lock. It also fails at once in a read-only folder; MLflow would retry for minutes.
        database = Path(uri.removeprefix("sqlite:///"))
        with locked(database.with_name(f"{database.name}.lock")):
            return _open_experiment(uri, experiment, artifact_dir, own=own)


def start_search(
    uri: str,
    experiment_id: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    *,
    resume: bool = False,
    kind: str = "search",
) -> str:
    """Start the search's parent run, or with `resume` the latest of that name; return its id.

    Of another `kind`, it is the run of a model that was made without a search.

    MLflow cannot change the value of a parameter. If a resumed search has another value (such as
    more trials), the new value is logged as the tag `resumed.KEY`.
    """
    identity = {"hierclf.kind": kind, "hierclf.search": name}
    tags = {**tags, **identity}
    texts = {key: str(value) for key, value in flatten(params, ".").items()}
    with plain_errors(uri):
        client = connect(uri)
        run_id = find_run(client, experiment_id, identity) if resume else None
        if run_id is None:
            run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        else:
            client.update_run(run_id, status="RUNNING")
        old = client.get_run(run_id).data.params
        changed = {f"resumed.{k}": v for k, v in texts.items() if old.get(k, v) != v}
        fresh = {key: value for key, value in texts.items() if key not in old}
        log(client, run_id, params=fresh, tags={**tags, **changed})
    return run_id


def log_data(
    uri: str, run_id: str, name: str, *, source: str, fingerprint: str, profile: Mapping[str, int]
) -> None:
    """Log the data set of a search as the input of its run; a second call changes nothing.

    Args:
        uri: address of the store.
        run_id: id of the search's run.
        name: short name of the data set, as MLflow's table of runs shows it.
        source: where the data are.
        fingerprint: hash of the data's content, in hex.
        profile: counts that describe the data.
    """
    data = Dataset(
        name=name,
        digest=fingerprint[:_DIGEST],
        source_type="local",
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile),
    )
    training = [InputTag("mlflow.data.context", "training")]
    with plain_errors(uri):
        connect(uri).log_inputs(run_id, [DatasetInput(data, training)])


def log_thresholds(
    uri: str,
    parent_run_id: str,
    experiment_id: str,
    name: str,
    metrics: Mapping[str, float],
    trials_table: pd.DataFrame,
    files: Iterable[Path],
    *,
    objective: str = "objective",
) -> str:
    """Log the threshold search as a finished child run; return its id.

    The run's history is the column `objective` of `trials_table`, one step per row, and the best
    value so far. The table is logged as trials.json, which the UI shows, and `files` beside it. An
    earlier run of the same threshold search is replaced, since it may be incomplete.
    """
    tags = {"hierclf.kind": "thresholds", "mlflow.parentRunId": parent_run_id}
    values = trials_table[objective].astype(float)
    history = {objective: values, f"best_{objective}": values.cummax()}
    now = milliseconds()
    with plain_errors(uri):
        client = connect(uri)
        if (earlier := find_run(client, experiment_id, tags)) is not None:
            client.delete_run(earlier)
        run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        points = [
            Metric(key, float(value), now, step)
            for key, column in history.items()
            for step, value in enumerate(column)
            if math.isfinite(value)
        ]
        log(client, run_id, metrics=points)
        log(client, run_id, metrics=at_step(metrics, step=len(values), timestamp=now))
        client.log_table(run_id, trials_table, "trials.json")
        _log_files(client, run_id, files)
        client.set_terminated(run_id, "FINISHED")
    return run_id


def finish_search(
    uri: str,
    run_id: str,
    metrics: Mapping[str, float],
    artifacts: Iterable[Path],
    *,
    description: str = "",
) -> None:
    """Log final metrics and files (or folders) on the parent run, and set it to FINISHED.

    Args:
        uri: address of the store.
        run_id: id of the search's run.
        metrics: logged at step 0.
        artifacts: files and folders.
        description: Markdown; the run's page shows it below a link that compares the trials.
    """
    with plain_errors(uri):
        client = connect(uri)
        experiment_id = client.get_run(run_id).info.experiment_id
        rule = f"tags.mlflow.parentRunId = '{run_id}' and tags.`hierclf.stage` = 'search'"
        trials = client.search_runs([experiment_id], rule, max_results=_COMPARED)
        link = comparison(experiment_id, [trial.info.run_id for trial in trials])
        note = f"{link}\n\n{description}".strip()
        log(client, run_id, tags={"mlflow.note.content": note})
        log(client, run_id, metrics=at_step(metrics, step=0, timestamp=milliseconds()))
        _log_files(client, run_id, artifacts)
        client.set_terminated(run_id, "FINISHED")


def connect(uri: str) -> MlflowClient:
    """Client of the store at `uri`, for both runs and the model registry."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_more_than_info)
    # Database errors are also raised, and the caller reports them in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _more_than_info(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO


def flatten(nested: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}"""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            below = flatten(value, separator)
            flat |= {f"{key}{separator}{name}": item for name, item in below.items()}
        else:
            flat[str(key)] = value
    return flat


def milliseconds() -> int:
    """The current time in milliseconds since 1970."""
    return int(time.time() * 1000)


def at_step(metrics: Mapping[str, float], *, step: int, timestamp: int) -> list[Metric]:
    """Metrics of one step as MLflow's objects; `timestamp` in milliseconds since 1970."""
    return [Metric(key, float(value), timestamp, step) for key, value in metrics.items()]


def find_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> str | None:
    """Id of the latest run (not deleted) with all `tags`, or None."""
    rule = " and ".join(f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items())
    runs = client.search_runs(
        [experiment_id], rule, max_results=1, order_by=["attributes.start_time DESC"]
    )
    return runs[0].info.run_id if runs else None


def log(
    client: MlflowClient,
    run_id: str,
    *,
    params: Mapping[str, str] | None = None,
    metrics: Sequence[Metric] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write to a run, in as many requests as MLflow's limits require."""
    for chunk in _chunks([Param(key, value) for key, value in (params or {}).items()], 100):
        client.log_batch(run_id, params=chunk)
    for chunk in _chunks([RunTag(key, value) for key, value in (tags or {}).items()], 100):
        client.log_batch(run_id, tags=chunk)
    for chunk in _chunks(metrics, 1000):
        client.log_batch(run_id, metrics=chunk)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _log_files(client: MlflowClient, run_id: str, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), artifact_path=path.name)
        else:
            client.log_artifact(run_id, str(path))


def _open_experiment(uri: str, name: str, artifact_dir: Path, *, own: bool) -> str:
    client = connect(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        remote = uri.startswith(("http:", "https:"))
        location = None if remote else artifact_dir.resolve().as_uri()
        return client.create_experiment(name, artifact_location=location)
    if experiment.lifecycle_stage != "active":
        raise ValueError(f"the MLflow experiment must not be deleted, but {name!r} is")
    before, now = experiment.artifact_location, artifact_dir.resolve().as_uri()
    if own and before != now:
        # New models would be written to the former folder, and be lost with it.
        raise ValueError(
            "an MLflow store must stay where it was created, but "
            f"{artifact_dir.resolve().parent} was moved or copied from "
            f"{Path(local_path(before)).parent}: move it back, or give a new --results"
        )
    return experiment.experiment_id
