"""Scores beside another project's: pytorch-ood gives the same, or orders images in the same way."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_ood import detector as theirs
from scipy.stats import rankdata

from hierclf.hierarchy import Level
from hierclf.scores import mahalanobis
from hierclf.scores.knn import KNN_K
from hierclf.scores.nnguide import GUIDE_K
from hierclf.scores.rows import unit_rows
from tests.drawn_scores import drawn, far, score

TRAIN, LABELS = drawn()
NEW = far()
LOGIT_SCORES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "msp": lambda logits: 1.0 + theirs.MaxSoftmax.score(logits),
    "mcm": lambda logits: 1.0 + theirs.MaxSoftmax.score(logits / 100.0),
    "max_logit": theirs.MaxLogit.score,
    "energy": theirs.EnergyBased.score,
    "entropy": theirs.Entropy.score,
    "gen": lambda logits: logits.shape[1] * theirs.GEN.score(logits),
}


@pytest.mark.parametrize("level", ["super", "sub"])
@pytest.mark.parametrize("name", LOGIT_SCORES)
def test_a_score_of_logits_is_theirs(name: str, level: Level) -> None:
    logits = torch.from_numpy(NEW.super_logits if level == "super" else NEW.sub_logits)
    expected = LOGIT_SCORES[name](logits).numpy()
    np.testing.assert_allclose(score(name, level, (TRAIN, LABELS), NEW), expected, rtol=1e-4)


def test_knn_orders_images_as_their_euclidean_distance_of_unit_features_does() -> None:
    detector = theirs.KNN(None, k=KNN_K)
    detector.fit_features(*map(torch.from_numpy, (TRAIN.features, LABELS.sub_labels)))
    distance = detector.predict_features(torch.from_numpy(NEW.features)).numpy()
    ours = score("knn", "sub", (TRAIN, LABELS), NEW)
    np.testing.assert_allclose(ours, distance**2 / 2, rtol=1e-3, atol=1e-6)


def test_nnguide_is_theirs() -> None:
    outputs = dict(zip(map(bytes, TRAIN.features), TRAIN.sub_logits, strict=True))
    outputs |= dict(zip(map(bytes, NEW.features), NEW.sub_logits, strict=True))

    def head(features: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.stack([outputs[bytes(row)] for row in features.numpy()]))

    detector = theirs.NNGuide(lambda features: features, head, k=GUIDE_K)
    detector.fit_features(*map(torch.from_numpy, (TRAIN.features, LABELS.sub_labels)))
    expected = detector.predict_features(torch.from_numpy(NEW.features)).numpy()
    ours = score("nnguide", "sub", (TRAIN, LABELS), NEW)
    np.testing.assert_array_equal(rankdata(ours), rankdata(expected))


def test_relative_mahalanobis_without_its_ridge_is_theirs_on_unit_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mahalanobis, "RIDGE", 0.0)
    unit, new = (torch.from_numpy(unit_rows(x)) for x in (TRAIN.features, NEW.features))
    classes = torch.from_numpy(np.unique(LABELS.sub_labels, return_inverse=True)[1])
    expected = theirs.RMD(None).fit_features(unit, classes).predict_features(new).numpy()
    # Their covariances are sums over the images, not means.
    expected = len(unit) * expected
    ours = score("relative_mahalanobis", "sub", (TRAIN, LABELS), NEW)
    np.testing.assert_allclose(ours, expected, rtol=1e-2, atol=0.5)
