"""The stages of the main job after preparation; each leaves its result as files in the run folder.

A stage whose file is there is not repeated: it is read.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from optuna.samplers import TPESampler
from PIL import Image
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from hierclf import report
from hierclf.bundle import save_rule
from hierclf.config import Config
from hierclf.crossfit import cross_fit
from hierclf.curves import trade_off_table
from hierclf.metrics import constant_answers, objective, six_accuracies
from hierclf.prepare import Prepared
from hierclf.splits import sub_parts
from hierclf.thresholds import PAPER_RULE, Rule, evaluate_rule, true_labels
from search import tracking
from search.cluster import Plan
from search.experiment import (
    METRIC,
    KeepBest,
    final_checkpoint,
    history_table,
    run_experiment,
    trials_table,
)
from search.halving import PersistentASHA
from search.progress import console
from search.registry import register_model
from search.run_folder import RunFolder, read_json
from search.space import distributions, first_trials
from search.tau import search_rule
from search.trial import Job
from search.trial_logger import TrialLogger


@dataclass(frozen=True)
class Run:
    """What every stage needs to know."""

    name: str
    folder: RunFolder
    config: Config
    prepared: Prepared
    plan: Plan
    cache_dir: Path
    time_budget_s: float | None
    mlflow_uri: str
    experiment_id: str
    parent_run_id: str

    def job(self, stage: str, config: Config, folds: list[str], epochs: int, results: bool) -> Job:
        """The job of a stage's trials."""
        storage = self.folder.ray / stage
        storage.mkdir(parents=True, exist_ok=True)
        return Job(
            config=config.model_dump(),
            folds=tuple(folds),
            epochs=epochs,
            results=results,
            cache_dir=str(self.cache_dir),
            plan=self.plan,
            storage=str(storage),
        )

    def logger(self, stage: str) -> TrialLogger:
        """The MLflow logger of a stage's trials."""
        return TrialLogger(self.mlflow_uri, self.experiment_id, self.parent_run_id, stage=stage)


class Best(NamedTuple):
    """What the hyper-parameter search decided."""

    trial_id: str
    lr: float
    weight_decay: float
    strength: float
    epochs: int
    objective: float


class HeldOut(NamedTuple):
    """The six accuracies on classes that chose nothing, by rule, and the rules chosen per cell."""

    accuracies: dict[str, dict[str, float | None]]
    cells: pd.DataFrame


def search_folds(run: Run) -> list[str]:
    """The folds that hyper-parameters are chosen on: the first of each kind."""
    return [name for name in ("sub0", "super0") if name in run.prepared.folds]


def search_stage(run: Run) -> Best:
    """Ray Tune and Optuna over learning rate, weight decay and augmentation strength."""
    if run.folder.best.is_file():
        return Best(**read_json(run.folder.best))
    config, epochs = run.config, run.config.train.epochs
    job = run.job("search", config, search_folds(run), epochs, results=False)
    results = run_experiment(
        job,
        n_trials=config.search.trials,
        stage="trial",
        search_alg=OptunaSearch(
            distributions(config),
            metric=METRIC,
            mode="max",
            sampler=TPESampler(seed=config.seed),
            points_to_evaluate=first_trials(config)[: config.search.trials],
        ),
        scheduler=PersistentASHA(
            Path(job.storage) / "rungs.json",
            time_attr="epoch",
            # One more than there are: to reach the end is no early stop.
            max_t=epochs + 1,
            grace_period=min(config.search.grace_epochs, epochs),
            reduction_factor=config.search.reduction_factor,
        ),
        callbacks=[KeepBest(job.storage), run.logger("search")],
        time_budget_s=run.time_budget_s,
    )
    trials = trials_table(results, epochs=epochs)
    run.folder.write_table(run.folder.trials, trials)
    good = trials[(trials["status"] != "failed") & trials["objective"].notna()]
    if good.empty:
        raise ValueError(
            f"at least one trial must succeed, but all {len(trials)} failed; the first: "
            f"{trials['failure'].iloc[0] if len(trials) else 'none was started'}"
        )
    run.folder.write_table(run.folder.history, history_table(results))
    top = good.iloc[0]
    best = Best(
        trial_id=str(top["trial_id"]),
        **{key: float(top[key]) for key in ("lr", "weight_decay", "strength", "objective")},
        epochs=int(top["best_epoch"]),
    )
    run.folder.write_json(run.folder.best, best._asdict())
    return best


def confirm_stage(run: Run, best: Best) -> pd.DataFrame:
    """Train the best configuration on every fold: the out-of-fold score table.

    The number of epochs is the one that the search chose, so that no reported class stops it.
    """
    if run.folder.scores.is_file():
        return pd.read_parquet(run.folder.scores)
    names = [name for name in run.prepared.folds if name != "all"]
    n_jobs = min(run.plan.trials_at_a_time, len(names))
    shares = [names[i::n_jobs] for i in range(n_jobs)]
    job = run.job("confirm", run.config, names, best.epochs, results=True)
    results = run_experiment(
        job,
        n_trials=1,
        stage="confirm",
        param_space=_fixed(best) | {"folds": tune.grid_search(shares)},
        callbacks=[run.logger("confirm")],
    )
    tables = [
        pd.read_parquet(final_checkpoint(job, trial_id) / "scores.parquet")
        for trial_id in _finished(results, best.epochs)
    ]
    table = pd.concat(tables, ignore_index=True).sort_values(["fold", "split"], kind="stable")
    table = table.reset_index(drop=True)
    run.folder.write_table(run.folder.scores, table)
    return table


def threshold_stage(run: Run, table: pd.DataFrame) -> tuple[Rule, HeldOut]:
    """Optuna over the score and tau of each head; figures from classes that chose nothing."""
    names = run.config.thresholds.scores
    held_out = held_out_accuracies(run, table)
    if run.folder.thresholds.is_file():
        return Rule.from_dict(read_json(run.folder.thresholds)["rule"]), held_out
    found = search_rule(table, names, trials=run.config.thresholds.trials, seed=run.config.seed)
    console.print(
        f"  {found.rule.super_score} > {found.rule.super_tau:.4g} is a novel super-class, "
        f"{found.rule.sub_score} > {found.rule.sub_tau:.4g} a novel sub-class; "
        f"regret against the exact sweep {found.regret:.2f} points"
    )
    curve = trade_off_table(table, names)
    curve.to_csv(run.folder.path / "trade_off.csv", index=False)
    found.trials.to_csv(run.folder.path / "tau_trials.csv", index=False)
    held_out.cells.to_csv(run.folder.path / "cross_fit.csv", index=False)
    run.folder.plots.mkdir(exist_ok=True)
    report.plot_trade_off(table, found.rule, run.folder.plots / "trade_off.png")
    report.plot_tau_map(table, found.rule, run.folder.plots / "tau_map.png")
    report.plot_score_histograms(table, found.rule, run.folder.plots / "scores.png")
    metrics = {
        f"held_out.{k}": v for k, v in held_out.accuracies["chosen"].items() if v is not None
    }
    tracking.log_thresholds(
        run.mlflow_uri,
        run.parent_run_id,
        run.experiment_id,
        f"{run.name}-thresholds",
        {
            **metrics,
            "regret_points": found.regret,
            "super_tau": found.rule.super_tau,
            "sub_tau": found.rule.sub_tau,
        },
        found.trials.rename(columns={"value": "objective"}),
        [
            run.folder.path / "trade_off.csv",
            run.folder.plots / "trade_off.png",
            run.folder.plots / "tau_map.png",
        ],
    )
    chosen = {
        "rule": found.rule.to_dict(),
        "objective": found.value,
        "exact_rule": found.exact_rule.to_dict(),
        "exact_objective": found.exact_value,
        "regret_points": found.regret,
    }
    run.folder.write_json(run.folder.thresholds, chosen)
    return found.rule, held_out


def held_out_accuracies(run: Run, table: pd.DataFrame) -> HeldOut:
    """Accuracies on folds and sub-classes that chose neither hyper-parameters nor thresholds.

    Thresholds are cross-fitted: each image is judged by a rule chosen without its sub-class. The
    folds of the hyper-parameter search are not reported, nor the sub-classes that they hid.
    """
    folds = run.prepared.folds
    parts = sub_parts(
        run.prepared.cache.hierarchy,
        sub_folds=run.config.folds.sub,
        seed=run.config.seed,
    )
    searched = search_folds(run)
    reported = [name for name in folds if name not in (*searched, "all")]
    fitted = cross_fit(table, parts, run.config.thresholds.scores, reported)
    chosen = fitted.predictions[fitted.predictions["part"] != 0]
    rows = table.iloc[chosen.index]
    truth = true_labels(rows)
    accuracies = {
        "chosen": six_accuracies(*truth, chosen["pred_super"], chosen["pred_sub"]),
        "paper": evaluate_rule(rows, PAPER_RULE),
        **constant_answers(*truth, rows["super_pred"], rows["sub_pred"]),
    }
    return HeldOut(accuracies, fitted.cells)


def refit_stage(run: Run, best: Best, rule: Rule) -> Path:
    """Train the best configuration on every labelled image and give it the thresholds."""
    if not run.folder.model.is_dir():
        job = run.job("refit", run.config, ["all"], best.epochs, results=True)
        results = run_experiment(
            job,
            n_trials=1,
            stage="refit",
            param_space=_fixed(best),
            callbacks=[run.logger("refit")],
        )
        (trial_id,) = _finished(results, best.epochs)
        run.folder.take_model(final_checkpoint(job, trial_id) / "model")
    save_rule(run.folder.model, rule)
    return run.folder.model


def register_stage(run: Run, held_out: HeldOut) -> str:
    """Register the model in MLflow; what became of it, in a sentence."""
    if run.folder.registered.is_file():
        return str(read_json(run.folder.registered)["message"])
    registered = register_model(
        run.mlflow_uri,
        run.parent_run_id,
        run.folder.model,
        _encoded(run.prepared.cache.images[0]),
        objective=objective(held_out.accuracies["chosen"]),
        fingerprint=run.prepared.cache.fingerprint,
        take_over=not run.config.data.path.startswith("demo"),
    )
    run.folder.write_json(run.folder.registered, registered._asdict())
    return registered.message


def _fixed(best: Best) -> dict[str, Any]:
    return {"lr": best.lr, "weight_decay": best.weight_decay, "strength": best.strength}


def _finished(results: tune.ResultGrid, epochs: int) -> list[str]:
    """Ids of the trials, all of which must have succeeded."""
    trials = trials_table(results, epochs=epochs)
    failed = trials[trials["status"] != "finished"]
    if len(failed):
        row = failed.iloc[0]
        raise ValueError(
            f"every fold must be trained to the end, but {len(failed)} of {len(trials)} were not: "
            f"{row['failure'] or row['status']}"
        )
    return [str(trial_id) for trial_id in trials["trial_id"]]


def _encoded(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
