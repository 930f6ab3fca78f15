"""From a fold's trained network to its fitted scores and its score table.

Shape legend: N images of the table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from hierclf.data.cache import ImageCache
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.calibration import (
    calibrated_columns,
    fit_halves,
    halves,
    with_temperatures,
)
from hierclf.rules.decoding import Decoding, decode
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import SCORES, ScoreInputs, State, fit_scores, score_columns
from hierclf.scores.rows import chunks, stratified_rows
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import Fold

FIT_CELLS = 2**30
"""Numbers that scores are fitted on: 4 GiB of features and logits."""
TABLE_CELLS = 2**26
"""Numbers that a score table is computed from at a time: 256 MiB of features and logits."""


class Temperatures(NamedTuple):
    """The temperatures of N images.

    Attributes:
        half: int64 [N], as `halves` gives it.
        super, sub: float64 [3], as `fit_halves` gives them.
    """

    half: np.ndarray
    super: np.ndarray | None
    sub: np.ndarray | None


def fit_fold_scores(run: FoldRun, scores: Iterable[str]) -> State:
    """Fit scores on the fold's training images, or on as many of them as `fitted_rows` says.

    Args:
        run: the trained network.
        scores: names of scores.

    Raises:
        NonFiniteLossError: network outputs that are not finite.
        ValueError: what `fit_scores` raises.
    """
    rows = fitted_rows(run)
    return fit_scores(
        run.outputs(rows)._replace(pretrained_head=run.prepared.pretrained_head),
        run.cache.super_labels[rows],
        run.cache.sub_labels[rows],
        scores={name: SCORES[name] for name in scores},
    )


def fitted_rows(run: FoldRun) -> np.ndarray:
    """The training images that scores are fitted on, int64 [M], ascending.

    All of them, unless their features and logits are more than `FIT_CELLS` numbers together: then a
    seeded sample stratified by sub-class, with two images of a sub-class where it has them.
    """
    rows, n_sub = run.fold.train, len(run.fold.known_sub)
    limit = max(FIT_CELLS // _cells(run), 2 * n_sub)
    return rows[stratified_rows(run.cache.sub_labels[rows], limit=limit, seed=0)]


def _cells(run: FoldRun) -> int:
    """How many numbers the outputs of an image are: D, S and C together."""
    heads = run.net.heads if isinstance(run.net, TwoHeadNet) else run.net
    assert isinstance(heads, TwoHeads)
    return heads.super_head.in_features + heads.n_super + heads.n_sub


def tables_by_decoding(
    run: FoldRun,
    scores: Iterable[str],
    states: State,
    *,
    decodings: Iterable[Decoding] = ("top-down",),
    calibrated: bool = True,
) -> dict[Decoding, ScoreTable]:
    """The score table of the fold's val and held-out images, by decoding.

    Outputs of the network are computed for at most `TABLE_CELLS` numbers at a time. Where that is
    less than all, the temperatures are fitted on a seeded sample of the val images, a quarter of
    that size.

    Args:
        run: the trained network.
        scores: names of scores.
        states: from `fit_fold_scores` with the same scores.
        decodings: how logits become classes.
        calibrated: whether to fit temperatures; without, their columns are left out.

    Raises:
        NonFiniteLossError: network outputs that are not finite.
    """
    used = {name: SCORES[name] for name in scores}
    rows = np.concatenate([run.fold.val, run.fold.held_out])
    parts = list(chunks(len(rows), cells=_cells(run), most=TABLE_CELLS))
    fitted = _temperatures(run) if calibrated and len(parts) > 1 else None
    half = halves(np.arange(len(rows)) < len(run.fold.val))
    tables: dict[Decoding, list[ScoreTable]] = {decoding: [] for decoding in decodings}
    for start, stop in parts:
        some = rows[start:stop]
        inputs = run.outputs(some)
        columns = score_columns(states, inputs, scores=used)
        for decoding, own in tables.items():
            table = make_fold_table(
                run.fold,
                run.cache,
                some,
                inputs,
                columns,
                decoding=decoding,
                calibrated=calibrated,
                temperatures=None if fitted is None else fitted._replace(half=half[start:stop]),
            )
            own.append(table)
    return {
        decoding: own[0] if len(own) == 1 else ScoreTable.concatenate(own)
        for decoding, own in tables.items()
    }


def _temperatures(run: FoldRun) -> Temperatures:
    """Fitted on the val images, or on a sample of them; each is one number for all classes."""
    fold, n_val = run.fold, len(run.fold.val)
    limit = max(100, TABLE_CELLS // 4 // _cells(run))
    few = np.sort(np.random.default_rng(0).permutation(n_val)[:limit])
    half = halves(np.ones(n_val, dtype=bool))[few]
    if not n_val:
        return Temperatures(half, None, None)
    inputs, rows = run.outputs(fold.val[few]), fold.val[few]
    super_labels = np.searchsorted(fold.known_super, run.cache.super_labels[rows])
    sub_labels = np.searchsorted(fold.known_sub, run.cache.sub_labels[rows])
    return Temperatures(
        half,
        fit_halves(inputs.super_logits, super_labels, half),
        fit_halves(inputs.sub_logits, sub_labels, half),
    )


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
    temperatures: Temperatures | None = None,
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
        temperatures: those fitted elsewhere, for the N images; None fits them on the val images
            among these.

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
        supers = np.searchsorted(fold.known_super, super_labels)
        subs = np.searchsorted(fold.known_sub, sub_labels)
        for level, logits, pred, labels in (
            ("super", inputs.super_logits, decoded.super_pred, supers),
            ("sub", inputs.sub_logits, decoded.sub_pred, subs),
        ):
            if temperatures is None:
                prob, temperature = calibrated_columns(logits, pred, labels, val)
            else:
                fitted = {"super": temperatures.super, "sub": temperatures.sub}[level]
                prob, temperature = with_temperatures(logits, pred, temperatures.half, fitted)
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
