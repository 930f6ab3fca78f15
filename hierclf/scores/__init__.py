"""Novelty scores from logits and from features: higher = more novel.

`base` defines the common form, each family of scores has a file of its own, `registry` lists all
scores by name, `compute` fits and computes a set of them.
"""

from hierclf.scores.base import (
    Floats,
    Labels,
    PretrainedHead,
    Score,
    ScoreInputs,
    State,
    feature_score,
    logit_score,
)
from hierclf.scores.compute import fit_scores, score_columns
from hierclf.scores.knn import KNN_BANK_LIMIT, KNN_K, fit_knn, knn_score, score_knn
from hierclf.scores.logit import energy, energy_score, entropy, gen, max_logit, msp
from hierclf.scores.mahalanobis import fit_mahalanobis, mahalanobis_score, score_mahalanobis
from hierclf.scores.nnguide import guide_score
from hierclf.scores.registry import PRETRAINED_SCORES, SCORES
from hierclf.scores.rows import unit_rows

__all__ = [
    "KNN_BANK_LIMIT",
    "KNN_K",
    "PRETRAINED_SCORES",
    "SCORES",
    "Floats",
    "Labels",
    "PretrainedHead",
    "Score",
    "ScoreInputs",
    "State",
    "energy",
    "energy_score",
    "entropy",
    "feature_score",
    "fit_knn",
    "fit_mahalanobis",
    "fit_scores",
    "gen",
    "guide_score",
    "knn_score",
    "logit_score",
    "mahalanobis_score",
    "max_logit",
    "msp",
    "score_columns",
    "score_knn",
    "score_mahalanobis",
    "unit_rows",
]
