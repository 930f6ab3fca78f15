"""A bucket for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.bucket_server import Bucket, bucket_server


@pytest.fixture(scope="session")
def server() -> Iterator[Bucket]:
    with bucket_server() as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, and an empty cache on this machine."""
    monkeypatch.setenv("HIERCLF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hierclf.storage.store.PAUSES_S", (0.01, 0.02, 0.03))
    yield server
    server.clear()
