"""Claims about space for files that are written through a memory map."""

import errno
import os
import resource
from pathlib import Path

import pytest

from hierclf.io.reserve import reserve


@pytest.fixture(params=["posix_fallocate", "written"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "written":  # as on macOS and Windows
        monkeypatch.delattr(os, "posix_fallocate")
    return str(request.param)


@pytest.mark.parametrize("n_bytes", [1, 4096, 20 * 2**20 + 3])
def test_the_file_has_its_bytes_and_their_place_on_the_disk(
    tmp_path: Path, way: str, n_bytes: int
) -> None:
    with (tmp_path / "bank").open("w+b") as file:
        file.write(b"head")
        reserve(file, n_bytes)
    found = (tmp_path / "bank").stat()
    assert found.st_size == 4 + n_bytes
    assert found.st_blocks * 512 >= 4 + n_bytes
    assert (tmp_path / "bank").read_bytes() == b"head" + bytes(n_bytes)


def test_no_room_is_an_error_at_once(tmp_path: Path, way: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with (
            pytest.raises(OSError, match=os.strerror(errno.EFBIG)),
            (tmp_path / "bank").open("w+b") as file,
        ):
            reserve(file, 2**21)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
