"""Claims about `hierclf.load` and `Model`: every kind of image gets its row, as the command's."""

import doctest
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import hierclf
import hierclf.model
from hierclf.bundle.directory import save_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.data.image_files import list_images
from hierclf.rules.answers import COLUMNS, NUMBERS
from tests.tiny_models import HIERARCHY, encoded, picture, pictures, save_tiny_model, tiny_bundle

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory, and photos of which one is torn."""
    root = tmp_path_factory.mktemp("api")
    save_tiny_model(root / "results" / "runs" / "demo" / "model")
    (root / "photos").mkdir()
    for name, data in pictures(COUNT):
        (root / "photos" / name).write_bytes(data)
    (root / "photos" / "torn.png").write_bytes(encoded(picture(2))[:1500])
    return root


@pytest.fixture(scope="module")
def model(folder: Path) -> hierclf.Model:
    return hierclf.load(folder / "results" / "runs" / "demo" / "model", device="cpu")


def paths(folder: Path) -> list[Path]:
    return [folder / "photos" / f"{index}.png" for index in range(COUNT)]


def test_predictions_equal_those_of_the_command_on_the_same_files(
    folder: Path, model: hierclf.Model, tmp_path: Path
) -> None:
    where = str(folder / "photos")
    tally = predict_to_file(model.bundle, list_images(where), tmp_path / "out.parquet")
    written = pd.read_parquet(tmp_path / "out.parquet")
    table = model.predict(where)
    assert tuple(table.columns) == (*COLUMNS, "error")
    read = table[table["error"].isna()].drop(columns="error")
    pd.testing.assert_frame_equal(read, written, check_exact=True, check_dtype=False)
    failed = table[table["error"].notna()]
    assert list(zip(failed["image"], failed["error"], strict=True)) == tally.unreadable
    assert len(tally.unreadable) == 1


def kinds(folder: Path) -> dict[str, list[Any]]:
    """The same images as each kind of object."""
    images = [Image.open(path).convert("RGB") for path in paths(folder)]
    arrays = [np.asarray(image) for image in images]
    return {
        "paths": list(paths(folder)),
        "texts": [str(path) for path in paths(folder)],
        "bytes": [path.read_bytes() for path in paths(folder)],
        "Pillow": list(images),
        "arrays": arrays,
        "tensors": [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays],
    }


@pytest.mark.parametrize("kind", ["paths", "texts", "bytes", "Pillow", "arrays", "tensors"])
def test_every_kind_of_image_gets_the_same_prediction(
    folder: Path, model: hierclf.Model, kind: str
) -> None:
    expected = model.predict(paths(folder))
    images = kinds(folder)[kind]
    table = model.predict(images)
    pd.testing.assert_frame_equal(table.iloc[:, 1:], expected.iloc[:, 1:], check_exact=True)
    names = [str(path) for path in paths(folder)] if kind in ("paths", "texts") else None
    assert table["image"].tolist() == (names or [str(index) for index in range(COUNT)])
    one = model.predict(images[4])
    assert one["superclass_index"].tolist() == [expected["superclass_index"][4]]
    np.testing.assert_allclose(one["sub_score"], expected["sub_score"][4:5], rtol=1e-4)


def test_an_array_or_tensor_of_four_dimensions_is_many_images(
    folder: Path, model: hierclf.Model
) -> None:
    expected = model.predict(paths(folder)).drop(columns="image")
    arrays = np.stack(kinds(folder)["arrays"])
    for images in (arrays, torch.from_numpy(arrays).permute(0, 3, 1, 2)):
        table = model.predict(images).drop(columns="image")
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_an_iterator_is_taken_one_batch_ahead_and_may_mix_kinds(
    folder: Path, model: hierclf.Model
) -> None:
    expected = model.predict(paths(folder)).drop(columns="image")
    every = list(kinds(folder).values())

    def mixed() -> Iterator[Any]:
        for index in range(COUNT):
            yield every[index % len(every)][index]

    table = model.predict(mixed(), batch_size=COUNT)
    pd.testing.assert_frame_equal(table.drop(columns="image"), expected, check_exact=True)


def test_what_is_no_image_gets_its_reason_and_keeps_no_other_from_its_row(
    folder: Path, model: hierclf.Model
) -> None:
    good = paths(folder)[0]
    wrong = [folder / "none.png", b"no image", np.zeros((8, 8, 3)), folder, None]
    images: list[Any] = [good, *wrong, good]
    table = model.predict(images, batch_size=2)
    assert table["error"].isna().tolist() == [True, *[False] * 5, True]
    reasons = table["error"].tolist()[1:-1]
    assert reasons[0] == f"{folder / 'none.png'}: No such file or directory"
    assert reasons[1].startswith("not a readable JPEG")
    assert reasons[2] == "a NumPy image must be uint8 [H, W, 3], but got float64 [8, 8, 3]"
    assert reasons[3] == f"{folder}: Is a directory"
    assert reasons[4].endswith("but got NoneType")
    assert table.iloc[1:6, 1:-1].isna().all(axis=None)
    expected = model.predict([good])
    for row in (0, 6):
        assert table.iloc[row, :5].tolist() == expected.iloc[0, :5].tolist()


def test_the_columns_have_the_same_types_whatever_the_images(
    folder: Path, model: hierclf.Model
) -> None:
    good = model.predict(paths(folder)[:1])
    assert [str(kind) for kind in good.dtypes[1:3]] == ["Int64"] * 2
    assert [str(kind) for kind in good.dtypes[5:-1]] == ["float32"] * len(NUMBERS)
    every: list[list[Any]] = [[], [b"no image"], [b"no image", paths(folder)[0]]]
    for images in every:
        table = model.predict(images)
        assert len(table) == len(images)
        assert table.dtypes.iloc[1:].tolist() == good.dtypes.iloc[1:].tolist()
        assert tuple(table.columns) == (*COLUMNS, "error")


def test_scores_are_all_fitted_ones_and_those_that_decide_are_the_predictions(
    folder: Path, model: hierclf.Model
) -> None:
    images: list[Any] = [*paths(folder), b"no image"]
    table, predicted = model.scores(images), model.predict(images)
    names = ["super_msp", "sub_msp", "super_knn", "sub_knn"]
    assert table.columns.tolist() == ["image", *names, "error"]
    assert table["image"].tolist() == predicted["image"].tolist()
    pd.testing.assert_series_equal(table["error"], predicted["error"])
    assert model.thresholds is not None
    np.testing.assert_array_equal(table["super_msp"], predicted["super_score"])
    np.testing.assert_array_equal(table["sub_knn"], predicted["sub_score"])
    assert table[names].iloc[:COUNT].notna().all(axis=None)
    assert model.scores([]).columns.tolist() == table.columns.tolist()


def test_scores_need_no_thresholds(folder: Path, tmp_path: Path) -> None:
    save_bundle(replace(tiny_bundle(), rule=None, calibration=None), tmp_path)
    bare = hierclf.load(tmp_path, device="cpu")
    assert bare.thresholds is None
    assert len(bare.scores(paths(folder))) == COUNT
    for refused in (lambda: bare.predict([]), lambda: bare.with_thresholds(sub_tau=1.0)):
        with pytest.raises(ValueError, match=r"must hold thresholds\.json, but has none"):
            refused()


def test_other_thresholds_make_another_model_and_leave_the_first(
    folder: Path, model: hierclf.Model
) -> None:
    before = model.predict(paths(folder))
    rule = model.thresholds
    novel = model.with_thresholds(super_tau=-1.0)
    assert model.thresholds == rule
    assert (novel.predict(paths(folder))["superclass"] == "novel").all()
    known = model.with_thresholds(super_tau=9.0, sub_tau=9.0)
    assert (known.predict(paths(folder))["subclass"] != "novel").all()
    pd.testing.assert_frame_equal(model.predict(paths(folder)), before, check_exact=True)
    with pytest.raises(ValueError, match="must be a finite number, but got nan"):
        model.with_thresholds(super_tau=float("nan"))
    with pytest.raises(AttributeError):
        model.device = torch.device("cpu")  # type: ignore[misc]


def test_a_model_says_what_it_is(model: hierclf.Model) -> None:
    assert repr(model) == "Model(smallnet, 2 super-classes, 4 sub-classes, on cpu)"
    assert model.hierarchy == HIERARCHY


def test_what_is_no_model_or_no_device_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a model directory, but is no folder$"):
        hierclf.load(tmp_path / "none")
    with pytest.raises(ValueError, match="got 'gpu'"):
        hierclf.load(folder / "results" / "runs" / "demo" / "model", device="gpu")


def test_an_argument_that_is_no_images_is_refused(model: hierclf.Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"or an iterable of them, but got int$"):
        model.predict(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no file, folder or pattern"):
        model.predict(tmp_path / "none.png")


def test_the_examples_in_the_docstrings_are_true(
    folder: Path, model: hierclf.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for module in (hierclf, hierclf.model):
        failed, tried = doctest.testmod(
            module, extraglobs={"model": model}, optionflags=doctest.NORMALIZE_WHITESPACE
        )
        assert tried
        assert not failed
