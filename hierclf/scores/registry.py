"""All scores by name.

A new score is one more entry.
"""

from hierclf.scores.base import Score, feature_score, logit_score
from hierclf.scores.flow import fit_flow, score_flow
from hierclf.scores.knn import knn_score
from hierclf.scores.learned import fit_learned, score_learned
from hierclf.scores.logit import energy_score, entropy, gen, max_logit, mcm, msp
from hierclf.scores.mahalanobis import (
    mahalanobis_score,
    relative_mahalanobis_score,
    within_score,
)
from hierclf.scores.mixture import fit_mixture, score_mixture
from hierclf.scores.nnguide import guide_score
from hierclf.scores.one_class import fit_one_class, score_one_class
from hierclf.scores.pretrained_head import (
    fit_pretrained_kl,
    fit_pretrained_mass,
    pretrained_score,
    score_pretrained_kl,
    score_pretrained_mass,
)
from hierclf.scores.subspace import fit_residual, score_residual, vim_score

SCORES: dict[str, Score] = {
    "msp": logit_score(msp),
    "mcm": logit_score(mcm),
    "max_logit": logit_score(max_logit),
    "energy": energy_score(),
    "entropy": logit_score(entropy),
    "gen": logit_score(gen),
    "knn": knn_score(),
    "mahalanobis": mahalanobis_score(),
    "relative_mahalanobis": relative_mahalanobis_score(),
    "within": within_score(),
    "residual": feature_score(lambda features, labels: fit_residual(features), score_residual),
    "vim": vim_score(),
    "mixture": feature_score(fit_mixture, score_mixture),
    "one_class": feature_score(fit_one_class, score_one_class),
    "flow": feature_score(fit_flow, score_flow),
    "learned": Score(fit_learned, score_learned),
    "nnguide": guide_score(),
    "pretrained_kl": pretrained_score(fit_pretrained_kl, score_pretrained_kl),
    "pretrained_mass": pretrained_score(fit_pretrained_mass, score_pretrained_mass),
}
# Those that are fitted with `ScoreInputs.pretrained_head`.
PRETRAINED_SCORES = ("pretrained_kl", "pretrained_mass")
