"""Claims about prediction on a Ray cluster: a real one, on this machine."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from hierclf.bundle.directory import load_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.data.image_files import list_images
from search.runtime.ray_predict import predict_on_ray
from tests.image_bytes import encode
from tests.searches import ROOT, execute
from tests.tiny_models import picture, pictures, save_tiny_model

BAD = ("3.png", "17.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, 21 images, two of which cannot be read and one of which ends early, and a text."""
    folder = tmp_path_factory.mktemp("ray predict")
    save_tiny_model(folder / "model")
    (folder / "images").mkdir()
    for name, data in pictures(20):
        (folder / "images" / name).write_bytes(b"text" if name in BAD else data)
    (folder / "images" / "20.jpg").write_bytes(encode(picture(20), "JPEG")[:-2])
    (folder / "images" / "notes.txt").write_text("no image")
    return folder


# In a process of its own: what Ray reads at its import is set before.
SPREAD = f"""
import json, os, sys
from dataclasses import asdict
from pathlib import Path
os.environ["PYTHONPATH"] = {str(ROOT)!r}
sys.path.insert(0, {str(ROOT)!r})
from search.runtime.ray_predict import predict_on_ray
model, images, out = sys.argv[1:]
calls = []
tally = predict_on_ray(Path(model), images, Path(out), batch_size=4, shard_rows=6,
                       reading={{"keep_truncated": True}},
                       progress=lambda *call: calls.append(call))
print(json.dumps([asdict(tally), calls]))
"""


@pytest.mark.slow
def test_shards_in_order_hold_the_rows_of_the_plain_path(place: Path) -> None:
    where = [place / "model", place / "images", place / "out"]
    ended = execute(sys.executable, "-c", SPREAD, *where, cache=place / "cache")
    assert ended.code == 0, ended.err
    tally, calls = json.loads(ended.out.splitlines()[-1])
    images = list_images(str(place / "images"), keep_truncated=True)
    plain = predict_to_file(load_bundle(place / "model"), images, place / "plain.parquet")
    assert tally == json.loads(json.dumps(asdict(plain)))
    assert [name for name, _ in tally["unreadable"]] == list(BAD)
    shards = sorted((place / "out").iterdir())
    assert [shard.suffix for shard in shards] == [".parquet"] * 4
    rows = pd.concat([pd.read_parquet(shard) for shard in shards], ignore_index=True)
    pd.testing.assert_frame_equal(rows, pd.read_parquet(place / "plain.parquet"), rtol=1e-4)
    assert len(rows) == 19
    assert calls[-1] == [21, 21]
    assert tally["left_out"] == ["notes.txt"]
    assert [path for path in place.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["images", "none/out"])
def test_an_existing_folder_is_left_alone_before_ray_is_started(place: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"--out must name a new folder .*{name}"):
        predict_on_ray(place / "model", str(place / "images"), place / name, address="nobody")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ray", "--format", "submission"], "neither --format nor --explain nor --device"),
        (["--ray", "--device", "cpu"], "neither --format nor --explain nor --device"),
        (["--address", "auto"], "--address needs --ray"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    place: Path, options: list[str], words: str
) -> None:
    command: list[str | Path] = [
        ROOT / "search" / "predict.py",
        "models:/m@champion",
        "images",
        "--out",
        "x",
    ]
    ended = execute(sys.executable, *command, *options, cache=place / "cache")
    assert ended.code != 0
    assert words in " ".join(ended.err.split())
