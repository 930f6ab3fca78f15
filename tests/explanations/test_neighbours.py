"""Claims about nearest training images: the right ones, under their own names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.bundle.training_images_file import save_training_images
from hierclf.explanations.background import read_background
from hierclf.explanations.images import explain_images
from hierclf.predict import output_batches
from hierclf.scores import knn
from hierclf.training.fold_table import fit_fold_scores
from hierclf.training.trained_bundle import bundle_from_run, save_run_images
from tests.fold_runs import CACHE, run_of
from tests.tiny_models import (
    HIERARCHY,
    TRAINING_IMAGES,
    TRAINING_LABELS,
    pictures,
    save_tiny_model,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    save_tiny_model(tmp_path / "model")
    return load_bundle(tmp_path / "model")


def test_they_are_those_that_scikit_learn_finds_on_the_same_features(bundle: Bundle) -> None:
    ((_, inputs, _),) = output_batches(bundle, pictures(12))
    assert inputs is not None
    bank = knn.fit_knn(inputs.features[::2], np.zeros(6, dtype=int))["bank"]
    bundle = replace(bundle, states=bundle.states | {"knn.bank": bank})
    theirs = NearestNeighbors(n_neighbors=3, metric="cosine").fit(bank)
    distances, rows = theirs.kneighbors(inputs.features)
    assert len(np.unique(rows[:, 0])) > 1
    for explanation, apart, near in zip(
        explain_images(bundle, pictures(12)), distances, rows, strict=True
    ):
        found = explanation["neighbours"]
        assert found is not None
        assert [n["image"] for n in found] == [TRAINING_IMAGES[row] for row in near]
        names = [HIERARCHY.sub_names[TRAINING_LABELS[row]] for row in near]
        assert [n["subclass"] for n in found] == names
        supers = [HIERARCHY.sub_to_super[TRAINING_LABELS[row]] for row in near]
        assert [n["superclass"] for n in found] == [HIERARCHY.super_names[s] for s in supers]
        np.testing.assert_allclose([n["distance"] for n in found], apart, atol=1e-5)


@pytest.mark.parametrize("limit", [50_000, 40])
def test_a_trained_model_finds_its_own_training_images_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    run = run_of(fold="all")
    assert knn.bank_rows.__kwdefaults__ is not None
    monkeypatch.setitem(knn.bank_rows.__kwdefaults__, "bank_limit", limit)
    states = fit_fold_scores(run, run.config.thresholds.scores)
    rows = run.fold.train
    fitted = knn.fit_knn(run.outputs(rows).features, CACHE.sub_labels[rows], bank_limit=limit)
    save_bundle(bundle_from_run(run, states | {f"knn.{k}": a for k, a in fitted.items()}), tmp_path)
    save_run_images(run, tmp_path)
    images = read_background(load_bundle(tmp_path)).training_images
    assert images is not None
    assert len(images.names) == min(limit, len(CACHE.names))
    features = run.outputs(np.arange(len(CACHE.names))).features
    near, _ = knn.nearest_in_bank(fitted, features, 1)
    index = {name: row for row, name in enumerate(CACHE.names)}
    for row, label in zip(near[:, 0], images.sub_labels[near[:, 0]], strict=True):
        assert label == CACHE.sub_labels[index[images.names[row]]]
    kept = [index[name] for name in images.names]
    assert [images.names[row] for row in near[kept, 0]] == list(images.names)


def test_names_of_another_number_of_images_are_not_used(bundle: Bundle) -> None:
    assert bundle.directory is not None
    save_training_images(bundle.directory, TRAINING_IMAGES[:5], TRAINING_LABELS[:5])
    (missing,) = read_background(bundle).missing
    assert missing.endswith("must name the 6 images of its kNN score, but names 5")
    assert next(explain_images(bundle, pictures(1)))["neighbours"] == []


def test_an_old_directory_says_in_one_line_that_names_are_missing(bundle: Bundle) -> None:
    assert bundle.directory is not None
    (bundle.directory / "training_images.parquet").unlink()
    (missing,) = read_background(load_bundle(bundle.directory)).missing
    assert missing == (
        "the nearest training images have no names: "
        f"{bundle.directory} has no training_images.parquet"
    )
