"""Claims about decoding, against a plain loop."""

import numpy as np
import torch

from hierclf.decode import decode


def test_the_sub_class_is_the_best_one_of_the_best_super_class() -> None:
    rng = np.random.default_rng(0)
    super_logits = rng.normal(size=(200, 4)).astype(np.float32)
    sub_logits = 3 * rng.normal(size=(200, 9)).astype(np.float32)
    parents = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0])
    decoded = decode(super_logits, sub_logits, parents)
    for i in range(200):
        best = int(np.argmax(super_logits[i]))
        inside = [c for c in range(9) if parents[c] == best]
        assert decoded.super_pred[i] == best
        assert decoded.sub_pred[i] == max(inside, key=lambda c: sub_logits[i, c])
    # Some images would have been another sub-class by the sub head alone.
    assert (decoded.sub_pred != sub_logits.argmax(axis=1)).any()


def test_probabilities_are_softmax_over_all_classes_of_the_level() -> None:
    rng = np.random.default_rng(1)
    super_logits, sub_logits = rng.normal(size=(20, 2)), rng.normal(size=(20, 5))
    decoded = decode(super_logits, sub_logits, np.array([0, 0, 1, 1, 1]))
    for logits, chosen, prob in (
        (super_logits, decoded.super_pred, decoded.super_prob),
        (sub_logits, decoded.sub_pred, decoded.sub_prob),
    ):
        expected = torch.from_numpy(logits).softmax(dim=1)[range(20), chosen]
        np.testing.assert_allclose(prob, expected, rtol=1e-6)
        assert prob.dtype == np.float32


def test_huge_logits_stay_finite() -> None:
    decoded = decode(np.array([[1e4, -1e4]]), np.array([[3e4, 3e4, 9e4]]), np.array([0, 0, 1]))
    assert (decoded.super_prob[0], decoded.sub_pred[0], decoded.sub_prob[0]) == (1, 0, 0)
