"""Claims about `hierclf novel`: its groups are of the images that predict calls novel."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.bundle.training_images_file import save_training_images
from hierclf.data.novel import open_novel
from hierclf.predict import predict_images
from tests.commands_run import error_of, run
from tests.tiny_models import HIERARCHY, encoded, picture, pictures, save_tiny_model, tiny_bundle


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Its bank has four images of each sub-class."""
    bundle = tiny_bundle()
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(4, bundle.states["knn.bank"].shape[1])).repeat(4, axis=0)
    bank = middles + 0.1 * rng.normal(size=middles.shape)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    bundle.states["knn.bank"] = bank.astype(np.float32)
    folder = tmp_path / "model"
    save_bundle(bundle, folder)
    save_training_images(folder, [f"{i}.png" for i in range(16)], np.repeat(np.arange(4), 4))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures, each three times in another size, a torn one, and a hostile name."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        for size in (32, 36, 40):
            file = folder / f"{number:02}-{size}.png"
            file.write_bytes(encoded(picture(number).resize((size, size))))
    (folder / "torn.png").write_bytes(pictures(1)[0][1][:60])
    (folder / "<img src=x onerror=alert(1)>.png").write_bytes(pictures(1)[0][1])
    return folder


def test_the_table_holds_the_images_that_predict_calls_novel_with_their_super_class(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    result = run("novel", model, photos, "--out", tmp_path / "out")
    files = [path for path in sorted(photos.iterdir()) if path.name != "torn.png"]
    table = predict_images(load_bundle(model), [(path.name, path.read_bytes()) for path in files])
    novel = table[table["subclass"] == "novel"]
    assert 3 < len(novel) < len(table)
    found = pd.read_csv(tmp_path / "out" / "novel.csv", keep_default_na=False)
    assert set(found["image"]) == set(novel["image"])
    said = novel.set_index("image")["superclass"]
    for image, superclass, subclass in found.itertuples(index=False):
        if said[image] == "novel":
            assert superclass == (subclass or "novel")
        else:
            assert superclass == said[image]
            assert subclass.startswith(f"new {superclass}") or not subclass
    assert found["subclass"].str.startswith("new").any()
    assert "unreadable: torn.png" in result.stderr
    assert f"{len(novel)} of {len(table)} images are novel" in result.stdout


def test_the_table_is_what_novel_takes(model: Path, photos: Path, tmp_path: Path) -> None:
    run("novel", model, photos, "--out", tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "novel.csv")
    (photos / "torn.png").unlink()
    (photos / "novel.csv").write_bytes((tmp_path / "out" / "novel.csv").read_bytes())
    source = open_novel(str(photos / "novel.csv"), HIERARCHY, height=32, width=32)
    assert len(source.source.images) == len(found)


def test_a_name_from_a_stranger_is_text_on_the_page(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    run("novel", model, photos, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "novel.html").read_text()
    assert "<img src=x" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_names_that_the_user_gave_are_not_overwritten(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "novel.csv").write_text("mine")
    assert f"{tmp_path / 'novel.csv'} exists" in error_of("novel", model, photos, "--out", tmp_path)
    assert (tmp_path / "novel.csv").read_text() == "mine"


def test_a_model_without_classes_of_its_bank_is_refused_before_predicting(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    (model / "training_images.parquet").unlink()
    assert "has no training_images.parquet" in error_of(
        "novel", model, photos, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()
    save_tiny_model(tmp_path / "small")
    assert "two sub-classes of two images" in error_of(
        "novel", tmp_path / "small", photos, "--out", tmp_path / "out"
    )
