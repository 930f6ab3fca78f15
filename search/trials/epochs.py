"""The epochs of a trial: its folds are trained in step, evaluated, saved and restored.

Ray is not needed here: `trial.py` runs these epochs in Ray Train's workers, `head_trial.py` in
Tune's own processes.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from hierclf.bundle.directory import save_bundle
from hierclf.config import Config
from hierclf.errors import one_line
from hierclf.rules.score_table import ScoreTable
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table, novel_table
from hierclf.training.folds import REFERENCE, REFIT
from hierclf.training.loop import NonFiniteLossError
from hierclf.training.prepare import Prepared, judges_novel
from hierclf.training.trained_bundle import bundle_from_run, save_run_images
from search.trials.checkpoints import METRICS
from search.tuning.objective import EPOCH_SCORES, epoch_metrics

CHECKPOINT_EVERY_S = 30.0
"""A trial that is cut off loses at most this much, and the epoch it is in."""


def run_epochs(
    runs: list[FoldRun], *, last: int, done: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Train the folds epoch by epoch, the one after `done` to the last.

    Args:
        done: the metrics of the last finished epoch, as `restore` returns them.

    Yields:
        Metrics after every epoch: epoch, objective and its parts, best_objective so far, loss and
        epoch_seconds; those of `done` again if nothing is left to do. A loss that is not finite
        ends the trial: the same would happen again. It then has the worst objective, from which the
        search learns, and the reason as `failure`.
    """
    done = done or {}
    best = done.get("best_objective", -1.0)
    if done.get("epoch", 0) >= last:
        yield done
        return
    for epoch in range(done.get("epoch", 0) + 1, last + 1):
        started = time.monotonic()
        metrics, failure = _run_epoch(runs, epoch)
        if failure:
            yield {"epoch": epoch, "objective": 0.0, "best_objective": 0.0, "failure": failure}
            return
        best = max(best, metrics["objective"])
        seconds = time.monotonic() - started
        yield metrics | {"epoch_seconds": seconds, "best_objective": best}


def _run_epoch(runs: list[FoldRun], epoch: int) -> tuple[dict[str, Any], str]:
    """Train every fold for one epoch and evaluate it; the metrics, and the reason of a failure."""
    losses, failure = [], ""
    for run in runs:
        try:
            losses.append(run.train_epoch(epoch))
        except NonFiniteLossError as error:
            failure = str(error)
        except (MemoryError, torch.OutOfMemoryError) as error:
            if run.world > 1:  # the others wait for this one's gradients: Ray must end them
                raise
            failure = f"out of memory: {one_line(error)}"
        failure = _shared_failure(failure, run)
        if failure:
            return {}, f"epoch {epoch}: {failure}"
    try:
        metrics = _epoch_metrics(runs)
    except (NonFiniteLossError, MemoryError, torch.OutOfMemoryError) as error:
        metrics, failure = {}, f"epoch {epoch}: {one_line(error)}"
    # Only the first worker evaluates, so that only it can have failed here.
    failure = _shared_failure(failure, runs[0])
    return {"epoch": epoch, "loss": sum(losses) / len(losses), **metrics}, failure


def _shared_failure(failure: str, run: FoldRun) -> str:
    """A failure of any worker ends the epoch of all; otherwise the others would wait forever."""
    if run.world == 1:
        return failure
    flag = torch.tensor(float(bool(failure)), device=run.device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return failure or ("another worker's loss was not finite" if flag else "")


def _epoch_metrics(runs: list[FoldRun]) -> dict[str, float]:
    """The open-set objective and its parts, over the folds that hide classes; zero without any."""
    if runs[0].rank != 0:
        return {"objective": 0.0}  # only the first worker's reports are kept
    hiding = [run for run in runs if len(run.fold.held_out)]
    if not hiding:
        return {"objective": 0.0}
    tables = [fold_table(run, EPOCH_SCORES, {}, calibrated=False) for run in hiding]
    return epoch_metrics(ScoreTable.concatenate(tables))


def save(folder: Path, runs: list[FoldRun], metrics: dict[str, Any]) -> None:
    """Save the runs and the metrics of their last epoch into an existing folder."""
    for run in runs:
        run.save(folder)
    (folder / METRICS).write_text(json.dumps(metrics))


def restore(folder: Path, runs: list[FoldRun]) -> dict[str, Any]:
    """Restore the runs that `save` saved; return the metrics that it was given."""
    for run in runs:
        run.load(folder)
    return json.loads((folder / METRICS).read_text())


def write_results(folder: Path, runs: list[FoldRun], config: Config, prepared: Prepared) -> None:
    """Write scores.parquet of the folds that keep images back, the model of the refit."""
    names = config.thresholds.scores
    tables = []
    for run in runs:
        states = fit_fold_scores(run, names)
        if run.fold.name != REFIT:
            tables.append(fold_table(run, names, states))
            if run.fold.name == REFERENCE and judges_novel(prepared):
                tables.append(novel_table(run, names, states))
        else:
            save_bundle(bundle_from_run(run, states), folder / "model")
            save_run_images(run, folder / "model")
    if tables:
        ScoreTable.concatenate(tables).frame.to_parquet(folder / "scores.parquet")
