"""Claims about the names of training images in a model directory: optional, checked, bounded."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.bundle.training_images_file import load_training_images, save_training_images
from tests.tiny_models import (
    TRAINING_IMAGES,
    TRAINING_LABELS,
    save_tiny_model,
    sign,
    tiny_bundle,
)

FILE = "training_images.parquet"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def message(directory: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as caught:
        load_training_images(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_and_classes_survive_the_round_trip(model: Path) -> None:
    images = load_training_images(model)
    assert list(images.names) == TRAINING_IMAGES
    assert images.sub_labels.tolist() == TRAINING_LABELS
    save_training_images(model, ["ü/ß.png", "b\n.png"], [3, 0])
    assert list(load_training_images(model).names) == ["ü/ß.png", "b\n.png"]


def test_a_directory_without_names_loads_and_says_so_when_asked(model: Path) -> None:
    (model / FILE).unlink()
    load_bundle(model)
    assert message(model) == f"{model} has no {FILE}"


def test_another_network_has_no_names_until_it_is_given_some(model: Path) -> None:
    save_bundle(tiny_bundle(), model)
    assert not (model / FILE).exists()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda t: t.drop_columns("image"), "its columns are"),
        (lambda t: t.append_column("more", t["image"]), "its columns are"),
        (lambda t: t.set_column(1, "sub_label", [pa.array([0, 1, 2, 3, 4, 0])]), "is in 0..4"),
        (lambda t: t.set_column(1, "sub_label", [pa.array([0.0] * 6)]), "its columns are"),
        (lambda t: t.set_column(0, "image", [pa.array([None, *"abcde"])]), "1 empty cells"),
        (lambda t: t.set_column(0, "image", [pa.array(["a" * 5000, *"abcde"])]), "of 5000 bytes"),
        (lambda t: pa.concat_tables([t] * 10_000), "it has 60000 rows"),
    ],
)
def test_what_is_not_a_list_of_names_is_refused(
    model: Path, edit: Callable[[pa.Table], pa.Table], said: str
) -> None:
    pq.write_table(edit(pq.read_table(model / FILE)), model / FILE)
    sign(model)
    line = message(model)
    assert line.startswith(f"{model / FILE} must name training images, but ")
    assert said in line


def test_a_damaged_file_is_refused(model: Path) -> None:
    (model / FILE).write_bytes((model / FILE).read_bytes() + b" ")
    assert "must match its checksum" in message(model)
