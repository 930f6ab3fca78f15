"""The stage that decides between the search's configuration and the one that the user wrote.

Both are trained on every class-holdout fold, and compared on folds and classes that chose neither.
The user's own stays unless the search's is convincingly better: a search looks at noise many times.
"""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from ray import tune

from hierclf.io.atomic import draft_of
from hierclf.rules.comparison import Gain, paired_gain
from hierclf.rules.evidence import KINDS, Evidence
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from hierclf.training.folds import CALIBRATION, REFIT
from search.pipeline.run import Run
from search.pipeline.run_folder import read_json
from search.pipeline.threshold_stage import class_parts, reporting_rows
from search.pipeline.training_stages import Best, finished_trials
from search.runtime.progress import console
from search.trials.plan import FOLDS
from search.tuning.experiment import final_checkpoint, run_experiment


def confirm_stage(run: Run, best: Best) -> tuple[Best, ScoreTable]:
    """Train on every fold with the search's values and with the configuration's own.

    Returns:
        What is deployed, and its score table in the final network's terms (see `normalisation`).
        The scores as the folds' networks gave them are kept beside it.
    """
    if run.folder.scores.is_file():
        return Best(**read_json(run.folder.deployed)), ScoreTable(
            pd.read_parquet(run.folder.scores)
        )
    own = replace(best, trial_id=None, values={}, objective=None)
    chosen, kept = best, _fold_scores(run, best, "confirm")
    if best.values != {key: run.config.value(key) for key in best.values}:
        try:
            own_scores = _fold_scores(run, own, "confirm-own")
        except ValueError as error:
            # It has no room, or its loss is not finite: the search's values do not depend on it.
            console.print(f"  the configuration as it is cannot be trained, {error}")
        else:
            gain = search_gain(run, kept, own_scores)
            run.folder.write_json(run.folder.gain, gain._asdict())
            console.print(f"  {describe_gain(gain)}")
            if not gain.convincing:
                chosen, kept = own, own_scores
    with draft_of(run.folder.fold_scores) as draft:
        kept.to_parquet(draft, index=False)
    table = _in_final_terms(run, kept)
    run.folder.write_json(run.folder.deployed, asdict(chosen))
    run.folder.write_table(run.folder.scores, table.frame)
    for stage in ("confirm", "confirm-own"):
        shutil.rmtree(run.folder.ray / stage, ignore_errors=True)
        _scores_of(run, stage).unlink(missing_ok=True)
    return chosen, table


def search_gain(run: Run, found: pd.DataFrame, own: pd.DataFrame) -> Gain:
    """How much better the search's values are than the configuration's own, on new classes.

    Where no level can be judged, anything from -1 to 1 is possible.

    Args:
        found, own: scores as the folds' networks gave them, the same folds and images in both.
    """
    judged = []
    for scores in (found, own):
        table = _in_final_terms(run, scores)
        fitted = cross_fitted_promise(
            table, class_parts(run), reporting_rows(run, table), run.config.thresholds.scores
        )
        margins = fitted.fit.predictions
        judged.append((table.take(margins.index), margins, reporting_rows(run, table)))
    (first, first_margins, may), (second, second_margins, _) = judged
    report = may[first_margins.index]
    if not comparable(first.where(report)):
        return Gain(0.0, -1.0, 1.0)
    return paired_gain(
        (first.where(report), first_margins[report]),
        (second.where(report), second_margins[report]),
    )


def comparable(table: ScoreTable) -> bool:
    """Whether rows that may report are of two kinds of classes or more; see `Evidence`."""
    evidence = Evidence.of(table)
    return sum(evidence.has(kind) for kind in KINDS) >= 2


def describe_gain(gain: Gain) -> str:
    """The search's gain in points, and which configuration is taken."""
    figures = f"{100 * gain.mean:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    if gain.convincing:
        return f"the search gains {figures} on new classes: its values are taken"
    return (
        f"the search gains nothing that is certain, {figures} on new classes: the configuration "
        "stays as it is"
    )


def _in_final_terms(run: Run, scores: pd.DataFrame) -> ScoreTable:
    return normalise_to_final(ScoreTable(scores), run.config.thresholds.scores, *CALIBRATION)


def _scores_of(run: Run, stage: str) -> Path:
    return run.folder.path / f"{stage}.parquet"


def _fold_scores(run: Run, configuration: Best, stage: str) -> pd.DataFrame:
    """The scores of every fold's network, trained with a configuration; read if they are there."""
    path = _scores_of(run, stage)
    if path.is_file():
        return pd.read_parquet(path)
    names = [name for name in run.prepared.folds if name != REFIT]
    n_jobs = min(run.plan.trials_at_a_time, len(names))
    parts = [names[i::n_jobs] for i in range(n_jobs)]
    job = run.job(stage, folds=names, epochs=configuration.epochs, results=True)
    results = run_experiment(
        job,
        n_trials=n_jobs,
        stage=stage,
        param_space=configuration.values | {FOLDS: tune.grid_search(parts)},
        callbacks=[run.logger("confirm")],
    )
    tables = [
        pd.read_parquet(final_checkpoint(job, trial_id) / "scores.parquet")
        for trial_id in finished_trials(results, configuration.epochs)
    ]
    scores = pd.concat(tables, ignore_index=True).sort_values(
        ["fold", "split", "image"], kind="stable", ignore_index=True
    )
    with draft_of(path) as draft:
        scores.to_parquet(draft, index=False)
    return scores
