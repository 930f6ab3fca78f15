"""The stage that chooses scores and thresholds, and measures them by cross-fitting."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS
from hierclf.metrics.accuracy import constant_answers, six_accuracies
from hierclf.reports import run_plots
from hierclf.reports.curves import pareto_front, trade_off_table
from hierclf.rules.calibration import calibration_errors
from hierclf.rules.cross_fit import cross_fit
from hierclf.rules.fusion import best_combination
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import (
    PAPER_RULE,
    Rule,
    apply_rule,
    evaluate_rule,
)
from hierclf.rules.score_table import ScoreTable
from hierclf.training.folds import REFERENCE, REFIT, sub_parts
from search.pipeline.run import Run, search_folds
from search.pipeline.run_folder import read_json
from search.pipeline.threshold_search import TauSearch, search_rule
from search.runtime.progress import console
from search.tracking import store


class HeldOut(NamedTuple):
    """The cross-fitted six accuracies, by rule, and the rule chosen for each cell."""

    accuracies: dict[str, dict[str, float | None]]
    cells: pd.DataFrame


def threshold_stage(run: Run, table: ScoreTable) -> tuple[Rule, HeldOut]:
    """Optuna over the score and tau of each head; figures by cross-fitting."""
    names = run.config.thresholds.scores
    goal, held_out = _reached(run, table)
    if run.folder.thresholds.is_file():
        return Rule.from_dict(read_json(run.folder.thresholds)["rule"]), held_out
    settings = run.config.thresholds
    found = search_rule(
        table,
        names,
        trials=settings.trials,
        seed=run.config.seed,
        goal=goal,
        sampler=settings.sampler,
    )
    rule = found.rule
    console.print(
        f"  {rule.super.score} > {rule.super.tau:.4g} is a novel super-class, "
        f"{rule.sub.score} > {rule.sub.tau:.4g} a novel sub-class; "
        f"regret against the exact search {found.regret:.2f} points"
    )
    errors = calibration_errors(table)
    console.print(
        "  expected calibration error on known images, before and after temperature scaling: "
        + ", ".join(
            f"{level} {100 * (errors[f'{level}_ece'] or 0):.1f} -> "
            f"{100 * (errors[f'{level}_ece_calibrated'] or 0):.1f} points"
            for level in LEVELS
        )
    )
    decided = apply_rule(table, rule)
    written = table.with_columns(super_decision=decided.super, sub_decision=decided.sub)
    run.folder.write_table(run.folder.scores, written.frame)
    _write_curves(run, table, found, held_out)
    chosen = {
        "rule": rule.to_dict(),
        "objective": found.value,
        "exact_rule": found.exact_rule.to_dict(),
        "exact_objective": found.exact_value,
        "regret_points": found.regret,
        "calibration_errors": errors,
    }
    run.folder.write_json(run.folder.thresholds, chosen)
    return rule, held_out


def _reached(run: Run, table: ScoreTable) -> tuple[Goal, HeldOut]:
    """The configuration's goal and its figures; where it can't be reached, the balanced goal's."""
    goal = run.config.thresholds.target
    try:
        return goal, held_out_accuracies(run, table, goal)
    except ValueError as error:
        if goal == BALANCED:
            raise
        # The networks are trained by now: a goal set too high must not cost them.
        console.print(f"  {error}: balanced thresholds instead; `hierclf thresholds` changes them")
        return BALANCED, held_out_accuracies(run, table, BALANCED)


def held_out_accuracies(run: Run, table: ScoreTable, goal: Goal) -> HeldOut:
    """Accuracies by thresholds that were chosen without the sub-class they judge.

    The folds of the hyper-parameter search are not reported, nor the sub-classes that its sub fold
    hid. What its super fold hid is reported, by networks of other folds: leaving that out would
    leave out a whole super-class. So thresholds and figures share no sub-class; hyper-parameters
    and figures share no network, but that one super-class.
    """
    searched = search_folds(run)
    silent = (*searched, REFERENCE, REFIT)
    reported = [name for name in run.prepared.folds if name not in silent]
    parts = class_parts(run)
    names = run.config.thresholds.scores
    choose = partial(best_combination, goal=goal)
    fitted = cross_fit(table, parts, names, reported, choose=choose)
    may_report = reporting_rows(run, table)[fitted.predictions.index.to_numpy()]
    chosen = fitted.predictions[may_report]
    rows = table.take(chosen.index)
    accuracies = {
        "chosen": six_accuracies(*rows.targets, chosen["pred_super"], chosen["pred_sub"]),
        "paper": evaluate_rule(_as_scored(run).take(chosen.index), PAPER_RULE),
        **constant_answers(*rows.targets, *rows.predictions),
    }
    return HeldOut(accuracies, fitted.cells)


def _as_scored(run: Run) -> ScoreTable:
    """The rows of the score table as the folds' networks scored them: what the paper looks at."""
    table = ScoreTable(pd.read_parquet(run.folder.fold_scores))
    return table.where(table.folds != REFERENCE)


def class_parts(run: Run) -> NDArray[np.int64]:
    """The part of each sub-class, int64 [C]: the number of the sub fold that hides it."""
    config = run.config
    return sub_parts(run.prepared.cache.hierarchy, sub_folds=config.folds.sub, seed=config.seed)


def reporting_rows(run: Run, table: ScoreTable) -> NDArray[np.bool_]:
    """Which rows of the score table figures may be made of, bool [N]; see `held_out_accuracies`."""
    part = class_parts(run)[table.sub.labels]
    # Part 0 is what the search's sub fold hid.
    return ~np.isin(table.folds, search_folds(run)) & (part != 0)


def _write_curves(run: Run, table: ScoreTable, found: TauSearch, held_out: HeldOut) -> None:
    folder, plots = run.folder.path, run.folder.plots
    curve = trade_off_table(table, run.config.thresholds.scores)
    run.folder.write_csv(folder / "trade_off.csv", curve)
    run.folder.write_csv(folder / "tau_trials.csv", found.trials)
    run.folder.write_csv(folder / "pareto.csv", pareto_front(found.trials))
    run.folder.write_csv(folder / "cross_fit.csv", held_out.cells)
    plots.mkdir(exist_ok=True)
    run_plots.plot_trade_off(table, found.rule, plots / "trade_off.png")
    run_plots.plot_tau_map(table, found.rule, plots / "tau_map.png")
    run_plots.plot_score_histograms(table, found.rule, plots / "scores.png")


def log_thresholds(run: Run, held_out: HeldOut) -> None:
    """Log what `threshold_stage` left as files to MLflow; a second call replaces the first one's.

    Not part of that stage: an MLflow that is gone shall not keep the refit from its work.
    """
    folder, chosen = run.folder.path, read_json(run.folder.thresholds)
    figures = held_out.accuracies["chosen"].items()
    metrics = {f"held_out.{key}": value for key, value in figures if value is not None}
    taus = {f"{level}_tau": chosen["rule"][f"{level}_tau"] for level in LEVELS}
    store.log_thresholds(
        run.mlflow_uri,
        run.parent_run_id,
        run.experiment_id,
        f"{run.name}-thresholds",
        {**metrics, **taus, "regret_points": chosen["regret_points"]},
        pd.read_csv(folder / "tau_trials.csv").rename(columns={"value": "objective"}),
        [
            folder / "trade_off.csv",
            folder / "pareto.csv",
            run.folder.plots / "trade_off.png",
            run.folder.plots / "tau_map.png",
        ],
    )
