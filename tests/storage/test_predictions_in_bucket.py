"""Claims about predictions from a bucket into a bucket, as a worker makes them."""

from pathlib import Path

import pandas as pd
import pytest

from hierclf.storage.remote_reader import UnreachableError
from tests.predictions import begun, image_bytes, place_of_predictions, plain, rows_of, work
from tests.storage.bucket_server import Bucket

NEW, OUT = "s3://bucket/new", "s3://bucket/out/one"


@pytest.fixture
def place(bucket: Bucket, tmp_path: Path) -> Path:
    """The same images in a folder and in the bucket."""
    bucket.put({f"new/{name}": data for name, data in image_bytes().items()})
    return place_of_predictions(tmp_path)


def test_rows_are_those_of_a_folder_and_no_image_is_copied(
    bucket: Bucket, place: Path, tmp_path: Path
) -> None:
    job, parts = begun(place, OUT, NEW)
    assert not [path for path in bucket.proxy.fetched() if "/new/" in path]  # only listed
    work(job, parts, job.shards[:2])
    assert len({path for path in bucket.proxy.fetched() if "/new/" in path}) == 8
    work(job, parts, job.shards[2:])
    rows = rows_of(bucket.files("out/one/"))
    pd.testing.assert_frame_equal(rows, plain(place)[0], check_exact=True)
    assert not (tmp_path / "cache").exists()


def test_a_second_start_goes_on_with_the_parts_that_are_missing(
    bucket: Bucket, place: Path
) -> None:
    job, parts = begun(place, OUT, NEW)
    first = work(job, parts, job.shards[1:4])
    again, _ = begun(place, OUT, NEW)
    assert again.done == first
    assert again.missing == [job.shards[0], *job.shards[4:]]


def test_another_image_in_the_bucket_is_another_prediction(bucket: Bucket, place: Path) -> None:
    begun(place, OUT, NEW)
    bucket.put({"new/5.png": image_bytes()["6.png"] + b" "})
    with pytest.raises(ValueError, match="s3://bucket/out/one was begun on other images"):
        begun(place, OUT, NEW)


def test_a_bucket_that_fails_ends_a_shard_instead_of_calling_its_images_unreadable(
    bucket: Bucket, place: Path
) -> None:
    job, parts = begun(place, OUT, NEW)
    bucket.proxy.fault = lambda method, path: "403" if "/new/" in path else None
    with pytest.raises(UnreachableError, match="ACCESS_DENIED"):
        work(job, parts, job.shards[:1])
    assert bucket.keys("out/one/part") == []


@pytest.mark.parametrize(
    ("out", "fault", "words"),
    [
        ("s3://nowhere/out", None, "s3://nowhere/out: .*NO_SUCH_BUCKET"),
        (OUT, "403", "s3://bucket/out/one.*: .*ACCESS_DENIED"),
    ],
)
def test_an_output_address_that_cannot_be_written_is_one_line(
    bucket: Bucket, place: Path, out: str, fault: str | None, words: str
) -> None:
    bucket.proxy.fault = lambda method, path: fault if method in ("PUT", "POST") else None
    with pytest.raises(ValueError, match=words) as refused:
        begun(place, out)
    assert "\n" not in str(refused.value)
