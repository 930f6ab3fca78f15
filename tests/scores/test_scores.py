"""Claims about all scores alike: their form, the set of them, what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from hierclf.hierarchy import Level
from hierclf.scores import (
    PRETRAINED_SCORES,
    SCORES,
    PretrainedHead,
    ScoreInputs,
    energy,
    fit_scores,
    knn_score,
    msp,
    score_columns,
)
from hierclf.scores import rows as rows_module
from hierclf.scores.rows import by_chunks, stratified_rows, unit_rows
from tests.drawn_scores import drawn, far, score, stored

OF_LOGITS = {"msp", "mcm", "max_logit", "energy", "entropy", "gen"}
LOOKS_AT_FEATURES = sorted(set(SCORES) - OF_LOGITS)
NEEDS_SPREAD = sorted(set(LOOKS_AT_FEATURES) - {"knn", "nnguide", *PRETRAINED_SCORES})


def draw_inputs(n: int, *, seed: int = 0) -> ScoreInputs:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(n, width)).astype(np.float32) for width in (16, 3, 8)]
    head = PretrainedHead(
        rng.normal(size=(9, 16)).astype(np.float32), np.zeros(9, dtype=np.float32)
    )
    return ScoreInputs(arrays[0], arrays[1], arrays[2], head)


@pytest.mark.parametrize("level", ["super", "sub"])
@pytest.mark.parametrize("name", SCORES)
def test_images_of_known_classes_score_lower_than_images_far_away(name: str, level: Level) -> None:
    train, (known, _) = drawn(), drawn(seed=2)
    near, away = score(name, level, train, known), score(name, level, train, far())
    assert near.dtype == away.dtype == np.float32
    assert np.median(away) > np.quantile(near, 0.9)


def test_columns_are_there_for_both_levels_and_survive_safetensors(tmp_path: Path) -> None:
    (train, labels), (test, _) = drawn(), drawn(10, seed=1)
    states = fit_scores(train, *labels)
    columns = score_columns(stored(states, tmp_path), test)
    assert sorted(columns) == sorted(f"{level}_{s}" for level in ("super", "sub") for s in SCORES)
    assert all(c.dtype == np.float32 and c.shape == (10,) for c in columns.values())
    for name, column in score_columns(states, test).items():
        np.testing.assert_array_equal(columns[name], column, err_msg=name)
    np.testing.assert_array_equal(columns["super_msp"], msp(test.super_logits))
    np.testing.assert_array_equal(columns["sub_energy"], energy(test.sub_logits))
    np.testing.assert_array_equal(columns["super_knn"], columns["sub_knn"])


@pytest.mark.parametrize("name", [name for name, score in SCORES.items() if score.refine])
def test_what_both_levels_share_is_stored_once_and_read_from_each_level_as_before(
    name: str,
) -> None:
    (train, labels), (test, _) = drawn(), drawn(10, seed=1)
    one = {name: SCORES[name]}
    states = fit_scores(train, *labels, scores=one)
    shared = {key: array for key, array in states.items() if key.startswith(f"{name}.")}
    assert shared
    # Models of earlier versions hold it twice.
    former = {key: array for key, array in states.items() if key not in shared}
    former |= {f"{level}_{k}": array for level in ("super", "sub") for k, array in shared.items()}
    found = score_columns(states, test, scores=one)
    for key, column in score_columns(former, test, scores=one).items():
        np.testing.assert_array_equal(found[key], column)


@pytest.mark.parametrize("name", SCORES)
def test_few_images_of_many_features_and_a_class_of_one_image_are_enough(name: str) -> None:
    (train, labels), (test, _) = drawn(13, 40), drawn(5, 40, seed=1)
    one_of_six = np.flatnonzero(labels.sub_labels == 6)[0]
    rows = np.append(np.flatnonzero(labels.sub_labels != 6), one_of_six)
    features, super_logits, sub_logits = (array[rows] for array in train[:3])
    few = ScoreInputs(features, super_logits, sub_logits, train.pretrained_head)
    columns = score_columns(
        fit_scores(few, *(array[rows] for array in labels), scores={name: SCORES[name]}),
        test,
        scores={name: SCORES[name]},
    )
    assert all(np.isfinite(column).all() for column in columns.values())


@pytest.mark.parametrize("name", SCORES)
def test_an_image_s_score_does_not_depend_on_which_others_are_scored_with_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, new = drawn(), far(20)
    whole = score(name, "sub", train, new)
    monkeypatch.setattr(rows_module, "CHUNK_CELLS", 1)  # one image a chunk
    np.testing.assert_allclose(score(name, "sub", train, new), whole, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NEEDS_SPREAD)
def test_features_without_any_spread_are_refused_in_one_line(name: str) -> None:
    train, labels = drawn(12)
    flat = train._replace(features=np.full((12, 4), 0.1, dtype=np.float32))
    with pytest.raises(ValueError, match=r"`features` must vary .* 12 images.*without any spread"):
        SCORES[name].fit(flat, labels, "sub")


@pytest.mark.parametrize("level", ["super", "sub"])
@pytest.mark.parametrize("name", LOOKS_AT_FEATURES)
def test_other_features_than_in_training_are_refused(name: str, level: Level) -> None:
    new = drawn(5)[0]
    with pytest.raises(ValueError, match="must have D=12 as in training, but got D=5"):
        score(name, level, drawn(), new._replace(features=new.features[:, :5]))


def test_another_k_is_one_more_entry() -> None:
    train, test = draw_inputs(40), draw_inputs(10, seed=1)
    labels = np.arange(40) % 3
    registry = {"knn": knn_score(), "knn1": knn_score(k=1)}
    columns = score_columns(
        fit_scores(train, labels, labels, scores=registry), test, scores=registry
    )
    assert (columns["sub_knn1"] < columns["sub_knn"]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["features", "super_logits", "sub_logits"])
def test_inputs_that_are_not_finite_are_refused_by_name_and_row(field: str, bad: float) -> None:
    inputs = draw_inputs(20)
    labels = np.arange(20) % 3
    states = fit_scores(inputs, labels, labels)
    getattr(inputs, field)[7, 1] = bad
    message = f"`{field}` must be finite, but got NaN or infinity in 1 of 20 rows, first in row 7"
    with pytest.raises(ValueError, match=message):
        score_columns(states, inputs)
    with pytest.raises(ValueError, match=message):
        fit_scores(inputs, labels, labels)


def test_inputs_and_labels_of_another_length_are_refused() -> None:
    inputs = draw_inputs(20)
    with pytest.raises(ValueError, match="labels must have 20 rows"):
        fit_scores(inputs, np.zeros(19, dtype=int), np.zeros(20, dtype=int))
    with pytest.raises(ValueError, match=r"`sub_logits` must be of shape \[20, ...\]"):
        score_columns({}, inputs._replace(sub_logits=inputs.sub_logits[:3]))


def test_zero_rows_stay_zero() -> None:
    assert (unit_rows(np.zeros((2, 3))) == 0).all()


def test_chunks_put_the_rows_of_all_arrays_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_CELLS", 6)
    first, second = np.arange(10.0)[:, None], np.arange(10)
    result = by_chunks(lambda a, b: a[:, 0] + 10 * b, first, second, cells=2)
    np.testing.assert_array_equal(result, 11 * np.arange(10))
    assert by_chunks(lambda a: a[:, 0], first[:0], cells=2).shape == (0,)


def test_thinning_out_to_as_many_images_as_classes_keeps_one_of_each() -> None:
    labels = np.repeat([4, 7, 9], [50, 20, 1])
    kept = stratified_rows(labels, limit=3, seed=0)
    np.testing.assert_array_equal(labels[kept], [4, 7, 9])
    np.testing.assert_array_equal(stratified_rows(labels, limit=71, seed=0), np.arange(71))
