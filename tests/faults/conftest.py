"""Tests that inject a fault into a real run: `pytest -m faults`; any other call leaves them out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import small_disk
from tests.searches import Place


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.faults)
    if "faults" not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="module")
def apart(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Results of the module's own; the image cache is shared."""
    return place._replace(results=tmp_path_factory.mktemp("apart") / "results")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 2 MB."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder
