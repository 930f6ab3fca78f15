"""Claims about results in a bucket: the copy of a run's folder, and the way back."""

import time
from pathlib import Path

import pytest

from hierclf.config import load_config
from search.pipeline.bucket import MARKER, Results, bring_here, check_new, copied, results_at
from search.pipeline.job import run_job
from search.pipeline.opening import removed_on_error
from search.pipeline.options import RunOptions
from search.pipeline.run_folder import RunFolder
from tests.storage.bucket_server import Bucket

ADDRESS = "s3://bucket/results"
PREFIX = "results/runs/one/"


@pytest.fixture
def results(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setattr("search.pipeline.bucket.EVERY_S", 0.05)
    return results_at(ADDRESS)


def folder_in(results: Results, name: str = "one") -> RunFolder:
    folder = RunFolder(results.folder / "runs" / name)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.lock.touch()
    return folder


def write(folder: RunFolder, **files: str) -> None:
    for name, text in files.items():
        path = folder.path / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def held(folder: RunFolder) -> dict[str, bytes]:
    paths = [path for path in folder.path.rglob("*") if path.is_file()]
    files = {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in files.items() if not name.startswith(".")}


def sent(bucket: Bucket) -> dict[str, bytes]:
    files = bucket.files(PREFIX)
    # pyarrow leaves folders, empty objects whose names end with a slash.
    folders = {name for name in files if not name or name.endswith("/")}
    return {name: data for name, data in files.items() if name not in {*folders, MARKER}}


def wait_for(bucket: Bucket, name: str) -> None:
    until = time.monotonic() + 20
    while PREFIX + name not in bucket.keys(PREFIX):
        assert time.monotonic() < until, bucket.keys(PREFIX)
        time.sleep(0.02)


def test_the_bucket_follows_the_folder_and_gives_it_back(bucket: Bucket, results: Results) -> None:
    folder = folder_in(results)
    write(folder, options_json="{}")
    with copied(results, folder, new=True):
        assert sent(bucket) == {"options.json": b"{}"}
        write(folder, ray__search__a="1", ray__search__b="2")
        wait_for(bucket, "ray/search/b")
        (folder.path / "ray/search/a").unlink()
        write(folder, ray__search__b="22", best_json="{}", model__weights="w" * 100_000)
        (folder.path / ".draft.part").write_text("half")
        wait_for(bucket, "model/weights")
        write(folder, best_json='{"a": 1}')
    assert sent(bucket) == {
        **{"options.json": b"{}", "best.json": b'{"a": 1}', "ray/search/b": b"22"},
        "model/weights": b"w" * 100_000,
    }
    (folder.path / ".draft.part").unlink()
    here = held(folder)
    assert sent(bucket) == here
    results.folder.rename(results.folder.with_name("another machine"))
    bring_here(results, "one")
    assert held(folder) == here
    bucket.proxy.asked.clear()
    with copied(results, folder, new=False):
        pass
    assert [path for method, path in bucket.proxy.asked if method == "PUT"] == []


def test_files_are_sent_in_the_order_of_their_changes_and_the_marker_is_last(
    bucket: Bucket, results: Results
) -> None:
    folder = folder_in(results)
    for name in ("c", "a", "ray__z", "b"):
        write(folder, **{name: name})
        time.sleep(0.01)
    with copied(results, folder, new=True):
        puts = [p.partition("?")[0] for m, p in bucket.proxy.asked if m == "PUT"]
    own = [path.removeprefix(f"/bucket/{PREFIX}") for path in puts if not path.endswith("/")]
    assert own == ["c", "a", "ray/z", "b", MARKER]


def test_half_of_a_model_is_never_taken_for_a_model(bucket: Bucket, results: Results) -> None:
    folder = folder_in(results)
    write(folder, best_json="{}", ray__state="1")

    def interrupted() -> None:
        with copied(results, folder, new=True):
            bucket.proxy.fault = lambda method, path: (
                "403" if method != "GET" and "weights" in path else None
            )
            write(folder, model__bundle_json="{}")
            time.sleep(0.01)
            write(folder, model__weights="w")
            wait_for(bucket, "model/bundle.json")

    with pytest.raises(ValueError, match="the bucket lacks the last files") as caught:
        interrupted()
    assert "ACCESS_DENIED" in str(caught.value)
    assert f"which are in {folder.path}" in str(caught.value)
    assert str(caught.value).endswith("--resume one sends them")
    bucket.proxy.fault = None
    kept = held(folder)
    results.folder.rename(results.folder.with_name("first machine"))
    bring_here(results, "one")
    assert held(folder).keys() == {"best.json", "ray/state"}
    results.folder.rename(results.folder.with_name("second machine"))
    results.folder.with_name("first machine").rename(results.folder)
    bring_here(results, "one")
    with copied(results, folder, new=False):
        assert held(folder) == kept
    assert sent(bucket) == kept


def test_a_later_state_of_another_machine_is_taken_and_the_own_one_is_kept(
    bucket: Bucket, results: Results
) -> None:
    folder = folder_in(results)
    with copied(results, folder, new=True):
        write(folder, best_json="first")
    first = results.folder.with_name("first machine")
    results.folder.rename(first)
    bring_here(results, "one")
    with copied(results, folder, new=False):
        write(folder, summary_json="second")
    results.folder.rename(results.folder.with_name("second machine"))
    first.rename(results.folder)
    write(folder, lost_json="not sent")
    bring_here(results, "one")
    assert held(folder) == {"best.json": b"first", "summary.json": b"second"}
    (aside,) = results.folder.glob("runs/.one.2*")
    assert (aside / "lost.json").read_text() == "not sent"


def test_a_bucket_that_fails_meanwhile_does_not_end_a_search(
    bucket: Bucket, results: Results, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_in(results)
    with copied(results, folder, new=True):
        bucket.proxy.fault = lambda method, path: "403"
        write(folder, best_json="{}")
        until = time.monotonic() + 20
        while not caplog.messages and time.monotonic() < until:
            time.sleep(0.02)
        bucket.proxy.fault = None
        wait_for(bucket, "best.json")
    (said,) = caplog.messages
    assert said.startswith("the search continues and sends later: s3://bucket/results/runs/one/")


def test_a_run_that_was_never_begun_is_no_run_in_the_bucket(
    bucket: Bucket, results: Results
) -> None:
    folder = folder_in(results)
    write(folder, config="x")
    with (
        pytest.raises(ValueError, match="no images"),
        copied(results, folder, new=True),
        removed_on_error(folder),
    ):
        raise ValueError("no images")
    assert sent(bucket) == {}
    check_new(results, "one")


def test_names_are_checked_before_anything_starts(
    bucket: Bucket, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(name: str, address: str = ADDRESS) -> str:
        with pytest.raises(ValueError, match="//") as caught:
            run_job(load_config("demo"), name=name, results=address, options=RunOptions())
        return str(caught.value)

    write(folder_in(results), config="x")
    with copied(results, folder_in(results), new=True):
        pass
    results.folder.rename(results.folder.with_name("first machine"))
    taken = "--name must be new, but s3://bucket/results/runs/one exists; resume it with"
    assert begin("one") == f"{taken} --resume one"
    with pytest.raises(ValueError, match="must name a run in s3://bucket/results"):
        bring_here(results, "two")
    assert "NO_SUCH_BUCKET" in begin("two", "s3://gone/results")
    assert begin("two", "nope://x").startswith("nope://x/runs/two: no store is called nope://")
    bucket.proxy.fault = lambda method, path: "403" if method in ("PUT", "POST") else None
    assert "ACCESS_DENIED" in begin("two")
    assert not list(results.folder.glob("runs/two"))
    bucket.proxy.fault = None
    monkeypatch.setenv("HIERCLF_CACHE", str(results.folder / "elsewhere"))
    with pytest.raises(ValueError, match=f"worked in {folder_in(results).path}, which Ray's state"):
        bring_here(results_at(ADDRESS), "one")


def test_results_without_a_bucket_are_a_folder(tmp_path: Path) -> None:
    assert results_at(tmp_path) == results_at(f"file://{tmp_path}") == Results(tmp_path, None)
    assert results_at("results").typed == Path("results")
