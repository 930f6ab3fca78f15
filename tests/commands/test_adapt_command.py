"""Claims about `hierclf adapt`: what it says, what it writes and when, and what it refuses."""

import fcntl
import json
from pathlib import Path

import numpy as np
import pytest

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.commands.thresholds import choose_thresholds
from hierclf.data.image_files import list_images
from hierclf.predict import predict_images
from hierclf.rules.goals import Goal
from hierclf.rules.promise import Mix
from tests.commands_run import error_of, run
from tests.tiny_models import pictures, save_tiny_model

IMAGES = 60


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in pictures(IMAGES):
        (folder / name).write_bytes(content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def called_novel(model: Path, photos: Path) -> dict[str, float]:
    table = predict_images(load_bundle(model), list_images(str(photos)))
    return {level: float((table[f"{level}class"] == "novel").mean()) for level in ("super", "sub")}


def last_error_of(*args: object) -> str:
    """Of a mistake that shows after the progress."""
    return run(*args, code=2).stderr.splitlines()[-1]


def test_it_writes_nothing_unless_asked_and_then_what_it_showed(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    before, out = content_of(model), tmp_path / "adapted.json"
    shown = run("adapt", model, photos, "--json", out)
    said = json.loads(out.read_text())
    assert content_of(model) == before
    assert "is as it was; to write these thresholds:" in shown.stdout
    assert f"  hierclf adapt {model} {photos} --write" in shown.stdout
    assert "transductive" in shown.stdout
    written = run("adapt", model, photos, "--write", "--json", out)
    assert json.loads(out.read_text()) == said
    rule = load_card(model).rule
    assert rule is not None
    assert rule.to_dict() == said["thresholds"]
    assert "puts back the former thresholds" in written.stdout
    run("thresholds", model, "--undo")
    assert load_card(model).rule.to_dict() == said["before"]  # type: ignore[union-attr]


def test_the_thresholds_are_those_of_the_goal_overall_at_the_estimated_shares(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapted.json"
    run("adapt", model, photos, "--json", out)
    said = json.loads(out.read_text())
    assert said["transductive"] is True
    assert (said["images"], said["unreadable"]) == (IMAGES, 0)
    shares = {level: said["novel_share"][level]["expected"] for level in ("super", "sub")}
    least = 0.5 / IMAGES
    rates = {level: float(np.clip(share, least, 1 - least)) for level, share in shares.items()}
    goal = Goal("overall", novel_rate=rates["sub"], super_novel_rate=rates["super"])
    near = shares["sub"] - shares["super"]
    mix = Mix(
        near_of_seen=near / (1 - shares["super"]),
        far_of_unseen=shares["super"] / shares["sub"],
        super_novel=shares["super"],
        sub_novel=shares["sub"],
    )
    choice = choose_thresholds(model, goal, mix=mix).to_dict()
    assert said["thresholds"] == choice["thresholds"]
    assert said["expected"]["sub_overall"] == pytest.approx(choice["expected"]["sub_overall"])


def test_what_it_says_is_called_novel_is_what_predict_calls_novel(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapted.json"
    before = called_novel(model, photos)
    run("adapt", model, photos, "--json", out, "--write")
    said = json.loads(out.read_text())["called_novel"]
    assert said["before"] == pytest.approx(before)
    assert said["after"] == pytest.approx(called_novel(model, photos))
    assert said["before"] != said["after"]


def test_unreadable_images_are_listed_and_left_out(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "torn.png").write_bytes(pictures(1)[0][1][:60])
    out = tmp_path / "adapted.json"
    result = run("adapt", model, photos, "--json", out)
    assert "unreadable: torn.png" in result.stderr
    said = json.loads(out.read_text())
    assert (said["images"], said["unreadable"]) == (IMAGES, 1)


def test_too_few_images_are_refused_with_the_number_needed(model: Path, photos: Path) -> None:
    for name, _ in pictures(IMAGES)[1:]:
        (photos / name).unlink()
    needed = "the share of novel images is estimated from 50 images or more, but got"
    assert f"{needed} 1 image in {photos}" in error_of("adapt", model, photos)
    for name, content in pictures(IMAGES):
        (photos / name).write_bytes(content if name < "3" else content[:60])
    readable = sum(name < "3" for name, _ in pictures(IMAGES))
    assert f"{needed} {readable} images that can be read of 60" in last_error_of(
        "adapt", model, photos
    )


def test_images_of_which_none_can_be_read_are_refused(model: Path, photos: Path) -> None:
    for path in photos.iterdir():
        path.write_bytes(path.read_bytes()[:60])
    error = last_error_of("adapt", model, photos)
    assert "at least one image must be readable, but none is; 0.png: " in error


def test_an_empty_folder_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty must hold at least one image" in error_of("adapt", model, tmp_path / "empty")


def test_a_model_without_its_score_table_is_refused(model: Path, photos: Path) -> None:
    (model / "score_table.parquet").unlink()
    assert "score_table.parquet must be there to choose thresholds on" in error_of(
        "adapt", model, photos
    )


def test_a_model_in_a_bucket_and_one_whose_search_is_at_work_are_not_written(
    model: Path, photos: Path
) -> None:
    assert "leave out --write, but got s3://bucket/model" in error_of(
        "adapt", "s3://bucket/model", photos, "--write"
    )
    lock = model.parent / ".lock"
    lock.write_text("process 7 on host3\n")
    with lock.open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        error = error_of("adapt", model, photos, "--write")
        assert "without --write, they are only shown" in error
        run("adapt", model, photos)
