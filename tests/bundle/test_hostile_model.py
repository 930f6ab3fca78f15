"""Claims about model directories from strangers: nothing runs, nothing grows, one line is said."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.training_images_file import load_training_images
from hierclf.predict import predict_images
from tests.memory import PEAK_MEMORY
from tests.pickles import Bomb
from tests.tiny_models import MODEL_FILES, pictures, save_tiny_model, sign, tiny_bundle

READERS: dict[str, Callable[[Path], Any]] = {
    "score_table.parquet": load_score_table,
    "training_images.parquet": load_training_images,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def message(model: Path, load: Callable[[Path], Any] = load_bundle) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def header_of(data: bytes) -> dict[str, Any]:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def with_header(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A safetensors file with another header before the same tensors."""
    header = header_of(data)
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + int.from_bytes(data[:8], "little") :]


# --- no code runs ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("form", ["pickle", "torch", "numpy"])
def test_a_pickle_under_any_files_name_does_not_run(
    model: Path, tmp_path: Path, name: str, form: str
) -> None:
    target, path = tmp_path / "was here", model / name
    with path.open("wb") as file:
        if form == "pickle":
            pickle.dump(Bomb(target), file)
        elif form == "torch":
            torch.save({"weight": Bomb(target)}, file)
        else:
            np.save(file, np.array([Bomb(target)]), allow_pickle=True)
    if name != "bundle.json":
        sign(model)  # past the checksums, to whatever reads the file
    message(model, READERS.get(name, load_bundle))
    assert not target.exists()


def test_loading_and_predicting_resolve_no_pickled_name(model: Path) -> None:
    (model.parent / "1.png").write_bytes(pictures(1)[0][1])
    # Python itself reports every class or function that unpickling asks for.
    program = """
import sys
from pathlib import Path
from hierclf.bundle.directory import load_bundle
from hierclf.predict import predict_images
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.training_images_file import load_training_images
seen = []
sys.addaudithook(lambda event, args: event == "pickle.find_class" and seen.append(args))
model, image = Path(sys.argv[1]), Path(sys.argv[2])
predict_images(load_bundle(model), [("1", image.read_bytes())])
load_score_table(model)
load_training_images(model)
assert not seen, seen
import pickle
pickle.loads(pickle.dumps(Path))
assert seen, "the hook hears nothing"
"""
    arguments = [sys.executable, "-c", program, str(model), str(model.parent / "1.png")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- safetensors that lie ----------------------------------------------------------------------


def overlap(header: dict[str, Any]) -> None:
    names = [name for name in header if name != "__metadata__"]
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]


def beyond_the_end(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["data_offsets"][1] += 10**9


def backwards(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["data_offsets"].reverse()


def huge_shape(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["shape"] = [2**40, 2**40]


def other_shape(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["shape"].reverse()


def other_type(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["dtype"] = "I32"


def unknown_type(header: dict[str, Any]) -> None:
    header["heads.sub_head.weight"]["dtype"] = "O"


def other_name(header: dict[str, Any]) -> None:
    header["heads.sub_head.wait"] = header.pop("heads.sub_head.weight")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (overlap, "offset"),
        (beyond_the_end, "offset"),
        (backwards, "invalid offset"),
        (huge_shape, "overflow"),
        (other_shape, "sub_head.weight in model.safetensors must be F32 [4, 128], but is F32 [128"),
        (other_type, "must be F32 [4, 128], but is I32 [4, 128]"),
        (unknown_type, "variant `O`"),
        (other_name, "lacks heads.sub_head.weight"),
    ],
)
def test_a_header_that_lies_is_refused(
    model: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    path = model / "model.safetensors"
    path.write_bytes(with_header(path.read_bytes(), change))
    sign(model)
    assert reason.lower() in message(model).lower()


@pytest.mark.parametrize("length", [0, 7, 10**6, 2**31, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["model.safetensors", "scores.safetensors"])
def test_a_header_of_a_wrong_length_is_refused(model: Path, name: str, length: int) -> None:
    path = model / name
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    sign(model)
    assert "header" in message(model)


def test_a_header_beyond_the_formats_limit_is_refused_unread(model: Path) -> None:
    path = model / "model.safetensors"
    with path.open("wb") as file:  # sparse: the header is said to be 200 MB of nothing
        file.write(struct.pack("<Q", 200 * 2**20))
        file.truncate(201 * 2**20)
    sign(model)
    assert "header too large" in message(model)


def test_states_that_do_not_fit_the_network_are_refused(model: Path) -> None:
    import safetensors.numpy

    good = tiny_bundle().states
    for states in (
        {},
        {"knn.bank": good["knn.bank"]},
        {**good, "knn.bank": good["knn.bank"][:, :5]},
        {**good, "knn.k": np.array([10**6])},
        {**good, "knn.k": np.array([], dtype=np.int64)},
        {**good, "knn.bank": np.full_like(good["knn.bank"], np.nan)},
    ):
        safetensors.numpy.save_file(states, model / "scores.safetensors")
        sign(model)
        assert "scores.safetensors must fit the network, but gives" in message(model)


def test_weights_that_are_not_finite_are_refused(model: Path) -> None:
    path = model / "model.safetensors"
    data = path.read_bytes()
    begin, end = header_of(data)["heads.sub_head.bias"]["data_offsets"]
    at = 8 + int.from_bytes(data[:8], "little")
    nothing = np.full((end - begin) // 4, np.nan, dtype=np.float32).tobytes()
    path.write_bytes(data[: at + begin] + nothing + data[at + end :])
    sign(model)
    assert "`sub_logits` must be finite" in message(model)


# --- what a description says is not believed -----------------------------------------------------


def test_a_small_description_of_a_huge_network_takes_no_memory(model: Path) -> None:
    text = json.loads((model / "bundle.json").read_text())
    many = 100_000  # of 2048 features each: 800 MB
    text["backbone"] = "resnet50"
    text["hierarchy"] |= {
        "sub_names": [str(i) for i in range(many)],
        "sub_to_super": [0, 1] * (many // 2),
        "sub_ids": [i + 3 for i in range(many)],
    }
    (model / "bundle.json").write_text(json.dumps(text, separators=(",", ":")))
    program = """
import sys
from hierclf.bundle.directory import load_bundle
before = peak_memory()
try:
    load_bundle(sys.argv[1])
except ValueError as error:
    print((peak_memory() - before) >> 20, error)
"""
    command = [sys.executable, "-c", PEAK_MEMORY + program, str(model)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, _, said = run.stdout.partition(" ")
    assert "model.safetensors lacks backbone." in said
    assert 0 < int(grown) < 200  # MiB: torchvision, and the description as Python objects


@pytest.mark.parametrize("name", ["bundle.json", "thresholds.json"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "no valid JSON"),
        ("[]", "holds no JSON object, but list"),
        ('{"schema": 1' + "0" * 5000 + "}", "no valid JSON"),
        ('{"a": "\ud800"}', "no valid JSON"),
        ("{}" + " " * (16 * 2**20), "more than the limit"),
    ],
    ids=["deep", "list", "digits", "surrogate", "large"],
)
def test_senseless_json_is_one_line(model: Path, name: str, text: str, reason: str) -> None:
    (model / name).write_bytes(text.encode(errors="surrogatepass"))
    if name != "bundle.json":
        sign(model)
    assert reason in message(model)


@pytest.mark.parametrize("tau", ["1e999", "1" + "0" * 400, '"0.5"', "null", "[0]", "true"])
def test_a_threshold_that_is_no_number_is_refused(model: Path, tau: str) -> None:
    path = model / "thresholds.json"
    text = json.dumps({**json.loads(path.read_text()), "super_tau": 77})
    path.write_text(text.replace("77", tau))
    sign(model)
    message(model)
    message(model, load_card)


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"temperature": 2.0', '"temperature": 1e-45', "super_prob=nan"),
        ('"super_score": "msp"', '"super_score": "1e300*msp"', "super_score="),
    ],
)
def test_a_prediction_that_is_no_number_is_refused(
    model: Path, old: str, new: str, said: str
) -> None:
    path = model / "thresholds.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    sign(model)
    line = message(model, lambda place: predict_images(load_bundle(place), pictures(2)))
    assert f"must give finite numbers, but got {said}" in line
    assert line.endswith(f"for {pictures(2)[0][0]}")


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_pipe_in_a_files_place_is_not_waited_for(model: Path, name: str) -> None:
    (model / name).unlink()
    os.mkfifo(model / name)
    message(model, READERS.get(name, load_bundle))


def test_a_file_that_is_not_listed_is_refused(model: Path) -> None:
    (model / "thresholds.json").rename(model / "mine")
    sign(model)
    (model / "mine").rename(model / "thresholds.json")
    assert "must list the checksum of thresholds.json" in message(model)
    assert "must list the checksum of thresholds.json" in message(model, load_card)
