"""All scores by name.

A new score is one more entry.
"""

from __future__ import annotations

from hierclf.scores.base import Score, feature_score, logit_score
from hierclf.scores.knn import knn_score
from hierclf.scores.logit import energy_score, entropy, gen, max_logit, msp
from hierclf.scores.mahalanobis import (
    fit_within,
    mahalanobis_score,
    relative_mahalanobis_score,
    score_within,
)
from hierclf.scores.mixture import fit_mixture, score_mixture
from hierclf.scores.nnguide import guide_score
from hierclf.scores.one_class import fit_one_class, score_one_class
from hierclf.scores.pretrained_head import (
    fit_prior_kl,
    fit_prior_mass,
    prior_score,
    score_prior_kl,
    score_prior_mass,
)
from hierclf.scores.subspace import fit_residual, fit_vim, score_residual, score_vim

SCORES: dict[str, Score] = {
    "msp": logit_score(msp),
    "max_logit": logit_score(max_logit),
    "energy": energy_score(),
    "entropy": logit_score(entropy),
    "gen": logit_score(gen),
    "knn": knn_score(),
    "mahalanobis": mahalanobis_score(),
    "relative_mahalanobis": relative_mahalanobis_score(),
    "within": Score(fit_within, score_within),
    "residual": feature_score(lambda features, labels: fit_residual(features), score_residual),
    "vim": Score(fit_vim, score_vim),
    "mixture": feature_score(fit_mixture, score_mixture),
    "one_class": feature_score(fit_one_class, score_one_class),
    "nnguide": guide_score(),
    "prior_kl": prior_score(fit_prior_kl, score_prior_kl),
    "prior_mass": prior_score(fit_prior_mass, score_prior_mass),
}
# Those that are fitted with `ScoreInputs.prior`.
PRIOR_SCORES = ("prior_kl", "prior_mass")
