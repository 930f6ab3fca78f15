"""The second Bayesian search: Optuna over the score and threshold of each head, on a score table.

A trial applies one rule to all rows of the table, tens of microseconds; what a search costs is
Optuna's own work. The exact best rule is computed beside it, so that the search says how much it
missed.

Shape legend: N rows of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd

from hierclf.exact import best_rule
from hierclf.metrics import harmonic_mean, objective
from hierclf.thresholds import (
    PAPER_RULE,
    Array,
    LevelRows,
    Rule,
    evaluate_rule,
    level_rows,
    score_values,
    thresholds_between,
)

LEVELS = ("super", "sub")
# The second phase looks this far to both sides of the first one's best shares.
_NEAR = 0.05
# Of the trials, how many explore everything; the rest refine. Of five splits tried, with one to
# three phases, this one had the smallest regret: 0.04 points on average and 0.1 at most, in 40
# searches of 200 trials on tables of over 11,000 rows.
_EXPLORE = 0.5


class TauSearch(NamedTuple):
    """What the search found.

    Attributes:
        rule, value: the best trial's rule and its objective in [0, 1] on the table.
        exact_rule, exact_value: the same from `best_rule`, which no rule exceeds.
        regret: 100 * (exact_value - value), in points; >= 0.
        trials: one row a trial, in order: number, phase (`explore` or `refine`), and for each level
            LEVEL_score, LEVEL_share, LEVEL_tau, LEVEL_harmonic (NaN for a level left out); value.
    """

    rule: Rule
    value: float
    exact_rule: Rule
    exact_value: float
    regret: float
    trials: pd.DataFrame


def search_rule(
    table: pd.DataFrame, scores: Sequence[str], *, trials: int = 200, seed: int = 0
) -> TauSearch:
    """Search the rule with the highest balanced objective by seeded TPE trials.

    A trial suggests for each head a score and the *share* of the table's rows that it lets through
    as known, in [0, 1], which the score's sorted values turn into tau. A share has the same range
    and much the same meaning for every score, so that scores need no ranges of their own and what
    was learnt with one helps with the others. The first trial is the paper's rule, if `msp` is
    among the scores. Half of the trials explore all of this; the others begin at the best one and
    stay within 0.05 of its shares, still free to change the score.

    A level without known or novel rows is left out of the objective and never says novel.

    Args:
        table: a score table (see `hierclf.thresholds`).
        scores: names; the table has `super_NAME` and `sub_NAME` for each.
        trials: > 0.
        seed: same table, scores, trials and seed give the same result.

    Raises:
        ValueError: `trials < 1`, and what `best_rule` raises.
    """
    if trials < 1:
        raise ValueError(f"`trials >= 1` must hold, but got trials={trials}")
    exact = best_rule(table, scores)
    heads = {level: _head(table, level, scores) for level in LEVELS}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    explore = max(1, round(_EXPLORE * trials))
    seeds = [int(state) for state in np.random.SeedSequence(seed).generate_state(2)]
    start = _paper_params(heads) if PAPER_RULE.super_score in scores else None
    first = _run_phase(heads, scores, n_trials=explore, seed=seeds[0], start=start, near=None)
    found = [first.assign(phase="explore")]
    if trials > explore:
        top = first.iloc[int(first["value"].argmax())]
        keys = [f"{level}_{key}" for level in LEVELS for key in ("score", "share")]
        best = {key: top[key] for key in keys}
        second = _run_phase(
            heads, scores, n_trials=trials - explore, seed=seeds[1], start=best, near=best
        )
        found.append(second.assign(phase="refine"))
    log = pd.concat(found, ignore_index=True).rename_axis("number").reset_index()
    top = log.iloc[int(log["value"].argmax())]
    sides = [(str(top[f"{level}_score"]), float(top[f"{level}_tau"])) for level in LEVELS]
    rule = Rule(*sides[0], *sides[1])
    value = objective(evaluate_rule(table, rule))
    return TauSearch(rule, value, *exact, 100.0 * (exact.value - value), log)


class _Head(NamedTuple):
    """One level of the table, prepared so that a trial only compares and counts.

    values: score -> float64 [N]. taus: score -> float64 [N + 1], the threshold that lets the n
    lowest rows through, or more where scores are equal.
    """

    rows: LevelRows
    values: dict[str, Array]
    taus: dict[str, Array]


def _head(table: pd.DataFrame, level: str, scores: Sequence[str]) -> _Head:
    values = {name: score_values(table, level, name) for name in scores}
    taus = {}
    for name, column in values.items():
        distinct, rank = np.unique(np.sort(column), return_inverse=True)
        taus[name] = thresholds_between(distinct)[np.append(0, rank + 1)]
    return _Head(level_rows(table, level), values, taus)


def _paper_params(heads: dict[str, _Head]) -> dict[str, Any]:
    """The paper's rule as shares: on this table it decides every row as 0.3 and 0.5 do."""
    params: dict[str, Any] = {}
    for level, (score, tau) in {
        "super": (PAPER_RULE.super_score, PAPER_RULE.super_tau),
        "sub": (PAPER_RULE.sub_score, PAPER_RULE.sub_tau),
    }.items():
        params[f"{level}_score"] = score
        params[f"{level}_share"] = float((heads[level].values[score] <= tau).mean())
    return params


def _run_phase(
    heads: dict[str, _Head],
    scores: Sequence[str],
    *,
    n_trials: int,
    seed: int,
    start: dict[str, Any] | None,
    near: dict[str, Any] | None,
) -> pd.DataFrame:
    """One study; `start` is its first trial, `near` the shares that it stays close to."""
    log: list[dict[str, Any]] = []

    def run_trial(trial: optuna.Trial) -> float:
        row: dict[str, Any] = {}
        for level, head in heads.items():
            if not head.rows.judged:
                name, share = scores[0], 1.0
            else:
                name = trial.suggest_categorical(f"{level}_score", list(scores))
                low, high = 0.0, 1.0
                if near is not None:
                    centre = near[f"{level}_share"]
                    low, high = max(0.0, centre - _NEAR), min(1.0, centre + _NEAR)
                share = trial.suggest_float(f"{level}_share", low, high)
            taus = head.taus[name]
            tau = float(taus[round(share * (len(taus) - 1))])
            row |= {f"{level}_score": name, f"{level}_share": share, f"{level}_tau": tau}
        row |= _judge(heads, row)
        log.append(row)
        return row["value"]

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    if start is not None:
        judged = tuple(level for level, head in heads.items() if head.rows.judged)
        study.enqueue_trial({key: v for key, v in start.items() if key.startswith(judged)})
    study.optimize(run_trial, n_trials=n_trials)
    return pd.DataFrame(log)


def _judge(heads: dict[str, _Head], rule: dict[str, Any]) -> dict[str, float]:
    """Each level's harmonic mean and their mean, as `evaluate_rule` and `objective` give them."""
    result: dict[str, float] = {}
    novel: Any = False
    for level, head in heads.items():
        novel = novel | (head.values[rule[f"{level}_score"]] > rule[f"{level}_tau"])
        if not head.rows.judged:
            result[f"{level}_harmonic"] = float("nan")
            continue
        n_known = np.count_nonzero(head.rows.known)
        seen = np.count_nonzero(head.rows.right & ~novel) / n_known
        unseen = np.count_nonzero(novel & ~head.rows.known) / (len(novel) - n_known)
        value = harmonic_mean(seen, unseen)
        assert value is not None
        result[f"{level}_harmonic"] = value
    return result | {"value": float(np.nanmean(list(result.values())))}
