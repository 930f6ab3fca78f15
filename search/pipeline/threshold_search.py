"""The second Bayesian search: Optuna over the score and threshold of each head, on a score table.

A trial applies one rule to all rows of the table, tens of microseconds to a few milliseconds; the
rest is Optuna's own work. The exact best rule is computed beside it, so that the search says how
much it missed.

Shape legend: N rows of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
import pandas as pd

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.exact import best_rule
from hierclf.rules.fusion import candidates
from hierclf.rules.goals import BALANCED, Goal, objective
from hierclf.rules.rule import PAPER_RULE, LevelRule, Rule, evaluate_rule, novel_rows
from hierclf.rules.score_table import (
    Array,
    Bools,
    LevelRows,
    ScoreTable,
)
from hierclf.rules.trade_off import thresholds_between
from hierclf.scores.sums import format_score, parse_score

Sampler = Literal["tpe", "gp"]
# What a head's weighted sum of scores is called among its choices.
SUM = "weighted sum"


class _Phase(NamedTuple):
    """A part of the search: how far it may stray from the best trial of the phases before it.

    Attributes:
        part: its share of all trials.
        near: how far shares stray to both sides; None explores all of [0, 1].
        factor: by how much a sum's weights are changed at most; 1 keeps them.
    """

    name: str
    part: float
    near: float | None
    factor: float


# With the weights free from the start, 200 trials on 12,762 rows ended up to 0.8 points short.
_PHASES = (
    _Phase("explore", 0.4, None, 1.0),
    _Phase("refine", 0.3, 0.03, 1.0),
    _Phase("weigh", 0.3, 0.01, 1.5),
)


class TauSearch(NamedTuple):
    """What the search found.

    Attributes:
        rule, value: the best trial's rule and its objective for the goal, on the table.
        exact_rule, exact_value: the same from `best_rule` over the scores that the heads choose
            among, the found sums among them; no pair of thresholds on these does better.
        regret: 100 * (exact_value - value), in points; >= 0.
        trials: one row a trial, in order: number, phase (`explore`, `refine` or `weigh`), for each
            level LEVEL_score, LEVEL_share, LEVEL_tau, LEVEL_value (NaN if left out), and value.
    """

    rule: Rule
    value: float
    exact_rule: Rule
    exact_value: float
    regret: float
    trials: pd.DataFrame


def search_rule(
    table: ScoreTable,
    scores: Sequence[str],
    *,
    trials: int = 200,
    seed: int = 0,
    goal: Goal = BALANCED,
    sampler: Sampler = "tpe",
) -> TauSearch:
    """Search the rule that serves a goal best by seeded trials.

    For each head a trial suggests a score - one of the best by their own trade-off, `msp`, or a
    weighted sum - and the *share* of the table's rows that the head lets through as known, in [0,
    1], which the score's sorted values turn into tau. A share has the same range and much the same
    meaning for every score, so that what was learnt with one helps with the others. The first trial
    is the paper's rule, if `msp` is among the scores; the second the sums, with as many rows let
    through as are known. The sums' first weights are those of a logistic regression
    (`combine.fit_sum`). Two phases follow, each beginning at the best trial so far and still free
    to change the score: one stays near its shares, the other searches the weights, too.

    A level without known or novel rows is left out of the objective and never says novel.

    Args:
        table: a score table (see `hierclf.rules.score_table`).
        scores: names; the table has `super_NAME` and `sub_NAME` for each.
        trials: > 0.
        seed: same table, scores, trials and seed give the same result.
        goal: what to maximise, as the mean over the levels.
        sampler: `tpe`, or `gp`, a Gaussian process, which costs seconds where TPE costs
            milliseconds.

    Raises:
        ValueError: `trials < 1`, and what `best_rule` raises.
    """
    if trials < 1:
        raise ValueError(f"`trials >= 1` must hold, but got trials={trials}")
    choices = candidates(table, scores, goal=goal)
    heads = {level: _head(table, level, scores, choices[level]) for level in LEVELS}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    first = _first_trials(heads, scores)
    seeds = np.random.SeedSequence(seed).generate_state(len(_PHASES))
    ends = np.round(np.cumsum([phase.part for phase in _PHASES]) * trials).astype(int)
    best: _Trial | None = None
    found: list[pd.DataFrame] = []
    for phase, phase_seed, n_trials in zip(_PHASES, seeds, np.diff(ends, prepend=0), strict=True):
        if n_trials:
            study_sampler = _sampler(sampler, int(phase_seed))
            rows, best = _run_phase(heads, goal, study_sampler, int(n_trials), phase, first, best)
            found.append(rows.assign(phase=phase.name))
    log = pd.concat(found, ignore_index=True).rename_axis("number").reset_index()
    top = log.iloc[int(log["value"].argmax())]
    rule = Rule(
        LevelRule(str(top["super_score"]), float(top["super_tau"])),
        LevelRule(str(top["sub_score"]), float(top["sub_tau"])),
    )
    value = objective(evaluate_rule(table, rule), goal)
    every = {
        level: list(dict.fromkeys([*heads[level].values, *choices[level], rule[level].score]))
        for level in LEVELS
    }
    exact = best_rule(table, every, goal)
    return TauSearch(rule, value, *exact, 100.0 * (exact.value - value), log)


@dataclass(frozen=True)
class _Head:
    """One level of the table, prepared so that a trial only adds, compares and counts.

    Attributes:
        values: single score -> float64 [N]. ordered: the same, ascending.
        terms: (weight, name) of the fitted sum; none if no sum was fitted.
    """

    level: Level
    table: ScoreTable
    rows: LevelRows
    values: dict[str, Array]
    ordered: dict[str, Array]
    terms: tuple[tuple[float, str], ...]

    @property
    def choices(self) -> list[str]:
        return [*self.values, *([SUM] if self.terms else [])]

    def tau(self, text: str, share: float) -> tuple[Array, float]:
        """The values [N] of a score, and the tau that lets a share of them through, or more."""
        values = self.values.get(text)
        if values is None:
            values = self.table.score(self.level, text)
            return values, _tau_of_share(np.sort(values), share)
        return values, _tau_of_share(self.ordered[text], share)


def _head(table: ScoreTable, level: Level, scores: Sequence[str], choices: Sequence[str]) -> _Head:
    fitted = [text for text in choices if text not in scores]
    singles = [name for name in choices if name in scores]
    if PAPER_RULE[level].score in scores:
        singles = list(dict.fromkeys([*singles, PAPER_RULE[level].score]))
    values = {name: table.score(level, name) for name in singles}
    terms = tuple(term for text in fitted for term in parse_score(text))
    ordered = {name: np.sort(column) for name, column in values.items()}
    return _Head(level, table, table[level], values, ordered, terms)


def _tau_of_share(ordered: Array, share: float) -> float:
    """The threshold above the n lowest of N ascending values, n = share * N, and below the next."""
    n = round(share * len(ordered))
    ends = thresholds_between(ordered[[0, -1]])
    if n == 0:
        return float(ends[0])
    # Equal values cannot be parted: the threshold lies above all of them.
    above = int(np.searchsorted(ordered, ordered[n - 1], side="right"))
    if above == len(ordered):
        return float(ends[-1])
    return float(thresholds_between(ordered[[above - 1, above]])[1])


def _first_trials(heads: Mapping[Level, _Head], scores: Sequence[str]) -> list[dict[str, Any]]:
    """The paper's rule as shares, deciding every row as 0.3 and 0.5 do; and the fitted sums."""
    paper: dict[str, Any] = {}
    fitted: dict[str, Any] = {}
    for level, head in heads.items():
        score, tau = PAPER_RULE[level]
        if score in head.values:
            share = float((head.values[score] <= tau).mean())
            paper |= {f"{level}_score": score, f"{level}_share": share}
        fitted |= {
            f"{level}_score": head.choices[-1],
            f"{level}_share": float(head.rows.known.mean()),
        }
    return [*([paper] if PAPER_RULE.super.score in scores else []), fitted]


def _weight_key(level: Level, name: str) -> str:
    return f"{level}_weight_{name}"


def _sampler(name: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


class _Trial(NamedTuple):
    """A trial's parameters, and what came out."""

    params: dict[str, Any]
    value: float


def _run_phase(
    heads: Mapping[Level, _Head],
    goal: Goal,
    sampler: optuna.samplers.BaseSampler,
    n_trials: int,
    phase: _Phase,
    first: Sequence[dict[str, Any]],
    best: _Trial | None,
) -> tuple[pd.DataFrame, _Trial]:
    """One study: a row a trial, and the best trial so far."""
    log: list[dict[str, Any]] = []

    def run_trial(trial: optuna.Trial) -> float:
        row: dict[str, Any] = {}
        scores: dict[Level, Array] = {}
        taus: dict[Level, float] = {}
        for level, head in heads.items():
            score, share = next(iter(head.values)), 1.0
            if head.rows.judged:
                score, share = _suggest(trial, head, phase, best)
            scores[level], taus[level] = head.tau(score, share)
            row |= {f"{level}_score": score, f"{level}_share": share, f"{level}_tau": taus[level]}
        for level, novel in novel_rows(scores, taus).items():
            row[f"{level}_value"] = _value(heads[level].rows, novel, goal)
        row["value"] = float(np.nanmean([row[f"{level}_value"] for level in heads]))
        log.append(row)
        return row["value"]

    study = optuna.create_study(direction="maximize", sampler=sampler)
    judged = tuple(level for level, head in heads.items() if head.rows.judged)
    weights = {_weight_key(level, name): 1.0 for level, h in heads.items() for _, name in h.terms}
    for params in first if best is None else [best.params]:
        whole = {**weights, **params}
        study.enqueue_trial({key: v for key, v in whole.items() if key.startswith(judged)})
    study.optimize(run_trial, n_trials=n_trials)
    top = _Trial(study.best_params, study.best_value)
    return pd.DataFrame(log), best if best is not None and best.value >= top.value else top


def _suggest(
    trial: optuna.Trial, head: _Head, phase: _Phase, best: _Trial | None
) -> tuple[str, float]:
    """A score's text, with its weights if it is the sum, and a share."""
    level = head.level
    score = trial.suggest_categorical(f"{level}_score", head.choices)
    if score == SUM:
        weights = head.terms
        if phase.factor > 1.0:
            keys = [_weight_key(level, name) for _, name in weights]
            low, high = 1.0 / phase.factor, phase.factor
            factors = [trial.suggest_float(key, low, high, log=True) for key in keys]
            weights = tuple((w * f, name) for (w, name), f in zip(weights, factors, strict=True))
        score = format_score(weights)
    low, high = 0.0, 1.0
    if best is not None and phase.near is not None:
        centre = best.params[f"{level}_share"]
        low, high = max(0.0, centre - phase.near), min(1.0, centre + phase.near)
    return score, trial.suggest_float(f"{level}_share", low, high)


def _value(rows: LevelRows, novel: Bools, goal: Goal) -> float:
    """What a level's decisions are worth for the goal; NaN if the level is left out."""
    if not rows.judged:
        return float("nan")
    n_known = np.count_nonzero(rows.known)
    seen = np.count_nonzero(rows.right & ~novel) / n_known
    unseen = np.count_nonzero(novel & ~rows.known) / (len(novel) - n_known)
    return float(goal.value(seen, unseen))
