"""From a fold's trained network to its fitted scores and its score table.

Shape legend: N images of the table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from hierclf.data.cache import ImageCache
from hierclf.rules.calibration import calibrated_columns
from hierclf.rules.decoding import Decoding, decode
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import SCORES, ScoreInputs, State, fit_scores, score_columns
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import Fold


def fit_fold_scores(run: FoldRun, scores: Iterable[str]) -> State:
    """Fit scores on the fold's training images.

    Args:
        run: the trained network.
        scores: names of scores.

    Raises:
        NonFiniteLossError: network outputs that are not finite.
        ValueError: what `fit_scores` raises.
    """
    rows = run.fold.train
    return fit_scores(
        run.outputs(rows)._replace(pretrained_head=run.prepared.pretrained_head),
        run.cache.super_labels[rows],
        run.cache.sub_labels[rows],
        scores={name: SCORES[name] for name in scores},
    )


def tables_by_decoding(
    run: FoldRun,
    scores: Iterable[str],
    states: State,
    *,
    decodings: Iterable[Decoding] = ("top-down",),
    calibrated: bool = True,
) -> dict[Decoding, ScoreTable]:
    """The score table of the fold's val and held-out images, by decoding.

    Args:
        run: the trained network.
        scores: names of scores.
        states: from `fit_fold_scores` with the same scores.
        decodings: how logits become classes.
        calibrated: whether to fit temperatures; without, their columns are left out.

    Raises:
        NonFiniteLossError: network outputs that are not finite.
    """
    rows = np.concatenate([run.fold.val, run.fold.held_out])
    inputs = run.outputs(rows)
    columns = score_columns(states, inputs, scores={name: SCORES[name] for name in scores})
    return {
        decoding: make_fold_table(
            run.fold, run.cache, rows, inputs, columns, decoding=decoding, calibrated=calibrated
        )
        for decoding in decodings
    }


def novel_table(run: FoldRun, scores: Iterable[str], states: State) -> ScoreTable:
    """The score table of the user's own novel images that judge, rows `held_out` of the fold.

    Their classes are numbered on from the last known ones; the super-label is UNLABELLED where
    there is none.

    Args:
        run: the trained network of a fold that knows all classes; its data have novel images.
        scores: names of scores.
        states: from `fit_fold_scores` with the same scores.

    Raises:
        NonFiniteLossError: network outputs that are not finite.
    """
    novel, hierarchy = run.prepared.novel, run.cache.hierarchy
    assert novel is not None
    inputs = run.novel_outputs()
    columns = score_columns(states, inputs, scores={name: SCORES[name] for name in scores})
    new_super = novel.new_supers[novel.classes]
    super_labels = np.where(new_super >= 0, hierarchy.n_super + new_super, novel.cache.super_labels)
    cache = replace(
        novel.cache, super_labels=super_labels, sub_labels=hierarchy.n_sub + novel.classes
    )
    rows = novel.judging
    table = make_fold_table(run.fold, cache, rows, inputs, columns, calibrated=False)
    return table.with_columns(split=np.full(len(rows), "held_out"))


def fold_table(
    run: FoldRun, scores: Iterable[str], states: State, *, calibrated: bool = True
) -> ScoreTable:
    """The top-down table of `tables_by_decoding`, with the same arguments."""
    return tables_by_decoding(run, scores, states, calibrated=calibrated)["top-down"]


def make_fold_table(
    fold: Fold,
    cache: ImageCache,
    rows: np.ndarray,
    inputs: ScoreInputs,
    columns: Mapping[str, np.ndarray],
    *,
    decoding: Decoding = "top-down",
    calibrated: bool = True,
) -> ScoreTable:
    """Put together the score table of images under one fold's network.

    Args:
        fold: the network's fold.
        cache: names, labels and hierarchy of all images.
        rows: int64 [N], images that the network was not trained on.
        inputs: features and logits [N, ...] over the fold's known classes.
        columns: scores such as `super_msp`, float32 [N] each.
        decoding: how logits become classes (see `decode`).
        calibrated: whether to fit temperatures; without, their columns are left out.

    Returns:
        N rows in the order of `rows`, with image, fold, split, labels, predictions, LEVEL_prob,
        LEVEL_calibrated (the same after temperature scaling) and LEVEL_temperature, and the scores.
    """
    decoded = decode(
        inputs.super_logits,
        inputs.sub_logits,
        np.searchsorted(fold.known_super, np.asarray(cache.hierarchy.sub_to_super)[fold.known_sub]),
        decoding=decoding,
    )
    super_labels, sub_labels = cache.super_labels[rows], cache.sub_labels[rows]
    val = np.isin(rows, fold.val)
    extra: dict[str, np.ndarray] = {}
    if calibrated:
        # All classes of val rows are known: their labels are columns of the logits.
        for level, logits, pred, labels in (
            (
                "super",
                inputs.super_logits,
                decoded.super_pred,
                np.searchsorted(fold.known_super, super_labels),
            ),
            (
                "sub",
                inputs.sub_logits,
                decoded.sub_pred,
                np.searchsorted(fold.known_sub, sub_labels),
            ),
        ):
            prob, temperature = calibrated_columns(logits, pred, labels, val)
            extra |= {f"{level}_calibrated": prob, f"{level}_temperature": temperature}
    frame = pd.DataFrame(
        {
            "image": [cache.names[row] for row in rows],
            "fold": fold.name,
            "split": np.where(val, "val", "held_out"),
            "super_label": super_labels,
            "sub_label": sub_labels,
            "super_known": np.isin(super_labels, fold.known_super),
            "sub_known": np.isin(sub_labels, fold.known_sub),
            "super_pred": fold.known_super[decoded.super_pred],
            "sub_pred": fold.known_sub[decoded.sub_pred],
            "super_prob": decoded.super_prob,
            "sub_prob": decoded.sub_prob,
            **extra,
            **columns,
        }
    )
    return ScoreTable(frame)
