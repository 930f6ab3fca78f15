"""The second Bayesian search: Optuna over super_tau and sub_tau on a score table.

The scores are fused beforehand (`hierclf.rules.fusion`); a trial is a pair of thresholds, valued by
what is expected of it on classes drawn anew (`hierclf.rules.expected`). A sweep of both thresholds
runs beside it, so that the search reports its own regret.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
import pandas as pd

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.choose import Chosen, expectation
from hierclf.rules.evidence import FAR
from hierclf.rules.expected import Expectation
from hierclf.rules.fusion import fused_score
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import Array, ScoreTable

Sampler = Literal["tpe", "gp"]
_EXPLORED = 0.6
"""Fraction of the trials that look everywhere; the others stay near the best of these."""
_NEAR = 0.03


class ThresholdSearch(NamedTuple):
    """What the search found.

    Attributes:
        rule, value: the best trial's rule and its expected value, in [0, 1].
        sweep: the best rule of the sweep over the same scores.
        regret: 100 * (sweep.value - value), in points; below 0 where the search did better than the
            sweep's resolution.
        trials: one row per trial, in order: number, phase (`explore` or `refine`), for each level
            LEVEL_fraction, LEVEL_tau and LEVEL_value (NaN for a level that cannot be judged), and
            value.
    """

    rule: Rule
    value: float
    sweep: Chosen
    regret: float
    trials: pd.DataFrame


def search_thresholds(
    table: ScoreTable,
    names: Sequence[str],
    *,
    trials: int = 200,
    seed: int = 0,
    goal: Goal = BALANCED,
    sampler: Sampler = "tpe",
) -> ThresholdSearch:
    """Search the thresholds with the highest expected value by seeded trials.

    A trial suggests for each level the fraction of the table's rows that it lets through as known,
    in [0, 1]; the score's sorted values turn it into a threshold. A fraction has the same range and
    meaning for every score. The first trial lets through as many rows as are known. A level without
    held-out classes never says novel.

    Args:
        table: a score table, its scores in one network's terms.
        names: scores to fuse; the table has super_NAME and sub_NAME for each.
        trials: > 0.
        seed: same table, names, trials and seed give the same result.
        goal: whose expected value is maximised, as the mean over the levels.
        sampler: `tpe`, or `gp`, a Gaussian process, which takes minutes where TPE takes seconds.

    Raises:
        ValueError: `trials < 1`, and what `choose_rule` raises.
    """
    if trials < 1:
        raise ValueError(f"`trials >= 1` must hold, but got trials={trials}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scores = {level: fused_score(table, level, names) for level in LEVELS}
    value = expectation(table, scores["super"], scores["sub"], goal=goal)
    best = value.best()
    sweep = Chosen(_rule(scores, best.super_tau, best.sub_tau), best.value)
    seeds = np.random.SeedSequence(seed).generate_state(2)
    first = {f"{level}_fraction": float(table[level].known.mean()) for level in LEVELS}
    n_explored = max(1, round(_EXPLORED * trials))
    log = _run_phase(value, "explore", n_explored, _sampler(sampler, int(seeds[0])), first, 1.0)
    if trials > n_explored:
        top = log.iloc[int(log["value"].argmax())]
        centre = {key: float(top[key]) for key in first}
        refined = _sampler(sampler, int(seeds[1]))
        rows = _run_phase(value, "refine", trials - n_explored, refined, centre, _NEAR)
        log = pd.concat([log, rows], ignore_index=True)
    top = log.iloc[int(log["value"].argmax())]
    rule = _rule(scores, float(top["super_tau"]), float(top["sub_tau"]))
    found = float(top["value"])
    log = log.rename_axis("number").reset_index()
    return ThresholdSearch(rule, found, sweep, 100.0 * (sweep.value - found), log)


def _rule(scores: dict[Level, str], super_tau: float, sub_tau: float) -> Rule:
    return Rule(LevelRule(scores["super"], super_tau), LevelRule(scores["sub"], sub_tau))


def _sampler(name: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _run_phase(
    value: Expectation,
    phase: str,
    n_trials: int,
    sampler: optuna.samplers.BaseSampler,
    centre: dict[str, float],
    radius: float,
) -> pd.DataFrame:
    """One study around a centre, which is its first trial: one row per trial."""
    ordered = {"super": np.sort(value.super_scores), "sub": np.sort(value.sub_scores)}
    levels = [level for level in LEVELS if level == "sub" or value.evidence.has(FAR)]
    log: list[dict[str, Any]] = []

    def run_trial(trial: optuna.Trial) -> float:
        row: dict[str, Any] = {"phase": phase}
        for level in LEVELS:
            key = f"{level}_fraction"
            low, high = max(0.0, centre[key] - radius), min(1.0, centre[key] + radius)
            row[key] = trial.suggest_float(key, low, high) if level in levels else 1.0
            row[f"{level}_tau"] = _tau(ordered[level], row[key])
        taus = (np.array([row[f"{level}_tau"]]) for level in LEVELS)
        super_value, sub_value = value.level_values(*taus)
        row["super_value"] = float("nan") if super_value is None else float(super_value[0])
        row["sub_value"] = float(sub_value[0, 0])
        row["value"] = float(np.nanmean([row["super_value"], row["sub_value"]]))
        log.append(row)
        return row["value"]

    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({f"{level}_fraction": centre[f"{level}_fraction"] for level in levels})
    study.optimize(run_trial, n_trials=n_trials)
    return pd.DataFrame(log)


def _tau(ordered: Array, fraction: float) -> float:
    """The threshold that lets a fraction of ascending scores through as known."""
    if fraction >= 1.0:
        return float(ordered[-1]) + 1.0
    return float(np.quantile(ordered, fraction))
