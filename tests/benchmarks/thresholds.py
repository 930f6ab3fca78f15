"""Figures of the threshold search, on a drawn score table of the size of the paper's test set."""

import numpy as np
import optuna
import pandas as pd
import torch
from sklearn.metrics import roc_curve

from hierclf.metrics.accuracy import harmonic_mean
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep
from search.pipeline.threshold_search import search_thresholds
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds
from tests.drawn_tables import draw_table

ROWS = 11_180
SCORES = ("msp", "max_logit", "energy", "knn")
TRIALS = 200


@figure(
    "tau_200_trials_s",
    unit="s",
    ours="threshold_search.py, 200 trials on 11,180 rows, with score fusion and the sweep",
    theirs="200 trials of Optuna alone with an objective in pandas and NumPy",
    aim="under 2 s",
)
def tau_200_trials_s(device: torch.device) -> Rounds:
    table = draw_table(ROWS)
    found = search_thresholds(ScoreTable(table), SCORES, trials=TRIALS)
    rounds = in_turn(
        lambda: seconds(lambda: search_thresholds(ScoreTable(table), SCORES, trials=TRIALS)),
        lambda: seconds(lambda: _plain_search(table)),
    )
    return rounds._replace(note=f"short of the sweep's best rule by {found.regret:.2f} points")


def _plain_search(table: pd.DataFrame) -> None:
    """What one would write without this project: a score and a threshold per head."""

    def value(trial: optuna.Trial) -> float:
        novel = np.zeros(len(table), dtype=bool)
        parts = []
        for level in ("super", "sub"):
            name = trial.suggest_categorical(f"{level}_score", SCORES)
            score = table[f"{level}_{name}"]
            tau = trial.suggest_float(f"{level}_{name}_tau", score.min(), score.max())
            novel = novel | (score > tau).to_numpy()
            known = table[f"{level}_known"].to_numpy()
            right = (table[f"{level}_pred"] == table[f"{level}_label"]).to_numpy()
            seen, unseen = (right & ~novel)[known].mean(), novel[~known].mean()
            parts.append(2 * seen * unseen / max(seen + unseen, 1e-12))
        return float(np.mean(parts))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(value, n_trials=TRIALS)


@figure(
    "tau_sweep_ms",
    unit="ms",
    ours="the exact sweep of one head, 11,180 rows",
    theirs="the same curve from scikit-learn's roc_curve",
    aim="under 10 ms; 5 million rows under 2 s",
)
def tau_sweep_ms(device: torch.device) -> Rounds:
    table = draw_table(ROWS)
    rows = ScoreTable(table)["sub"]
    score = table["sub_knn"].to_numpy()
    best = sweep(score, rows.right, rows.known).best().value
    assert abs(best - _roc_sweep(score, rows.right, rows.known)) < 1e-9

    def milliseconds(function: object) -> float:
        return 1e3 / 20 * seconds(lambda: [function() for _ in range(20)])  # type: ignore[operator]

    rounds = in_turn(
        lambda: milliseconds(lambda: sweep(score, rows.right, rows.known).best()),
        lambda: milliseconds(lambda: _roc_sweep(score, rows.right, rows.known)),
    )
    rng = np.random.default_rng(0)
    many, known = rng.random(5_000_000, dtype=np.float32), rng.random(5_000_000) < 0.7
    right = known & (rng.random(5_000_000) < 0.9)
    large = seconds(lambda: sweep(many, right, known).best())
    theirs = seconds(lambda: _roc_sweep(many, right, known))
    return rounds._replace(note=f"5 million rows: {large:.2f} s, roc_curve {theirs:.2f} s")


def _roc_sweep(score: np.ndarray, right: np.ndarray, known: np.ndarray) -> float:
    """The best harmonic mean over the thresholds of scikit-learn's curves."""
    _, true_positive, taus = roc_curve(~known, score, drop_intermediate=False)
    # Of right rows against all others, those at or above each threshold are not let through.
    _, stopped, own = roc_curve(right, score, drop_intermediate=False)
    at = np.searchsorted(-own, -taus, side="right") - 1
    seen = (1 - stopped[at]) * right.sum() / known.sum()
    return float(harmonic_mean(seen, true_positive).max())
