"""The stage that chooses thresholds, and says what to expect of them on new classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS
from hierclf.reports import run_plots
from hierclf.reports.curves import pareto_front, trade_off_table
from hierclf.rules.calibration import calibration_errors
from hierclf.rules.figures import Promise
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.normalisation import without_calibration
from hierclf.rules.promise import cross_fitted_promise, margins_of, promise
from hierclf.rules.rule import PAPER_RULE, Rule, apply_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.training.added_folds import may_report, with_own_novel
from hierclf.training.folds import CALIBRATION
from hierclf.training.hidden_classes import sub_parts
from search.pipeline.run import Run, search_folds
from search.pipeline.run_folder import read_json
from search.pipeline.threshold_search import ThresholdSearch, search_thresholds
from search.runtime.progress import console
from search.tracking import store
from search.tracking.promises import promise_metrics


class HeldOut(NamedTuple):
    """What to expect on classes that chose nothing, by rule; see `promised`.

    Attributes:
        promises: of `chosen`, `paper` and `never_novel`.
        cells: the cross-fitted rules behind `chosen`.
        hidden_super, hidden_sub: how many classes could be held out.
    """

    promises: dict[str, Promise]
    cells: pd.DataFrame
    hidden_super: int
    hidden_sub: int


def threshold_stage(run: Run, table: ScoreTable) -> tuple[Rule, HeldOut]:
    """Search both thresholds, and cross-fit what to expect of them."""
    goal, held_out = _reached(run, table)
    if run.folder.thresholds.is_file():
        return Rule.from_dict(read_json(run.folder.thresholds)["rule"]), held_out
    settings = run.config.thresholds
    found = search_thresholds(
        table,
        settings.scores,
        trials=settings.trials,
        seed=run.config.seed,
        goal=goal,
        sampler=settings.sampler,
    )
    console.print(
        f"  expected value {100 * found.value:.1f}, regret against the sweep of all thresholds "
        f"{found.regret:.2f} points"
    )
    errors = calibration_errors(table)
    _print_calibration(errors)
    _write_tables(run, table, found, held_out)
    chosen = {
        "rule": found.rule.to_dict(),
        "expected_value": found.value,
        "sweep_rule": found.sweep.rule.to_dict(),
        "sweep_value": found.sweep.value,
        "regret_points": found.regret,
        "calibration_errors": errors,
    }
    run.folder.write_json(run.folder.thresholds, chosen)
    return found.rule, held_out


def _print_calibration(errors: dict[str, float | None]) -> None:
    console.print(
        "  expected calibration error on known images, before and after temperature scaling: "
        + ", ".join(
            f"{level} {100 * (errors[f'{level}_ece'] or 0):.1f} -> "
            f"{100 * (errors[f'{level}_ece_calibrated'] or 0):.1f} points"
            for level in LEVELS
        )
    )


def _reached(run: Run, table: ScoreTable) -> tuple[Goal, HeldOut]:
    """The configuration's goal and its promise; where it can't be reached, the balanced goal's."""
    goal = run.config.thresholds.target
    try:
        return goal, promised(run, table, goal)
    except ValueError as error:
        if goal == BALANCED:
            raise
        # The networks are trained by now: a goal set too high must not cost them.
        console.print(f"  {error}: balanced thresholds instead; `hierclf thresholds` changes them")
        return BALANCED, promised(run, table, BALANCED)


def promised(run: Run, table: ScoreTable, goal: Goal) -> HeldOut:
    """What to expect of the rule to be chosen, of the paper's, and of never saying novel.

    Rows that had a say in the hyper-parameters do not report (see `reporting_rows`).
    """
    may_report = reporting_rows(run, table)
    found = cross_fitted_promise(
        table, class_parts(run), may_report, run.config.thresholds.scores, goal=goal
    )
    as_scored = _as_scored(run).take(found.fit.predictions.index)
    paper = as_scored.where(may_report[found.fit.predictions.index])
    never = pd.DataFrame({f"{level}_margin": np.full(len(paper), -1.0) for level in LEVELS})
    promises = {
        "chosen": found.figures,
        "paper": promise(paper, margins_of(paper, PAPER_RULE)),
        "never_novel": promise(paper, never),
    }
    return HeldOut(promises, found.fit.cells, found.hidden_super, found.hidden_sub)


def _as_scored(run: Run) -> ScoreTable:
    """The rows of the score table as the folds' networks scored them: what the paper looks at."""
    table = ScoreTable(pd.read_parquet(run.folder.fold_scores))
    return without_calibration(table, *CALIBRATION)


def class_parts(run: Run) -> NDArray[np.int64]:
    """The part of each sub-class, int64 [C]: the number of the sub fold that hides it.

    A user's own novel classes follow, dealt out to all parts but 0, which the search looks at.
    """
    config, novel = run.config, run.prepared.novel
    parts = sub_parts(run.prepared.cache.hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    if novel is None:
        return parts
    return with_own_novel(parts, novel.n_judging)


def reporting_rows(run: Run, table: ScoreTable) -> NDArray[np.bool_]:
    """Which rows of the score table figures may be made of, bool [N]; none
    whose fold or class had a say in the hyper-parameters."""
    return may_report(table.folds, class_parts(run)[table.sub.labels], search_folds(run))


def _write_tables(run: Run, table: ScoreTable, found: ThresholdSearch, held_out: HeldOut) -> None:
    folder, plots = run.folder.path, run.folder.plots
    decided = apply_rule(table, found.rule)
    written = table.with_columns(super_decision=decided.super, sub_decision=decided.sub)
    run.folder.write_table(run.folder.scores, written.frame)
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

    Not part of that stage: the refit must not wait for an MLflow that is gone.
    """
    folder, chosen = run.folder.path, read_json(run.folder.thresholds)
    metrics = promise_metrics(held_out.promises["chosen"])
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
