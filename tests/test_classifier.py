"""Claims about the scikit-learn classifier, on scikit-learn's own data."""

import contextlib
import doctest
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import hierclf
from hierclf import OpenSetClassifier, classifier

# It wants every training row back as one of its classes, none as novel.
NOT_APPLICABLE = {"check_classifiers_train"}
# They fit ten rows or, in newer scikit-learn, a few more: too few for five neighbours.
FEW_ROWS = {
    "check_estimators_nan_inf",
    "check_fit2d_1feature",
    "check_n_features_in_after_fitting",
}


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.data.astype(np.float32), data.target


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> OpenSetClassifier:
    """Knows the digits 0 to 7."""
    X, y = digits
    return OpenSetClassifier(epochs=10).fit(X[y < 8][::2], y[y < 8][::2])


def test_known_digits_are_told_apart_and_unseen_ones_found(
    fitted: OpenSetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    known, new = fitted.predict(X[y < 8][1::2]), fitted.predict(X[y >= 8])
    assert (known == y[y < 8][1::2]).mean() > 0.75
    assert (new == fitted.novel_label_).mean() > 0.6
    assert fitted.novel_label_ == -1
    seen = fitted.promise_["sub_seen"]
    assert seen is not None
    assert seen.low - 0.05 <= (known == y[y < 8][1::2]).mean() <= seen.high + 0.05


def test_score_counts_unknown_labels_as_novel(
    fitted: OpenSetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    right = np.where(y < 8, fitted.predict(X) == y, fitted.predict(X) == -1)
    assert fitted.score(X, y) == pytest.approx(right.mean())


def test_probabilities_sum_to_one_with_novel_as_the_last_column(
    fitted: OpenSetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (len(X), 9)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    novel = probabilities[:, -1]
    assert novel[y >= 8].mean() > novel[y < 8].mean()


def test_two_levels_answer_both_and_a_novel_super_class_is_a_novel_sub_class(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    supers = np.array(["low", "low", "mid", "mid", "mid", "high", "high", "high"])[np.minimum(y, 7)]
    model = OpenSetClassifier(epochs=10).fit(X[y < 8], supers[y < 8], y[y < 8])
    found = model.predict(X)
    assert set(found[:, 0]) <= {"low", "mid", "high", "novel"}
    assert (found[found[:, 0] == "novel", 1] == -1).all()
    assert model.promise_["super_unseen"] is not None


def test_the_same_seed_gives_the_same_predictions(
    fitted: OpenSetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    again = clone(fitted).fit(X[y < 8][::2], y[y < 8][::2])
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.rule_ == fitted.rule_


def test_it_works_in_a_pipeline(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    chain = make_pipeline(StandardScaler(), OpenSetClassifier(epochs=2)).fit(X[:400], y[:400])
    assert len(chain.predict(X[:5])) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (np.where(X[0, 10] == X, np.nan, X), y), "contains NaN"),
        (lambda X, y: (X, np.zeros_like(y)), "needs 2 classes or more, but got 1 class"),
        (lambda X, y: (X, np.append(y[:-1], 99)), "every class needs 2 rows or more, but 99 has 1"),
        (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
    ],
)
def test_bad_data_are_refused_in_scikit_learns_words(
    digits: tuple[np.ndarray, np.ndarray], change: object, message: str
) -> None:
    X, y = change(digits[0][:200].copy(), digits[1][:200])  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        OpenSetClassifier(epochs=1).fit(X, y)


def test_labels_that_contradict_the_hierarchy_are_refused(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    with pytest.raises(ValueError, match="must belong to one super-class, but"):
        OpenSetClassifier(epochs=1).fit(X, np.arange(len(y)) % 2, y)
    with pytest.raises(ValueError, match="`y_sub` must have 1797 labels as `y` has, but got 5"):
        OpenSetClassifier(epochs=1).fit(X, y, y[:5])


def test_features_of_another_width_and_an_unfitted_model_are_refused(
    fitted: OpenSetClassifier,
) -> None:
    with pytest.raises(ValueError, match="X has 3 features, but OpenSetClassifier is expecting 64"):
        fitted.predict(np.zeros((2, 3)))
    with pytest.raises(NotFittedError):
        OpenSetClassifier().predict(np.zeros((2, 3)))


def test_scikit_learns_own_checks_pass_as_far_as_they_apply() -> None:
    tried = 0
    for estimator, check in estimator_checks_generator(OpenSetClassifier(epochs=1)):
        name = check.func.__name__
        if name not in NOT_APPLICABLE:
            if name in FEW_ROWS:
                estimator.set_params(scores=("msp", "max_logit", "energy"))
            with contextlib.suppress(SkipTest):
                check(estimator)
                tried += 1
    assert tried > 30


def test_the_example_in_the_docstring_runs() -> None:
    failed, tried = doctest.testmod(classifier)
    assert (failed, tried > 3) == (0, True)
    assert hierclf.OpenSetClassifier is OpenSetClassifier
