"""Claims about fetching under faults: 503s, cut connections, denied access, Ctrl-C, kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hierclf.storage.fetch import fetch
from tests.storage.bucket_server import Bucket

FILES = {f"set/{i}.bin": bytes([i]) * 1000 for i in range(6)}
FETCH = """
import sys, pathlib
from hierclf.errors import one_line_errors
from hierclf.storage.fetch import fetch
with one_line_errors("fetch", debug=False):
    fetch("s3://bucket/set", pathlib.Path(sys.argv[1]))
"""


def held(cache: Path, text: str = "s3://bucket/set") -> dict[str, bytes]:
    folder = fetch(text, cache).place
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f"set/{path.relative_to(folder)}": path.read_bytes() for path in files}


@pytest.mark.parametrize("fault", ["503", "cut", "slow"])
def test_what_a_bad_network_delays_arrives_whole(
    bucket: Bucket, tmp_path: Path, fault: str
) -> None:
    bucket.put(FILES)
    met: set[str] = set()

    def first_time(method: str, path: str) -> str | None:
        if path in met:
            return None
        met.add(path)
        return fault

    bucket.proxy.fault = first_time
    assert held(tmp_path) == FILES
    assert len(met) > len(FILES)


@pytest.mark.parametrize(
    ("fault", "says"), [("503", "HTTP status 503"), ("403", "AWS Error ACCESS_DENIED")]
)
def test_a_store_that_does_not_give_a_file_is_one_line_and_the_others_stay(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, says: str
) -> None:
    monkeypatch.setattr("hierclf.storage.store.PAUSES_S", ())  # pyarrow alone tries for 6 s
    bucket.put(FILES)
    bucket.proxy.fault = lambda method, path: fault if "3.bin" in path else None
    with pytest.raises(ValueError, match=r"^s3://bucket/set/3\.bin: ") as caught:
        fetch("s3://bucket/set", tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    before = len(bucket.proxy.fetched())
    bucket.proxy.fault = None
    assert held(tmp_path) == FILES
    assert len(bucket.proxy.fetched()) - before < len(FILES)


def test_a_large_file_goes_on_where_it_was_interrupted(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.storage.fetch._BLOCK", 1000)
    content = os.urandom(10_500)
    bucket.put({"set/big.bin": content})
    count = [0]

    def later(method: str, path: str) -> str | None:
        count[0] += method == "GET" and "big" in path
        return "403" if count[0] > 6 else None

    bucket.proxy.fault = later
    with pytest.raises(ValueError, match="ACCESS_DENIED"):
        fetch("s3://bucket/set", tmp_path)
    bucket.proxy.fault, bucket.proxy.asked = None, []
    assert held(tmp_path) == {"set/big.bin": content}
    assert len(bucket.proxy.fetched()) == 5


def test_a_file_that_changes_while_it_is_fetched_is_never_a_mixture(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.storage.fetch._BLOCK", 1000)
    bucket.put({"set/big.bin": b"a" * 5000})
    time.sleep(1)  # S3 tells times in seconds
    count = [0]

    def replaced(method: str, path: str) -> str | None:
        count[0] += method == "GET" and "big" in path
        if count[0] == 3:
            bucket.put({"set/big.bin": b"b" * 5000})
            count[0] += 1
        return None

    bucket.proxy.fault = replaced
    with pytest.raises(ValueError, match="has changed while it was fetched"):
        fetch("s3://bucket/set", tmp_path)
    assert held(tmp_path) == {"set/big.bin": b"b" * 5000}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_keeps_what_is_whole_and_goes_on(
    bucket: Bucket, tmp_path: Path, number: signal.Signals
) -> None:
    files = {f"set/{i:02d}.bin": bytes([i]) * 1000 for i in range(40)}
    bucket.put(files)
    bucket.proxy.fault = lambda method, path: "slow"
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.bin"))) < 8 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert said == ("fetch: stopped\n" if number == signal.SIGINT else "")
    there = len(list(tmp_path.rglob("*.bin")))
    assert 8 <= there < len(files)
    bucket.proxy.fault, bucket.proxy.asked = None, []
    assert held(tmp_path) == files
    # One that was whole and had no name yet is not fetched again.
    assert len(files) - there - 16 <= len(set(bucket.proxy.fetched())) <= len(files) - there
