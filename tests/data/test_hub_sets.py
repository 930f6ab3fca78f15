"""Claims about data sets of the Hugging Face Hub, by the real client and a server of our own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.sources import absolute, inspect_source
from tests.hub_server import HubServer, hub
from tests.layouts import png, text_columns

pytest.importorskip("huggingface_hub")

# The endpoint is read when the client is imported: a process of its own.
OPEN = """
import json, sys
from hierclf.data.sources import inspect_source
for address in sys.argv[1:]:
    source, problems = inspect_source(address)
    found = source and [source.images, source.hierarchy.sub_names, source.fingerprint]
    print(json.dumps([found, [[p.where, p.what] for p in problems]]))
"""


def opened(url: str, cache: Path, *addresses: str) -> list[Any]:
    """What each address gives: [images, sub-classes, fingerprint] or None, and problems."""
    steering = {"HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(cache / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *addresses],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **steering, "HIERCLF_CACHE": str(cache)},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def parquet(names: dict[str, str] | None = None) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(text_columns()).replace_schema_metadata(names), buffer)
    return buffer.getvalue().to_pybytes()


def tree() -> dict[str, bytes]:
    names = ["bird/owl/1.png", "bird/owl/2.png", "dog/pug/3.PNG", "dog/pug/4.png"]
    return {f"photos/{name}": png(i) for i, name in enumerate(names)} | {"loader.py": b"1/0"}


SETS = {
    "me/one": {"data/train-0.parquet": parquet(), "data/test-0.parquet": parquet(), "a.md": b""},
    "me/deep": {"config/train-0.parquet": parquet(), "pictures/1.png": png(1)},
    "me/two": {"a/train-0.parquet": parquet(), "b/train-0.parquet": parquet()},
    "me/tree": tree(),
    "me/code": {"loader.py": b"1/0", ".git/0.parquet": b""},
}


def test_sets_are_downloaded_once_and_are_there_without_a_network(tmp_path: Path) -> None:
    rows = [[str(i) for i in range(6)], ["hen", "owl", "pug"]]
    addresses = ["hf://me/one", "hf://datasets/me/deep", "hf://me/two/b/", "hf://me/tree/photos"]
    with hub(SETS) as server:
        first = opened(server.url, tmp_path, *addresses)
        assert sorted(server.fetched) == [
            *("b/train-0.parquet", "config/train-0.parquet"),
            *("data/test-0.parquet", "data/train-0.parquet"),
            *("photos/bird/owl/1.png", "photos/bird/owl/2.png"),
            *("photos/dog/pug/3.PNG", "photos/dog/pug/4.png"),
        ]
    assert [found[:2] for found, _ in first[:3]] == [rows] * 3
    assert first[0][1] == [["test-0.parquet", "left out: only the train* files are read"]]
    assert first[3][0][1] == ["owl", "pug"]
    again = opened("http://127.0.0.1:9", tmp_path, *addresses, "hf://me/other")
    assert again[:4] == first
    ((_, ((where, what),)),) = again[4:]
    assert where == "hf://me/other"
    assert what.startswith("cannot be downloaded from the Hub: ")
    assert "\n" not in what


def test_what_the_hub_does_not_have_is_named(tmp_path: Path) -> None:
    addresses = ["hf://me/none", "hf://me/one@v2", "hf://me/code", "hf://me/two", "hf://me/one/c"]
    with hub(SETS) as server:
        answers = opened(server.url, tmp_path, *addresses)
        assert not server.fetched
    assert [found for found, _ in answers] == [None] * 5
    assert [problem for _, (problem,) in answers] == [
        [
            "hf://me/none",
            "the Hub shows no data set 'me/none'; if it is private or asks for consent, accept its "
            "terms there and run `hf auth login`",
        ],
        ["hf://me/one@v2", "me/one has no revision 'v2' on the Hub"],
        [
            "hf://me/code",
            "me/code has no Parquet file, table, tar, zip or image on the Hub; its copy in Parquet "
            "may be @refs%2Fconvert%2Fparquet",
        ],
        [
            "hf://me/two",
            "holds Parquet files in 2 folders, of which one must be named, such as hf://me/two/a",
        ],
        [
            "hf://me/one/c",
            "me/one/c has no Parquet file, table, tar, zip or image on the Hub; its copy in "
            "Parquet may be @refs%2Fconvert%2Fparquet",
        ],
    ]


def test_an_interrupted_download_is_no_set_and_is_continued(tmp_path: Path) -> None:
    def interrupted(server: HubServer) -> None:
        server.broken.add("photos/dog/pug/4.png")
        ((found, ((_, what),)),) = opened(server.url, tmp_path, "hf://me/tree/photos")
        assert found is None
        assert what.startswith("cannot be downloaded from the Hub: ")
        server.broken.clear()

    with hub(SETS) as server:
        interrupted(server)
        ((found, problems),) = opened(server.url, tmp_path, "hf://me/tree/photos")
        assert (len(found[0]), problems) == (4, [])
        assert len(server.fetched) == len(set(server.fetched)) == 4


def test_a_set_has_the_same_fingerprint_on_every_machine(tmp_path: Path) -> None:
    with hub(SETS) as server:
        addresses = ("hf://me/one", "hf://me/tree/photos")
        (one, tree), (other, other_tree) = (
            opened(server.url, tmp_path / name, *addresses) for name in ("a", "b")
        )
    assert one[0][2] == other[0][2]
    assert tree[0][2] == other_tree[0][2]
    assert one[0][2] != tree[0][2]


@pytest.mark.parametrize("address", ["hf://", "hf://a", "hf://a/b/../c", "hf://a/b@c@d", "hf:///b"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    source, ((where, what, _),) = inspect_source(address)
    assert source is None
    assert where == address
    assert what == (
        "a set of the Hub must be hf://OWNER/NAME, hf://OWNER/NAME@REVISION or "
        f"hf://OWNER/NAME/FOLDER, but got {address!r}"
    )


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIERCLF_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    _, ((_, what, _),) = inspect_source("hf://me/one")
    assert what == "a set of the Hub needs huggingface_hub (`pip install 'hierclf[hub]'`)"


def test_a_name_is_the_same_set_in_every_folder() -> None:
    assert absolute("hf://me/one") == "hf://me/one"
    assert absolute("torchvision:DTD") == "torchvision:DTD"
