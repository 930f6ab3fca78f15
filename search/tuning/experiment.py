"""One Ray Tune experiment: start or resume it, and read the results of its trials."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray import tune
from ray.tune.callback import Callback
from ray.tune.experiment import Trial

from search.runtime.progress import TrialProgress
from search.runtime.reservations import FreeReservations, free_reservations
from search.trials.checkpoints import latest_whole
from search.trials.head_trial import HeadTrial
from search.trials.ledger import Ledger, reports, restorable
from search.trials.plan import FOLDS, Job
from search.trials.train_trial import run_trial

METRIC = "objective"
"""What Tune and Optuna maximise: of the last epoch, as the best of many would be luck."""

# A trial's driver only waits for its workers, but Tune refuses an empty request: a token amount of
# the head node's resource, which every Ray cluster has.
_DRIVER = {"cpu": 0, "node:__internal_head__": 0.001}


class KeepBest(Callback):
    """Delete the checkpoints of finished trials, all but the best one's, during the search.

    The best one is read from the trials themselves, so a resumed search needs no other state.
    """

    def __init__(self, storage: str) -> None:
        self._storage = Path(storage)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._sweep([other for other in trials if other.is_finished() or other is trial])

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        # A trial that was stopped early may have written another checkpoint while it ended.
        self._sweep([trial for trial in trials if trial.is_finished()])

    def _sweep(self, finished: list[Trial]) -> None:
        def value(trial: Trial) -> float:
            return float((trial.last_result or {}).get(METRIC, -1.0))

        best = max(finished, key=value, default=None)
        for trial in finished:
            if trial is not best:
                own = (self._storage / "tune" / trial.trial_id).glob("checkpoint_*")
                for folder in (self._storage / f"train-{trial.trial_id}", *own):
                    shutil.rmtree(folder, ignore_errors=True)


def trial_resources(job: Job) -> dict[str, float]:
    """What Tune reserves for a trial; the workers of a Ray Train run reserve their own share."""
    if not job.only_heads:
        return _DRIVER
    gpu = {"gpu": job.plan.gpu_fraction} if job.plan.use_gpu else {}
    return {"cpu": job.plan.cpus_per_worker, **gpu}


def run_experiment(
    job: Job,
    *,
    n_trials: int,
    stage: str,
    callbacks: list[Callback],
    param_space: dict[str, Any] | None = None,
    search_alg: Any = None,
    scheduler: Any = None,
    time_budget_s: float | None = None,
) -> tune.ResultGrid:
    """Run the trials of a stage; those that an earlier process finished are not run again.

    Args:
        job: what every trial does; `job.storage` is the folder of the experiment.
        n_trials: how many trials `search_alg` suggests, or the grid in `param_space` has.
        callbacks: besides the progress display and the ledger.
    """
    heads = job.only_heads
    trainable = tune.with_resources(
        tune.with_parameters(HeadTrial, job=job)
        if heads
        else tune.with_parameters(run_trial, job=job._replace(prepared=ray.put(job.prepared))),
        trial_resources(job),
    )
    total = len(job.folds) if FOLDS in (param_space or {}) else n_trials
    path = str(Path(job.storage) / "tune")
    if restorable(job.storage):
        tuner = tune.Tuner.restore(path, trainable, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=param_space,
            tune_config=tune.TuneConfig(
                metric=METRIC,
                mode="max",
                num_samples=1 if search_alg is None else n_trials,
                search_alg=search_alg,
                scheduler=scheduler,
                max_concurrent_trials=job.plan.trials_at_a_time,
                time_budget_s=time_budget_s,
                # The driver of a stopped Ray Train run is still busy ending it: it is not reused.
                reuse_actors=heads,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=job.storage,
                callbacks=[
                    TrialProgress(stage, total=total, epochs=job.epochs),
                    Ledger(job.storage),
                    *([] if heads else [FreeReservations()]),
                    *callbacks,
                ],
                # The controller of a trial may die with its node; the trial is then retried.
                failure_config=tune.FailureConfig(max_failures=1),
                # Left to itself, Tune would also write one whenever a class's trial ends.
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
                verbose=0,
            ),
        )
    results = _fit(tuner, job.storage)
    for result in _each(results):
        result.metrics_dataframe = reports(job.storage, Path(result.path).name)
    return results


def _fit(tuner: tune.Tuner, storage: str) -> tune.ResultGrid:
    """Run it; a full disk is reported as such, not as the error that Tune makes of it."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), storage)
    try:
        results = tuner.fit()
    except EOFError:  # what Tune wrote of a failed trial, and reads again, was cut off
        raise full from None
    except Exception as error:  # Tune wraps what its scheduler and callbacks raise
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) != errno.ENOSPC:
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None
    free_reservations()
    if any(f"[Errno {errno.ENOSPC}]" in str(result.error) for result in _each(results)):
        raise full
    return results


def trials_table(results: tune.ResultGrid, *, epochs: int, keys: Iterable[str]) -> pd.DataFrame:
    """One row per trial: finished ones first, the best at their end first; failed ones last.

    Args:
        epochs: of a trial that was not stopped early.
        keys: dotted keys of the searched values.

    Columns: trial_id, status (`finished`, `stopped early`, `failed`), the searched values, epochs,
    best_epoch, seconds, failure, then objective and the metrics of the last epoch: the best of many
    epochs would be the luckiest.
    """
    rows = []
    for result in _each(results):
        metrics = result.metrics or {}
        history = result.metrics_dataframe
        row: dict[str, Any] = {
            "trial_id": Path(result.path).name,
            "status": "finished",
            **{key: (result.config or {}).get(key) for key in keys},
            "epochs": int(metrics.get("epoch", 0)),
            "seconds": float(metrics.get("time_total_s", 0.0)),
            "failure": metrics.get("failure", ""),
        }
        if result.error is not None:
            row["failure"] = str(result.error).strip().splitlines()[-1]
        if row["failure"]:
            row["status"] = "failed"
        elif row["epochs"] < epochs:
            row["status"] = "stopped early"
        if history is not None and "objective" in history:
            last = history.sort_values("epoch").iloc[-1]
            row["best_epoch"] = int(history.iloc[int(history["objective"].argmax())]["epoch"])
            row |= {key: float(last[key]) for key in _SHOWN if key in last}
        rows.append(row)
    table = pd.DataFrame(rows, columns=["trial_id", "status", *keys, *_OUTCOME, *_SHOWN])
    rank = table["status"].map({"finished": 0, "stopped early": 1, "failed": 2})
    order = table.assign(rank=rank).sort_values(
        ["rank", "objective"], ascending=[True, False], ignore_index=True
    )
    return order.drop(columns="rank")


_OUTCOME = ("epochs", "best_epoch", "seconds", "failure")
_SHOWN = (
    "objective",
    "super_harmonic",
    "sub_harmonic",
    "super_known_accuracy",
    "sub_known_accuracy",
    "loss",
)


def history_table(results: tune.ResultGrid) -> pd.DataFrame:
    """One row per trial and epoch: trial_id and the metrics reported after that epoch."""
    histories = [
        result.metrics_dataframe.assign(trial_id=Path(result.path).name)
        for result in _each(results)
        if result.metrics_dataframe is not None and "epoch" in result.metrics_dataframe
    ]
    kept = ("trial_id", "epoch", *_SHOWN)
    table = pd.concat(histories, ignore_index=True)
    # An epoch that a retry ran again is reported twice.
    table = table.drop_duplicates(["trial_id", "epoch"], keep="last", ignore_index=True)
    return table[[name for name in kept if name in table]]


def _each(results: tune.ResultGrid) -> list[tune.Result]:
    return [results[i] for i in range(len(results))]


def final_checkpoint(job: Job, trial_id: str) -> Path:
    """Folder of the last checkpoint of a finished trial.

    Tune itself never learns of the checkpoints that its trials' Ray Train runs wrote.
    """
    if job.only_heads:
        return max((Path(job.storage) / "tune" / trial_id).glob("checkpoint_*"))
    folder = latest_whole(Path(job.storage) / f"train-{trial_id}")
    assert folder is not None, f"trial {trial_id} ended without a checkpoint"
    return folder
