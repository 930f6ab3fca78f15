"""Claims about `hierclf add-class`: what it says, and that it closes the loop from novel images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hierclf.bundle.directory import load_bundle
from hierclf.training.record import load_record, save_record
from tests.additions.conftest import Drawn
from tests.commands_run import error_of, run
from tests.tiny_models import encoded, sign


@pytest.fixture(autouse=True)
def own_cache(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERCLF_CACHE", str(drawn.cache))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def magenta(tmp_path: Path) -> Path:
    """Ten noisy pictures that are like each other and like no known class."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number in range(10):
        noise = rng.integers(-20, 21, (64, 64, 3))
        pixels = np.clip(np.array([255, 0, 255]) + noise, 0, 255).astype(np.uint8)
        (folder / f"{number}.png").write_bytes(encoded(Image.fromarray(pixels)))
    return folder


def test_novel_images_are_grouped_named_added_and_then_recognised(
    drawn: Drawn, magenta: Path, tmp_path: Path
) -> None:
    model, groups = tmp_path / "model", tmp_path / "groups"
    shutil.copytree(drawn.model, model)
    run("thresholds", model, "--super-tau=-1e9", "--sub-tau=-1e9")  # everything is novel
    run("novel", model, magenta, "--out", groups)
    table = pd.read_csv(groups / "novel.csv", keep_default_na=False)
    named = table["subclass"] != ""
    assert named.sum() > 4
    table.loc[named, ["superclass", "subclass"]] = ["colour", "magenta"]
    table.to_csv(groups / "novel.csv", index=False)
    given = ("add-class", model, groups / "novel.csv", "--images", magenta)
    assert "--new-super makes it a new one" in error_of(*given)
    done = run(*given, "--new-super")
    assert f"added colour/magenta with {named.sum()} images" in done.stdout
    assert f"wrote {tmp_path / 'model-2'}; {model} is as it was" in done.stdout
    run("thresholds", tmp_path / "model-2", "--super-tau=1e9", "--sub-tau=1e9")  # nothing is novel
    run("predict", tmp_path / "model-2", magenta, "--out", tmp_path / "predictions.csv")
    answers = pd.read_csv(tmp_path / "predictions.csv")
    assert (answers["subclass"] == "magenta").all()
    assert (answers["superclass"] == "colour").all()


def test_the_figures_before_and_after_stand_side_by_side(drawn: Drawn, tmp_path: Path) -> None:
    out = tmp_path / "new"
    options = ("--sub", drawn.subclass, "--super", drawn.superclass, "--out", out)
    done = run("add-class", drawn.model, drawn.new, *options)
    lines = done.stdout.splitlines()
    (title,) = (line for line in lines if "before" in line and "after" in line)
    assert "change" in title
    assert sum("harmonic mean" in line for line in lines) == 2
    assert max(map(len, lines[: lines.index(next(x for x in lines if "added" in x))])) <= 80
    assert load_bundle(out).hierarchy.sub_names[-1] == drawn.subclass
    message = error_of("add-class", drawn.model, drawn.new, *options)
    assert f"--out must not exist, but {out} does" in message


def test_a_table_of_known_classes_adds_nothing_of_them(drawn: Drawn, tmp_path: Path) -> None:
    known = sorted((drawn.known / "leaf" / "leaf plain").iterdir())[:3]
    files = [*known, *sorted(drawn.new.iterdir())]
    for file in files:
        shutil.copy(file, tmp_path)
    rows = [(file.name, "leaf", "leaf plain") for file in known]
    rows += [(file.name, drawn.superclass, drawn.subclass) for file in drawn.new.iterdir()]
    table = pd.DataFrame(rows, columns=["image", "superclass", "subclass"])
    table.to_csv(tmp_path / "named.csv", index=False)
    done = run("add-class", drawn.model, tmp_path / "named.csv", "--out", tmp_path / "new")
    assert "left out: 3 images of classes that the model knows" in done.stdout
    assert load_record(tmp_path / "new").additions[0].table == str(tmp_path / "named.csv")


def test_a_model_whose_backbone_was_trained_needs_a_search(drawn: Drawn, tmp_path: Path) -> None:
    shutil.copytree(drawn.model, tmp_path / "model")
    record = load_record(tmp_path / "model")
    trained = record.config.with_values({"model.freeze": "none"})
    save_record(tmp_path / "model", type(record)(trained, "", "", 1))
    given = (tmp_path / "model", drawn.new, "--sub", drawn.subclass, "--super", drawn.superclass)
    assert "was trained: search again with the new classes" in error_of("add-class", *given)
    (tmp_path / "model" / "training.json").unlink()
    message = error_of("add-class", *given)
    assert "has no training.json" in message
    assert "--resume NAME" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"nonsense": 1}}, "unknown key nonsense"),
        ({"additions": [{"table": None, "images": None, "classes": []}]}, "a table or images"),
        ({"additions": [{"images": "x"}]}, "but 'table'"),
        ({"n_images": "many"}, "must be of type int"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(
    drawn: Drawn, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    shutil.copytree(drawn.model, tmp_path / "model")
    path = tmp_path / "model" / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match="must match its checksum"):
        load_record(tmp_path / "model")
    sign(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        load_record(tmp_path / "model")
