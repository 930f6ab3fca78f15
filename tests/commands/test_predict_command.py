"""Claims about `hierclf predict`: what it writes, says and refuses."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.predict import predict_images
from hierclf.rules.answers import COLUMNS
from tests.commands_run import error_of, run
from tests.image_bytes import encode
from tests.layouts import write_raw
from tests.tiny_models import HIERARCHY, encoded, picture, pictures, tiny_bundle

SUBMISSION = ["image", "superclass_index", "subclass_index"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    save_bundle(tiny_bundle(), folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 readable images, 0.png to 11.png."""
    folder = tmp_path_factory.mktemp("images")
    for name, data in pictures(12):
        (folder / name).write_bytes(data)
    return folder


def test_predict_writes_every_column_in_natural_order(
    model: Path, images: Path, tmp_path: Path
) -> None:
    result = run("predict", model, images, "--out", tmp_path / "out.csv", "--batch-size", 5)
    table = pd.read_csv(tmp_path / "out.csv", dtype=dict.fromkeys(COLUMNS[5:], "float32"))
    expected = predict_images(load_bundle(model), pictures(12), batch_size=5)
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    novel_super = (expected["superclass"] == "novel").sum()
    novel_sub = (expected["subclass"] == "novel").sum() - novel_super
    known = 12 - novel_super - novel_sub
    assert (
        f"12 images predicted: {known} known, {novel_super} of a novel super-class, "
        f"{novel_sub} of a novel sub-class"
    ) in result.stdout
    assert f"hierclf evaluate {tmp_path}/out.csv LABELS --model {model}" in result.stdout


def test_parquet_and_csv_hold_the_same(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.commands.predict_files._ROWS_AT_ONCE", 6)
    for name in ("out.csv", "out.parquet"):
        run("predict", model, images, "--out", tmp_path / name, "--batch-size", 4)
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 2
    table = pd.read_parquet(tmp_path / "out.parquet")
    read = pd.read_csv(tmp_path / "out.csv", dtype=dict.fromkeys(COLUMNS[5:], "float32"))
    pd.testing.assert_frame_equal(table, read, check_exact=True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_submission_is_three_columns_of_the_table(
    model: Path, images: Path, tmp_path: Path, ending: str
) -> None:
    run("predict", model, images, "--out", tmp_path / "table.csv")
    out = tmp_path / f"out.{ending}"
    run("predict", model, images, "--out", out, "--format", "submission")
    submission = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert submission.columns.tolist() == SUBMISSION
    assert submission["image"].tolist() == [f"{index}.png" for index in range(12)]
    pd.testing.assert_frame_equal(submission, pd.read_csv(tmp_path / "table.csv")[SUBMISSION])


def test_a_submission_from_parquet_is_in_natural_order_too(model: Path, tmp_path: Path) -> None:
    data = pictures(12)[::-1]
    names, contents = zip(*data, strict=True)
    pq.write_table(pa.table({"image": contents, "path": names}), tmp_path / "in.parquet")
    run("predict", model, tmp_path / "in.parquet", "--out", tmp_path / "table.csv")
    assert pd.read_csv(tmp_path / "table.csv")["image"].tolist() == list(names)
    out = tmp_path / "out.csv"
    run("predict", model, tmp_path / "in.parquet", "--out", out, "--format", "submission")
    expected = pd.read_csv(tmp_path / "table.csv")[SUBMISSION][::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(out), expected)


def test_a_zip_and_a_folder_give_the_same_file(model: Path, images: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in images.iterdir():
            archive.write(path, f"test_images/{path.name}")
    run("predict", model, images, "--out", tmp_path / "folder.csv")
    run("predict", model, tmp_path / "images.zip", "--out", tmp_path / "zip.csv")
    assert (tmp_path / "folder.csv").read_bytes() == (tmp_path / "zip.csv").read_bytes()


def test_unreadable_images_are_listed_and_left_out(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.png").write_bytes(encoded(picture(1)))
    (folder / "2.png").write_bytes(b"")
    (folder / "3.png").write_bytes(b"GIF89a, or so")
    result = run("predict", model, folder, "--out", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["image"].tolist() == ["1.png"]
    assert "unreadable: 2.png: the file is empty (0 bytes)\n" in result.stderr
    assert "unreadable: 3.png: " in result.stderr
    assert f"2 unreadable images are not in {tmp_path}/out.csv" in result.stderr
    assert "1 image predicted" in result.stdout


def test_images_of_kinds_that_are_not_read_are_named(model: Path, tmp_path: Path) -> None:
    (tmp_path / "1.ppm").write_bytes(encode(picture(1), "PPM"))
    for name in ("2.jp2", "3.tga", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    result = run("predict", model, tmp_path, "--out", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["image"].tolist() == ["1.ppm"]
    assert "2 images of kinds that are not read (.jp2, .tga) are left out" in result.stderr
    assert "left out: 1 file that is not an image (first: notes.txt)" in result.stderr


STEERING = "\x1b[2J\n0 errors\u202e"
ESCAPED = r"\x1b[2J\n0 errors\u202e"


def test_names_cannot_steer_the_terminal(model: Path, tmp_path: Path) -> None:
    for i, sub in enumerate(["x" + STEERING, "y"] * 3):
        path = tmp_path / "data" / f"super{i % 2}" / sub / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(i)))
    (path.parent / f"{STEERING}.png").write_bytes(b"")
    (path.parent / f"{STEERING}.txt").write_bytes(b"")
    checked = run("check", tmp_path / "data", "--read-images")
    predicted = run("predict", model, tmp_path / "data", "--out", tmp_path / "out.csv")
    assert f"  x{ESCAPED} (0): 3\n" in checked.stdout
    assert f"warning: super1/y/{ESCAPED}.png: the file is empty" in checked.stdout
    assert f"unreadable: {ESCAPED}.png: the file is empty" in predicted.stderr
    assert f"(first: super1/y/{ESCAPED}.txt)" in predicted.stderr
    for text in (checked.output, predicted.output):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_a_jpeg_that_ends_early_is_predicted_where_one_asks_for_it(
    model: Path, tmp_path: Path
) -> None:
    for i in range(7):
        cut = encode(picture(i), "JPEG")[: -2 if i else None]
        (tmp_path / f"{i}.jpg").write_bytes(cut)
    refused = run("predict", model, tmp_path, "--out", tmp_path / "a.csv")
    assert "1 image predicted" in refused.stdout
    assert refused.stderr.count("truncated=keep reads what is there") == 3  # and then a count
    assert "3 more of this kind" in refused.stderr
    assert "6 unreadable images" in refused.stderr
    kept = run("predict", model, tmp_path, "--out", tmp_path / "b.csv", "--truncated", "keep")
    assert "7 images predicted" in kept.stdout


def test_the_encoding_of_names_in_a_zip_may_be_given(model: Path, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.zip", ["фото.png".encode("cp1251")])
    out = tmp_path / "a.csv"
    run("predict", model, path, "--out", out, "--zip-encoding", "cp1251")
    assert pd.read_csv(out)["image"].tolist() == ["фото.png"]


def test_no_file_appears_where_no_image_is_readable(model: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    (tmp_path / "out").mkdir()
    result = run("predict", model, tmp_path, "--out", tmp_path / "out" / "out.csv", code=2)
    assert "at least one image must be readable, but none of 1 is; 1.png: " in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_earlier_file_stays_until_the_new_one_is_whole(
    model: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("earlier")
    (tmp_path / "bad.png").write_bytes(b"x")
    run("predict", model, tmp_path / "bad.png", "--out", out, code=2)
    assert out.read_text() == "earlier"
    run("predict", model, images, "--out", out)
    assert len(pd.read_csv(out)) == 12


def test_mistakes_in_predict_are_one_line(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert "no file, folder or pattern 'gone'" in error_of("predict", model, "gone", "--out", out)
    assert "is no folder" in error_of("predict", "gone", images, "--out", out)
    assert "has no bundle.json" in error_of("predict", images, images, "--out", out)
    missing = tmp_path / "gone" / "out.csv"
    assert "gone does not exist" in error_of("predict", model, images, "--out", missing)
    assert ".csv or .parquet" in error_of("predict", model, images, "--out", tmp_path / "o.txt")
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in error_of("predict", model, images, "--out", tmp_path / "folder.csv")
    assert "'gpu'" in error_of("predict", model, images, "--out", out, "--device", "gpu")
    assert not out.exists()


def test_debug_may_be_the_value_of_an_option(tmp_path: Path, model: Path, images: Path) -> None:
    out = tmp_path / "out.csv"
    message = error_of("predict", model, images, "--out", out, "--device", "--debug")
    assert "'--debug'" in message


def test_predict_then_evaluate(model: Path, images: Path, tmp_path: Path) -> None:
    out, labels = tmp_path / "out.csv", tmp_path / "labels.csv"
    run("predict", model, images, "--out", out, "--format", "submission")
    labels.write_bytes(out.read_bytes())  # so that every answer is right
    figures = tmp_path / "figures.json"
    result = run("evaluate", out, labels, "--model", model, "--json", figures)
    for words in ("super seen", "sub unseen", "sub harmonic", "always novel", "never novel"):
        assert words in result.stdout
    content = json.loads(figures.read_text())
    assert content["accuracies"] == dict.fromkeys(content["accuracies"], 1.0)
    assert content["always_novel"]["sub_seen"] == 0.0
    assert content["counts"]["sub_overall"] == 12
    assert content["missing"] == 0
    assert "superclass_mapping.csv must lie beside" in error_of("evaluate", out, labels)
    wrong = tmp_path / "gone" / "x.json"
    assert "gone does not exist" in error_of("evaluate", out, labels, "--json", wrong)


def test_the_hierarchy_of_these_tests_has_its_novel_ids_in_the_middle() -> None:
    assert HIERARCHY.novel_super_id < max(HIERARCHY.super_ids)
    assert HIERARCHY.novel_sub_id < max(HIERARCHY.sub_ids)
