"""An exported model: the same answers as the model's own, without torch, and safe to load."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import torch

from hierclf.bundle.directory import Bundle
from hierclf.commands.export import export_model
from hierclf.data.preprocessing import Preprocessing
from hierclf.io.digest import sha256_of
from hierclf.nets.preprocessing import center_view as torch_view
from hierclf.predict import predict_images
from hierclf.rules.answers import COLUMNS
from hierclf.runtime import load
from hierclf.runtime.view import center_view
from tests.commands_run import error_of, run
from tests.image_bytes import encode
from tests.tiny_models import SIZE, picture, pictures, save_tiny_model, tiny_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


@pytest.fixture(scope="module")
def exported(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert export_model(bundle, folder) < 1e-5
    return folder


def test_every_answer_is_the_models_own(bundle: Bundle, exported: Path) -> None:
    images = pictures(40)
    expected = predict_images(bundle, images)
    rows = load(exported).predict([data for _, data in images], batch_size=7)
    assert [tuple(row) for row in rows] == [COLUMNS] * 40
    assert {"novel"} < set(expected["subclass"])
    for name in ("superclass_index", "subclass_index", "superclass", "subclass"):
        assert [row[name] for row in rows] == expected[name].tolist()
    for name in COLUMNS[5:]:
        found = np.array([row[name] for row in rows])
        # A pixel may differ by one level, and this model's weights are 400 times the usual.
        np.testing.assert_allclose(found, expected[name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_fraction", [0.875, 1.0])
@pytest.mark.parametrize(("height", "width", "size"), [(64, 64, 96), (96, 64, 32), (50, 81, 40)])
def test_the_view_is_torchs_to_one_level(
    height: int, width: int, size: int, crop_fraction: float, interpolation: str
) -> None:
    how = Preprocessing(height, width, size, crop_fraction, interpolation)  # type: ignore[arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    view = torch_view(
        torch.from_numpy(pixels[None]),
        size=size,
        crop_fraction=crop_fraction,
        interpolation=how.interpolation,
    )
    own = center_view(pixels, how).astype(int)
    assert own.shape == (size, size, 3)
    assert np.abs(own - (view[0].permute(1, 2, 0) * 255).round().numpy()).max() <= 1


def test_paths_bytes_and_pixels_of_one_image_give_one_answer(
    exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture(3), "PNG"))
    rows = load(exported).predict([path, str(path), path.read_bytes(), np.asarray(picture(3))])
    assert [row.pop("image") for row in rows] == [str(path), str(path), "2", "3"]
    assert all(row == rows[0] for row in rows)


WITHOUT = """
import sys

class Banned:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BANNED}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Banned())
from hierclf.runtime.__main__ import main
main()
"""


def test_numpy_onnxruntime_and_pillow_suffice(exported: Path, tmp_path: Path) -> None:
    banned = {"torch", "torchvision", "timm", "pandas", "scipy", "sklearn", "pyarrow", "pydantic"}
    banned |= {"safetensors", "typer", "rich", "matplotlib", "yaml", "jinja2", "onnx", "onnxscript"}
    (tmp_path / "a.png").write_bytes(encode(picture(0), "PNG"))
    code = WITHOUT.replace("{BANNED}", repr(banned))
    done = subprocess.run(
        [sys.executable, "-c", code, exported, "a.png"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = load(exported).predict([tmp_path / "a.png"])
    assert json.loads(done.stdout) == row | {"image": "a.png"}


def test_onnxruntime_keeps_no_telemetry(exported: Path, tmp_path: Path) -> None:
    """It would write what it is going to send into the user's home."""
    code = "import sys; from hierclf.runtime import load; load(sys.argv[1])"
    home = tmp_path / "home"
    home.mkdir()
    own = {n: v for n, v in os.environ.items() if n not in ("ORT_DISABLE_TELEMETRY", "HOME")}
    subprocess.run(
        [sys.executable, "-c", code, exported],
        env=own | {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=True,
    )
    assert not list(home.rglob("*onnxruntime*"))


def test_the_command_exports_and_says_what_to_type(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    said = run("export", tmp_path / "model", tmp_path / "out").stdout
    assert f"python -m hierclf.runtime {tmp_path}/out IMAGES" in said
    names = {"export.json", "network.onnx", "scores.npz"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert "must not exist" in error_of("export", tmp_path / "model", tmp_path / "out")
    assert "is no folder" in error_of("export", tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_unreadable_image_is_named(exported: Path, tmp_path: Path) -> None:
    model = load(exported)
    for bad in (b"no image", tmp_path / "gone.png", np.zeros((4, 4), np.uint8)):
        with pytest.raises(ValueError, match="must be a readable image: "):
            model.predict([bad])


def listed(folder: Path, name: str) -> None:
    """Give a changed file its checksum, as whoever writes to the folder could."""
    path = folder / "export.json"
    description = json.loads(path.read_text())
    description["sha256"][name] = sha256_of(folder / name)
    path.write_text(json.dumps(description))


def damaged(folder: Path) -> None:
    with (folder / "network.onnx").open("ab") as file:
        file.write(b"x")


def no_network(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(b"no network")
    listed(folder, "network.onnx")


def newer(folder: Path) -> None:
    text = (folder / "export.json").read_text()
    (folder / "export.json").write_text(text.replace('"schema": 1', '"schema": 2'))


def pickled(folder: Path) -> None:
    np.savez(folder / "scores.npz", x=np.array([print], dtype=object))
    listed(folder, "scores.npz")


def packed(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1 << 16))
    with zipfile.ZipFile(folder / "scores.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("knn.bank.npy", buffer.getvalue())
    listed(folder, "scores.npz")


def other_scores(folder: Path) -> None:
    states: dict[str, Any] = {"knn.bank": np.zeros((2, 3), np.float32)}
    np.savez(folder / "scores.npz", **states)
    listed(folder, "scores.npz")


def no_rule(folder: Path) -> None:
    description = json.loads((folder / "export.json").read_text())
    del description["rule"]
    (folder / "export.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damaged, "network.onnx must match its checksum"),
        (no_network, ""),
        (newer, "its schema must be 1, not 2"),
        (pickled, "allow_pickle"),
        (packed, "must not be compressed"),
        (other_scores, ""),
        (no_rule, "lacks the key 'rule'"),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(
    exported: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in exported.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    spoil(folder)
    with pytest.raises(ValueError, match="must be an exported model, but ") as error:
        load(folder)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_without_thresholds_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold thresholds\.json"):
        export_model(replace(bundle, rule=None), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_pictures_of_these_tests_have_the_models_size() -> None:
    assert Image.open(io.BytesIO(pictures(1)[0][1])).size == (SIZE, SIZE)
