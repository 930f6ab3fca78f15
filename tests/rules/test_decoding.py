"""Claims about decoding, against plain loops and torch."""

from typing import cast

import numpy as np
import pytest
import torch

from hierclf.rules.decoding import DECODINGS, Decoding, decode


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


def test_joint_takes_the_leaf_of_the_highest_product_of_probabilities() -> None:
    rng = np.random.default_rng(2)
    super_logits = rng.normal(size=(200, 4)).astype(np.float32)
    sub_logits = 3 * rng.normal(size=(200, 9)).astype(np.float32)
    parents = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0])
    decoded = decode(super_logits, sub_logits, parents, decoding="joint")
    p_super = torch.from_numpy(super_logits).double().softmax(dim=1)
    p_sub = torch.from_numpy(sub_logits).double().softmax(dim=1)
    for i in range(200):
        best = max(range(9), key=lambda c: float(p_super[i, parents[c]] * p_sub[i, c]))
        assert (decoded.sub_pred[i], decoded.super_pred[i]) == (best, parents[best])
    # It differs from both other rules, or the claim would be empty.
    assert (decoded.super_pred != super_logits.argmax(axis=1)).any()
    assert (decoded.sub_pred != sub_logits.argmax(axis=1)).any()


def test_independent_takes_the_best_class_of_each_level_even_if_they_contradict() -> None:
    super_logits, sub_logits = np.array([[2.0, 1.0]]), np.array([[0.0, 1.0, 5.0]])
    parents = np.array([0, 0, 1])
    answers = {
        decoding: tuple(
            int(pred[0])
            for pred in decode(super_logits, sub_logits, parents, decoding=decoding)[:2]
        )
        for decoding in DECODINGS
    }
    assert answers == {"independent": (0, 2), "top-down": (0, 1), "joint": (1, 2)}


def test_decoding_is_top_down_by_default() -> None:
    rng = np.random.default_rng(3)
    arrays = rng.normal(size=(50, 3)), rng.normal(size=(50, 6)), np.array([0, 0, 1, 1, 2, 2])
    for default, top_down in zip(
        decode(*arrays), decode(*arrays, decoding="top-down"), strict=True
    ):
        np.testing.assert_array_equal(default, top_down)


def test_an_unknown_decoding_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="independent, top-down, joint, but got 'best'"):
        decode(
            np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1, int), decoding=cast(Decoding, "best")
        )


@pytest.mark.parametrize("decoding", DECODINGS)
def test_probabilities_are_softmax_over_all_classes_of_the_level(decoding: Decoding) -> None:
    rng = np.random.default_rng(1)
    super_logits, sub_logits = rng.normal(size=(20, 2)), rng.normal(size=(20, 5))
    decoded = decode(super_logits, sub_logits, np.array([0, 0, 1, 1, 1]), decoding=decoding)
    for logits, chosen, prob in (
        (super_logits, decoded.super_pred, decoded.super_prob),
        (sub_logits, decoded.sub_pred, decoded.sub_prob),
    ):
        expected = torch.from_numpy(logits).softmax(dim=1)[range(20), chosen]
        np.testing.assert_allclose(prob, expected, rtol=1e-6)
        assert prob.dtype == np.float32
        assert chosen.dtype == np.int64


@pytest.mark.parametrize("decoding", DECODINGS)
def test_no_images_decode_to_no_classes(decoding: Decoding) -> None:
    decoded = decode(np.zeros((0, 2)), np.zeros((0, 3)), np.array([0, 0, 1]), decoding=decoding)
    assert [len(column) for column in decoded] == [0, 0, 0, 0]


def test_huge_logits_stay_finite() -> None:
    decoded = decode(np.array([[1e4, -1e4]]), np.array([[3e4, 3e4, 9e4]]), np.array([0, 0, 1]))
    assert (decoded.super_prob[0], decoded.sub_pred[0], decoded.sub_prob[0]) == (1, 0, 0)
