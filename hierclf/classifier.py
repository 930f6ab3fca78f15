"""A scikit-learn classifier on features of any backbone that says when it does not know.

It is the core of a search without images: class-holdout folds, two linear heads per fold, novelty
scores, fused, and thresholds for classes drawn anew.

Shape legend: N images, D features, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.hierarchy import LEVELS, Hierarchy
from hierclf.nets.two_heads import score_inputs
from hierclf.rules.calibration import calibrate_rule
from hierclf.rules.calibrators import novel_probability
from hierclf.rules.choose import choose_rule
from hierclf.rules.classes import Classes
from hierclf.rules.decoding import decode
from hierclf.rules.goals import Goal, Kind
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.rule import decide
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import SCORES, score_columns
from hierclf.scores.sums import sum_columns
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.folds import CALIBRATION, REFIT
from hierclf.training.hidden_classes import sub_parts
from hierclf.training.prepare import Prepared, plan

_CPU = torch.device("cpu")


class OpenSetClassifier(ClassifierMixin, BaseEstimator):
    """Linear heads on features, with novelty thresholds for classes that training never saw.

    Args:
        goal: `balanced`, the harmonic mean of accuracy on known and novel images, `overall` or
            `seen-at-least`; see `hierclf.rules.goals.Goal`.
        novel_rate: with `overall`, the fraction of novel images, in (0, 1).
        seen: with `seen-at-least`, the accuracy on known images to keep, in (0, 1].
        scores: novelty scores to fuse.
        folds: folds that each hide one part of the sub-classes, >= 2.
        epochs: passes over the features per head, > 0.
        lr: learning rate of AdamW, > 0.
        weight_decay: of AdamW, >= 0.
        random_state: seed of folds, heads and batches.

    Attributes:
        classes_: [C], known classes, sub-classes where there are two levels.
        super_classes_: [S], known super-classes; only with two levels.
        novel_label_: what stands for a novel class in predictions: "novel" beside texts, else one
            less than the smallest label, or -1.
        rule_: scores and thresholds.
        promise_: what to expect on new images and classes, with 90 % intervals; see
            `hierclf.rules.promise.promise`.
        n_features_in_: D.

    Examples:
        >>> import numpy as np
        >>> from hierclf import OpenSetClassifier
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(np.arange(6), 40)
        >>> X = 6 * np.eye(8)[y] + rng.normal(size=(240, 8))
        >>> model = OpenSetClassifier(epochs=10).fit(X, y)
        >>> model.predict(6 * np.eye(8)[[2, 7]])  # the last one lies where no class is
        array([ 2, -1])
    """

    def __init__(
        self,
        *,
        goal: Kind = "balanced",
        novel_rate: float | None = None,
        seen: float | None = None,
        scores: tuple[str, ...] = ("msp", "max_logit", "energy", "knn", "relative_mahalanobis"),
        folds: int = 5,
        epochs: int = 30,
        lr: float = 1e-2,
        weight_decay: float = 1e-2,
        random_state: int = 0,
    ) -> None:
        self.goal = goal
        self.novel_rate = novel_rate
        self.seen = seen
        self.scores = scores
        self.folds = folds
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, y_sub: ArrayLike | None = None) -> OpenSetClassifier:
        """Hold classes out, train heads, choose scores and thresholds, train on everything.

        Args:
            X: float [N, D].
            y: [N], classes; super-classes if `y_sub` is given.
            y_sub: [N], sub-classes; each belongs to one super-class.

        Raises:
            ValueError: values that are not finite, fewer than 2 classes, a class of one row, or a
                sub-class under two super-classes.
        """
        features: np.ndarray
        labels: np.ndarray
        features, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        sub = labels if y_sub is None else np.asarray(y_sub)
        if len(sub) != len(labels):
            raise ValueError(
                f"`y_sub` must have {len(labels)} labels as `y` has, but got {len(sub)}"
            )
        self.classes_, sub_labels = np.unique(sub, return_inverse=True)
        self._two_levels = y_sub is not None
        supers = labels if y_sub is not None else np.zeros(len(labels), dtype=np.int64)
        self.super_classes_, super_labels = np.unique(supers, return_inverse=True)
        self._check_classes(sub_labels, super_labels)
        self.novel_label_ = _novel_label(self.classes_)
        self._mean, self._spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
        prepared, config = self._prepared(
            (features - self._mean) / self._spread, super_labels, sub_labels
        )
        tables = [
            fold_table(run, config.thresholds.scores, fit_fold_scores(run, self.scores))
            for run in (
                _trained(prepared, config, name) for name in prepared.folds if name != REFIT
            )
        ]
        table = normalise_to_final(ScoreTable.concatenate(tables), self.scores, *CALIBRATION)
        goal = Goal(self.goal, novel_rate=self.novel_rate, seen=self.seen)
        self.rule_, _ = choose_rule(table, self.scores, goal=goal)
        self._calibration = calibrate_rule(table, self.rule_)
        parts = sub_parts(prepared.cache.hierarchy, sub_folds=self.folds, seed=self.random_state)
        report = np.ones(len(table), dtype=bool)
        self.promise_ = cross_fitted_promise(table, parts, report, self.scores, goal=goal).figures
        final = _trained(prepared, config, REFIT)
        self._heads, self._states = final.evaluated.eval(), fit_fold_scores(final, self.scores)
        self._sub_to_super = np.asarray(prepared.cache.hierarchy.sub_to_super)
        return self

    def _check_classes(self, sub_labels: np.ndarray, super_labels: np.ndarray) -> None:
        counts = np.bincount(sub_labels)
        if len(counts) < 2:
            raise ValueError(f"the classifier needs 2 classes or more, but got {len(counts)} class")
        if counts.min() < 2:
            name = self.classes_[int(counts.argmin())]
            raise ValueError(f"every class needs 2 rows or more, but {name} has 1")
        pairs = np.unique(np.stack([sub_labels, super_labels]), axis=1)
        if pairs.shape[1] > len(counts):
            torn = int(np.bincount(pairs[0]).argmax())
            raise ValueError(
                f"a sub-class must belong to one super-class, but {self.classes_[torn]} "
                "belongs to several"
            )

    def _prepared(
        self, X: np.ndarray, super_labels: np.ndarray, sub_labels: np.ndarray
    ) -> tuple[Prepared, Config]:
        """What a search would have prepared, with features in the place of images."""
        config = Config.model_validate(
            {
                "model": {"backbone": "smallnet", "weights": "none"},
                "train": {
                    "epochs": self.epochs,
                    "lr": self.lr,
                    "weight_decay": self.weight_decay,
                    "strength": 0.0,
                    "precision": "fp32",
                    # Some steps per epoch, however few rows there are.
                    "batch_size": int(np.clip(len(X) // 20, 8, 64)),
                },
                "folds": {"sub": self.folds},
                "thresholds": {"scores": tuple(dict.fromkeys(["msp", *self.scores]))},
                "seed": self.random_state,
            }
        )
        parents = np.zeros(len(self.classes_), dtype=np.int64)
        parents[sub_labels] = super_labels
        n_super, n_sub = len(self.super_classes_), len(self.classes_)
        hierarchy = Hierarchy(
            super_names=tuple(f"super {i}" for i in range(n_super)),
            sub_names=tuple(f"sub {i}" for i in range(n_sub)),
            sub_to_super=tuple(parents.tolist()),
            super_ids=tuple(range(n_super)),
            sub_ids=tuple(range(n_sub)),
            novel_super_id=n_super,
            novel_sub_id=n_sub,
        )
        cache = ImageCache(
            images=np.zeros((len(X), 1, 1, 3), dtype=np.uint8),  # nothing reads them
            names=[str(i) for i in range(len(X))],
            super_labels=super_labels,
            sub_labels=sub_labels,
            hierarchy=hierarchy,
            fingerprint="",
            quarantine=pd.DataFrame(columns=["image", "reason"]),
        )
        folds = {fold.name: fold for fold in plan(cache, config)}
        config = config.model_copy(
            update={"thresholds": config.thresholds.model_copy(update={"scores": self.scores})}
        )
        return Prepared(cache, folds, X[None], None), config

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class of each row, or `novel_label_`.

        Args:
            X: float [N, D].

        Returns:
            [N], or with two levels [N, 2] of super-class and sub-class.
        """
        decided = self._decided(X)[0]
        found = [
            np.where(labels >= 0, names[np.maximum(labels, 0)], novel)
            for labels, names, novel in (
                (decided.super, self.super_classes_, _novel_label(self.super_classes_)),
                (decided.sub, self.classes_, self.novel_label_),
            )
        ]
        if not self._two_levels:
            return found[1]
        return np.stack([labels.astype(object) for labels in found], axis=1)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities [N, C + 1]: those of `classes_`, then of being novel; rows sum to 1.

        The last column is calibrated for as many novel images as known ones.
        """
        _, logits, scores = self._decided(X)
        calibration = self._calibration["sub"]
        novel = novel_probability(calibration.curve, scores["sub"]).astype(np.float64)[:, None]
        scaled = logits / calibration.temperature
        known = np.exp((scaled - scaled.max(axis=1, keepdims=True)).astype(np.float64))
        known /= known.sum(axis=1, keepdims=True)
        return np.hstack([known * (1.0 - novel), novel])

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy in [0, 1]; a label that is not among `classes_` is right where called novel.

        Args:
            X: float [N, D].
            y: [N], classes; sub-classes with two levels.
            sample_weight: float [N].
        """
        predicted = self.predict(X)
        predicted = predicted[:, 1] if self._two_levels else predicted
        truth = np.asarray(y)
        right = np.where(
            np.isin(truth, self.classes_), predicted == truth, predicted == self.novel_label_
        )
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return float(np.average(right, weights=weights))

    def _decided(self, X: ArrayLike) -> tuple[Classes, np.ndarray, dict[Any, np.ndarray]]:
        """Decided classes, sub logits [N, C], and the rule's scores of each level [N]."""
        check_is_fitted(self)
        features: np.ndarray = validate_data(self, X, dtype=np.float32, reset=False)
        with torch.inference_mode():
            inputs = score_inputs(
                self._heads(torch.from_numpy((features - self._mean) / self._spread))
            )
        columns = score_columns(
            self._states, inputs, scores={name: SCORES[name] for name in self.scores}
        )
        scores = {level: sum_columns(columns, level, self.rule_[level].score) for level in LEVELS}
        known = decode(inputs.super_logits, inputs.sub_logits, self._sub_to_super)
        decided = decide(self.rule_, scores, Classes(known.super_pred, known.sub_pred))
        return decided, inputs.sub_logits, scores


def _trained(prepared: Prepared, config: Config, name: str) -> FoldRun:
    """Heads trained on one fold."""
    run = FoldRun(prepared.folds[name], prepared, config, _CPU)
    for epoch in range(1, config.train.epochs + 1):
        run.train_epoch(epoch)
    return run


def _novel_label(classes: np.ndarray) -> Any:
    """A label that no class has."""
    if classes.dtype.kind in "iuf":
        return classes.dtype.type(min(-1, classes.min() - 1))
    return "novel"
