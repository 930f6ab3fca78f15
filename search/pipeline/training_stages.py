"""The stages that train, and the registration; each leaves its result as files in the run folder.

A stage whose file is there is not repeated: it is read.
"""

import io
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from ray import tune

from hierclf.bundle.directory import TRAINING
from hierclf.bundle.rule_file import RULE_FILE, save_rule
from hierclf.bundle.score_table_file import SCORE_TABLE, save_score_table
from hierclf.counts import counted
from hierclf.data.stream import ImageStream
from hierclf.io.digest import sha256_of
from hierclf.rules.calibration import calibrate_rule
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import ScoreTable
from hierclf.training.folds import REFIT
from hierclf.training.record import TrainingRecord, save_record
from search.pipeline.card import described
from search.pipeline.run import Run, search_folds
from search.pipeline.run_folder import read_json
from search.pipeline.threshold_stage import (
    HeldOut,
    class_parts,
    log_thresholds,
    reporting_rows,
)
from search.tracking.promises import promised_value
from search.tracking.registry import register_model
from search.tracking.store_errors import PATIENCE_S, patiently
from search.trials.ledger import restorable
from search.tuning.experiment import (
    METRIC,
    KeepBest,
    final_checkpoint,
    history_table,
    run_experiment,
    trials_table,
)
from search.tuning.schedulers import make_scheduler
from search.tuning.space import distributions, first_trials
from search.tuning.study import join_study, study_place
from search.tuning.study_search import StudySearch, settle


@dataclass(frozen=True, kw_only=True)
class Best:
    """What the hyper-parameter search decided.

    Attributes:
        trial_id: None where no search was made.
        values: the searched values by dotted key; empty takes the configuration as it is.
        epochs: to train for.
        objective: of the trial, in [0, 1]; None where no search was made.
    """

    trial_id: str | None
    values: dict[str, Any]
    epochs: int
    objective: float | None


def search_stage(run: Run) -> Best:
    """Ray Tune and Optuna over the search space; without trials, the configuration as it is."""
    if run.folder.best.is_file():
        return Best(**read_json(run.folder.best))
    if run.config.search.trials:
        best = _search(run)
    else:
        best = Best(trial_id=None, values={}, epochs=run.config.train.epochs, objective=None)
    run.folder.write_json(run.folder.best, asdict(best))
    return best


def _search(run: Run) -> Best:
    config, epochs = run.config, run.config.train.epochs
    job = run.job("search", folds=search_folds(run), epochs=epochs, results=False)
    place = study_place(config, run.name, run.folder.study)
    join_study(place, config, run.prepared.cache.content)
    restorable(job.storage)  # repairs Tune's state, by which a study's trials are known
    settle(place, run.name, job.storage, metric=METRIC)
    results = run_experiment(
        job,
        n_trials=config.search.trials,
        stage="trial",
        search_alg=StudySearch(
            place,
            run=run.name,
            space=distributions(config),
            metric=METRIC,
            n_trials=config.search.trials,
            first=first_trials(config)[: config.search.trials],
            sampler=config.search.sampler,
            seed=config.seed,
        ),
        scheduler=make_scheduler(config, job.storage),
        callbacks=[KeepBest(job.storage), run.logger("search")],
        time_budget_s=run.time_budget_s,
    )
    settle(place, run.name, job.storage, metric=METRIC)
    trials = trials_table(results, epochs=epochs, keys=config.search.space)
    run.folder.write_table(run.folder.trials, trials)
    good = trials[(trials["status"] != "failed") & trials["objective"].notna()]
    if good.empty:
        raise ValueError(
            f"at least one trial must succeed, but all {len(trials)} failed; the first: "
            f"{''.join(trials['failure'].head(1)) or 'no epoch was finished in time'}"
        )
    run.folder.write_table(run.folder.history, history_table(results))
    top = good.iloc[0]
    return Best(
        trial_id=str(top["trial_id"]),
        # The table's columns would turn integers beside gaps into floats.
        values=next(r.config or {} for r in results if Path(r.path).name == top["trial_id"]),
        epochs=epochs,
        objective=float(top["objective"]),
    )


def refit_stage(run: Run, best: Best, rule: Rule) -> Path:
    """Train the best configuration on every labelled image; give it thresholds and score table."""
    if not run.folder.model.is_dir():
        job = run.job("refit", folds=[REFIT], epochs=best.epochs, results=True)
        results = run_experiment(
            job,
            n_trials=1,
            stage="refit",
            param_space=best.values,
            callbacks=[run.logger("refit")],
        )
        (trial_id,) = finished_trials(results, best.epochs)
        run.folder.take_model(final_checkpoint(job, trial_id) / "model")
        shutil.rmtree(job.storage)
    model, table = run.folder.model, ScoreTable(pd.read_parquet(run.folder.scores))
    # Thresholds that are there may be others by now, from `hierclf thresholds`.
    if not (model / RULE_FILE).is_file():
        save_rule(model, rule, calibrate_rule(table, rule))
    if not (model / SCORE_TABLE).is_file():
        report = reporting_rows(run, table)
        save_score_table(model, table, class_parts(run), report=report)
    if not (model / TRAINING).is_file():
        save_record(model, _record(run, best))
    return model


def _record(run: Run, best: Best) -> TrainingRecord:
    """How the model was trained, for whoever adds classes to it."""
    content, n_images = run.prepared.cache.content, len(run.prepared.cache.images)
    return TrainingRecord(run.config.with_values(best.values), content, content, n_images)


def register_stage(run: Run, held_out: HeldOut) -> str:
    """Log the thresholds and register the model in MLflow; the outcome in a sentence.

    A model whose thresholds have changed since it was registered becomes a new version.

    Raises:
        ValueError: MLflow does not answer; all results are in the run's folder.
    """
    if run.folder.registered.is_file():
        done = read_json(run.folder.registered)
        may_move = run.take_over and done["champion"] != done["version"]
        if done["rule"] == sha256_of(run.folder.model / RULE_FILE) and not may_move:
            return str(done["message"])
    if waiting := run.outbox().wait(PATIENCE_S):
        entries = counted(waiting, "entry waits", "entries wait")
        raise ValueError(
            f"MLflow's store must answer by the end of a run, but {entries} in "
            f"{run.folder.outbox}; the model is in {run.folder.model}, and --resume continues"
        )
    patiently(log_thresholds, run, held_out)
    registered = patiently(
        register_model,
        run.mlflow_uri,
        run.parent_run_id,
        run.folder.model,
        _encoded(_first(run.prepared.cache.images)),
        objective=promised_value(held_out.promises["chosen"]),
        fingerprint=run.prepared.cache.content,
        description=described(run, held_out),
        name=run.registered_model,
        take_over=run.take_over,
    )
    run.folder.write_json(run.folder.registered, registered._asdict())
    return registered.message


def finished_trials(results: tune.ResultGrid, epochs: int) -> list[str]:
    """Ids of the trials, all of which must have succeeded."""
    trials = trials_table(results, epochs=epochs, keys=())
    failed = trials[trials["status"] != "finished"]
    if len(failed):
        row = failed.iloc[0]
        raise ValueError(
            f"every fold must be trained to the end, but {len(failed)} of {len(trials)} were not: "
            f"{row['failure'] or row['status']}"
        )
    return [str(trial_id) for trial_id in trials["trial_id"]]


def _first(images: np.ndarray | ImageStream) -> np.ndarray:
    return images[0] if isinstance(images, np.ndarray) else next(images.read([np.arange(1)]))[0]


def _encoded(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
