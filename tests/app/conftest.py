"""A tiny model directory with names of its training images, and some pictures as files."""

from pathlib import Path

import pytest

from tests.tiny_models import encoded, picture, save_tiny_model


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Eight pictures, 0.png to 7.png."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    return sorted(folder.iterdir())
