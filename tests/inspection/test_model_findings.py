"""Claims about `hierclf check --images --model`: from a model's features to a page of doubts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hierclf.bundle.directory import save_bundle
from hierclf.bundle.training_images_file import save_training_images
from tests.commands_run import error_of, run
from tests.inspection.drawn_classes import classes
from tests.inspection.odd_pictures import photo
from tests.tiny_models import tiny_bundle

SUBS = ("bird/hen", "bird/owl", "dog/pug", "dog/collie")
PER_CLASS = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of four sub-classes; two of them lie in the wrong folder."""
    root = tmp_path_factory.mktemp("doubts") / "photos"
    for number, sub in enumerate(SUBS):
        (root / sub).mkdir(parents=True)
        for index in range(PER_CLASS):
            seed = PER_CLASS * number + index
            photo(seed, (24, 24)).save(root / sub / f"{seed}.png")
    (root / "bird/hen/3.png").rename(root / "bird/owl/3.png")
    (root / "dog/pug/50.png").rename(root / "bird/owl/50.png")
    return root


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, whose model keeps features by which the pictures are where they belong."""
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    features, _ = classes([0, 0, 1, 1], PER_CLASS)
    bundle = tiny_bundle()
    width = bundle.states["knn.bank"].shape[1]
    bank = np.zeros((len(names), width), np.float32)
    bank[:, : features.shape[1]] = features[[int(Path(name).stem) for name in names]][:, :width]
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    bundle.states["knn.bank"] = bank
    run_folder = tmp_path_factory.mktemp("run")
    save_bundle(bundle, run_folder / "model")
    labels = [SUBS.index(name.rpartition("/")[0]) for name in names]
    save_training_images(run_folder / "model", names, labels)
    return run_folder


def findings(data: Path, model: Path, out: Path) -> dict[str, Any]:
    run("check", data, "--images", "--model", model, "--json", out)
    return {finding["kind"]: finding for finding in json.loads(out.read_text())["findings"]}


@pytest.mark.parametrize("place", ["", "model"])
def test_pictures_in_the_wrong_folder_are_named_with_the_right_one(
    data: Path, model: Path, place: str, tmp_path: Path
) -> None:
    found = findings(data, model / place, tmp_path / "out.json")
    for level, name, sub in (("super", "50.png", "dog/pug"), ("sub", "3.png", "bird/hen")):
        ((image,),) = [group["images"] for group in found[f"{level}_label_doubts"]["groups"]]
        assert image["image"] == f"bird/owl/{name}"
        assert (image["superclass"], image["subclass"]) == ("bird", "owl")
        assert f"{image['suggested_superclass']}/{image['suggested_subclass']}" == sub
    assert not found["misplaced_subclasses"]["groups"]
    assert not found["two_in_one_subclasses"]["groups"]


def test_the_text_says_both_labels_within_80_columns(data: Path, model: Path) -> None:
    text = run("check", data, "--images", "--model", model).stdout
    block = text[text.index("to look at:") :].splitlines()
    assert max(map(len, block)) <= 80
    assert "  Super-class in doubt: 1 image" in block
    at = block.index("    bird/owl/50.png: owl")
    assert block[at + 1].startswith("      rather dog / pug (")
    assert "features of 96 of 96 images" in " ".join(line.strip() for line in block)


def test_a_corrected_label_is_no_longer_in_doubt(data: Path, model: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = ["image,superclass,subclass"]
    right = {"bird/owl/50.png": "dog/pug", "bird/owl/3.png": "bird/hen"}
    for path in sorted(data.rglob("*.png")):
        name = path.relative_to(data).as_posix()
        parent, _, sub = right.get(name, name.rpartition("/")[0]).partition("/")
        rows.append(f"{name},{parent},{sub}")
    table.write_text("\n".join(rows))
    (tmp_path / "bird").symlink_to(data / "bird")
    (tmp_path / "dog").symlink_to(data / "dog")
    found = findings(table, model, tmp_path / "out.json")
    assert not any(finding["groups"] for kind, finding in found.items() if "doubts" in kind)


def test_the_page_shows_the_suggestion_above_the_given_label(
    data: Path, model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    run("check", data, "--images", "--model", model, "--html", page)
    text = page.read_text(encoding="utf-8")
    place = text.index("rather dog / pug (")
    assert text.index("bird / owl", place) > place


def test_models_that_cannot_tell_are_refused_before_images_are_read(
    data: Path, model: Path, tmp_path: Path
) -> None:
    nameless = tmp_path / "nameless"
    save_bundle(tiny_bundle(), nameless)
    check = ("check", data, "--images", "--model")
    assert "--model must keep its training images" in error_of(*check, nameless)
    save_training_images(nameless, [f"other/{i}.png" for i in range(6)], [0, 0, 1, 1, 2, 3])
    line = error_of(*check, nameless)
    assert "none of its 6 images is among them (first: 'other/0.png')" in line
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))[::17]
    assert len(names) == 6
    save_training_images(nameless, names, [0, 1, 0, 1, 0, 1])
    assert "its images of the same names have other classes" in error_of(*check, nameless)
    assert "--model needs --images" in error_of("check", data, "--model", model)
