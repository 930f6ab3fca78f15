"""Claims about models in a bucket: every command takes them as it takes a directory."""

from pathlib import Path

import pandas as pd
import pytest

import hierclf
from hierclf.hub.addresses import local_model
from tests.commands_run import error_of, run
from tests.storage.bucket_server import Bucket
from tests.tiny_models import MODEL_FILES, pictures, save_tiny_model

MODEL = "s3://bucket/runs/one/model"


@pytest.fixture
def model(bucket: Bucket, tmp_path: Path) -> Path:
    """A model directory, and the same in the bucket with six pictures to predict."""
    save_tiny_model(tmp_path / "model")
    bucket.put({f"runs/one/model/{n}": (tmp_path / "model" / n).read_bytes() for n in MODEL_FILES})
    bucket.put({f"new/{name}": data for name, data in pictures(6)})
    (tmp_path / "new").mkdir()
    for name, data in pictures(6):
        (tmp_path / "new" / name).write_bytes(data)
    return tmp_path / "model"


def test_model_and_images_of_a_bucket_predict_as_those_of_a_folder(
    model: Path, tmp_path: Path
) -> None:
    expected = hierclf.load(model, device="cpu").predict(tmp_path / "new")
    found = hierclf.load(MODEL, device="cpu").predict("s3://bucket/new")
    pd.testing.assert_frame_equal(found, expected)
    run("predict", MODEL, "s3://bucket/new", "--out", tmp_path / "a.csv")
    run("predict", model, tmp_path / "new", "--out", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert list(hierclf.load(Path(MODEL)).hierarchy.super_names) == ["bird", "dog"]
    assert local_model(f"file://{model}") == model


def test_labels_and_model_of_a_bucket_evaluate_as_those_of_a_folder(
    bucket: Bucket, model: Path, tmp_path: Path
) -> None:
    run("predict", model, tmp_path / "new", "--out", tmp_path / "a.csv")
    rows = "".join(f"{i}.png,bird,owl\n" for i in range(6))
    (tmp_path / "labels.csv").write_text(f"image,superclass,subclass\n{rows}")
    bucket.put({"labels.csv": (tmp_path / "labels.csv").read_bytes()})
    there = run("evaluate", tmp_path / "a.csv", "s3://bucket/labels.csv", "--model", MODEL)
    here = run("evaluate", tmp_path / "a.csv", tmp_path / "labels.csv", "--model", model)
    assert there.stdout == here.stdout


def test_thresholds_of_a_model_in_a_bucket_are_shown_and_not_written(
    bucket: Bucket, model: Path
) -> None:
    before = bucket.files("runs/one/model/")
    shown = run("thresholds", MODEL, "--goal", "overall", "--novel-rate", 0.3, "--dry-run")
    local = run("thresholds", model, "--goal", "overall", "--novel-rate", 0.3, "--dry-run")
    assert shown.stdout.splitlines()[:-1] == local.stdout.splitlines()[:-1]
    assert shown.stdout.endswith(f"dry run: {MODEL} is as it was\n")
    assert error_of("thresholds", MODEL) == (
        "hierclf: error: thresholds are written into a folder of this machine: copy the model, or "
        f"give --dry-run, but got {MODEL}"
    )
    assert bucket.files("runs/one/model/") == before


def test_a_model_of_a_bucket_is_exported(model: Path, tmp_path: Path) -> None:
    for name, where in (("a", MODEL), ("b", str(model))):
        run("export", where, tmp_path / name, "--format", "huggingface")
    files = [{p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("a", "b")]
    assert files[0].keys() == files[1].keys()
    assert files[0]["model.safetensors"] == files[1]["model.safetensors"]


def test_only_files_of_a_model_are_fetched(bucket: Bucket) -> None:
    exported = {"export.json": b"{}", "network.onnx": b"x", "scores.npz": b"x"}
    run_of = {"model/bundle.json": b"{}", "trials.parquet": b"x"}
    others = {"evil.py": b"x", "ray/trial/a.json": b"{}", "plots/a.png": b"x"}
    bucket.put({f"run/{name}": data for name, data in (exported | run_of | others).items()})
    folder = local_model("s3://bucket/run")
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {*exported, *run_of}


@pytest.mark.parametrize("command", ["serve", "thresholds", "export", "explain", "novel"])
def test_a_model_that_is_not_in_the_bucket_is_one_line(
    bucket: Bucket, tmp_path: Path, command: str
) -> None:
    (tmp_path / "new.png").write_bytes(pictures(1)[0][1])
    rest: dict[str, list[object]] = {
        "thresholds": ["--dry-run"],
        "export": [tmp_path / "x"],
        "explain": [tmp_path / "new.png"],
        "novel": [tmp_path / "new.png", "--out", tmp_path / "x"],
    }
    line = error_of(command, "s3://bucket/none", *rest.get(command, []))
    assert line == ("hierclf: error: s3://bucket/none: no such file or folder")
