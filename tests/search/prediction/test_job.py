"""Claims about predictions in parts: their rows, and what a second start of one does."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierclf.commands.prediction_tables import ids_of_model, read_classes
from hierclf.commands.tally import Tally
from search.prediction.job import divide, images_in_a_shard
from tests.predictions import (
    BAD,
    N_IMAGES,
    begun,
    files_in,
    place_of_predictions,
    plain,
    rows_of,
    work,
)
from tests.tiny_models import picture, save_tiny_model


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return place_of_predictions(tmp_path)


def test_parts_in_order_of_names_hold_exactly_the_rows_of_a_plain_prediction(place: Path) -> None:
    job, parts = begun(place, place / "out")
    tallies = work(job, parts, job.missing)
    rows, tally = plain(place)
    pd.testing.assert_frame_equal(rows_of(files_in(place / "out")), rows, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(place / "out"), rows, check_exact=True)
    assert len(job.shards) == 6
    together = Tally(left_out=job.images.left_out)
    for shard in job.shards:
        together.add(tallies[shard.part])
    assert together == tally
    assert [name for name, _ in together.unreadable] == list(BAD)


def test_a_second_start_knows_what_is_done_and_leaves_it_alone(place: Path) -> None:
    job, parts = begun(place, place / "out")
    first = work(job, parts, job.shards[:3])
    before = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*.parquet")}
    assert len(before) == 3
    again, parts = begun(place, place / "out")
    assert again.done == first
    assert again.missing == job.shards[3:]
    work(again, parts, again.missing)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    last, _ = begun(place, place / "out")
    assert last.missing == []
    pd.testing.assert_frame_equal(rows_of(files_in(place / "out")), plain(place)[0])


def test_a_part_that_is_damaged_and_a_draft_of_a_killed_process_are_not_done(place: Path) -> None:
    job, parts = begun(place, place / "out")
    work(job, parts, job.shards[:2])
    (place / "out" / "part-00001.parquet").write_bytes(b"PAR1 and no more")
    (place / "out" / ".part-00002.parquet.1.part").write_bytes(b"half")
    again, parts = begun(place, place / "out")
    assert again.missing == job.shards[1:]
    parts.remove_drafts()
    assert not list((place / "out").glob(".*"))


def other_thresholds(place: Path) -> dict[str, Any]:
    from hierclf.rules.rule import LevelRule, Rule

    save_tiny_model(place / "model", Rule(LevelRule("msp", 0.4), LevelRule("knn", 0.967)))
    return {}


def another_image(place: Path) -> dict[str, Any]:
    picture(99).save(place / "images" / "7.png")
    return {}


def one_more_image(place: Path) -> dict[str, Any]:
    picture(99).save(place / "images" / "99.png")
    return {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_thresholds, "was begun with another model, or other thresholds"),
        (another_image, "was begun on other images"),
        (one_more_image, "was begun on other images"),
        (lambda _: {"reading": {"keep_truncated": True}}, "was begun on other images"),
        (lambda _: {"batch_size": 8}, "was begun with --batch-size 4"),
    ],
)
def test_parts_of_another_prediction_are_refused_and_left_alone(
    place: Path, change: Any, words: str
) -> None:
    job, parts = begun(place, place / "out")
    work(job, parts, job.shards[:1])
    before = files_in(place / "out")
    options = change(place)
    with pytest.raises(ValueError, match=words) as refused:
        begun(place, place / "out", **options)
    assert "\n" not in str(refused.value)
    assert files_in(place / "out") == before


def test_what_could_not_end_well_is_refused_in_one_line(place: Path) -> None:
    (place / "full").mkdir()
    (place / "full" / "of.txt").write_text("other things")
    (place / "empty").mkdir()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"out": place / "full"}, r"new or empty folder, .* holds other files \(first: of.txt\)"),
        ({"out": place / "full" / "of.txt"}, "must be a folder, but .* is a file"),
        ({"out": place / "no" / "out"}, "must lie in a folder, but .*no does not exist"),
        ({"out": "nostore://out"}, "no store is called nostore://"),
        ({"images": place / "empty"}, "must hold at least one image"),
        ({"images": place / "none"}, "no file, folder or pattern"),
    ]
    for options, words in cases:
        with pytest.raises(ValueError, match=words) as refused:
            begun(place, **{"out": place / "out", **options})
        assert "\n" not in str(refused.value)
    assert not (place / "out").exists()
    (place / "model" / "thresholds.json").unlink()
    with pytest.raises(ValueError, match=r"must hold thresholds.json, but .* has none"):
        begun(place, place / "out")
    shutil.rmtree(place / "model")
    with pytest.raises(ValueError, match="model"):
        begun(place, place / "out")


def test_an_existing_empty_folder_is_as_good_as_a_new_one(place: Path) -> None:
    (place / "out").mkdir()
    job, parts = begun(place, place / "out")
    work(job, parts, job.missing)
    assert len(rows_of(files_in(place / "out"))) == N_IMAGES - len(BAD)


def test_evaluation_reads_the_parts_as_one_table(place: Path) -> None:
    job, parts = begun(place, place / "out")
    work(job, parts, job.missing)
    plain(place)
    ids = ids_of_model(place / "model")
    found = read_classes(place / "out", ids)
    assert list(found.items()) == list(read_classes(place / "plain.parquet", ids).items())
    with pytest.raises(ValueError, match=r"images must hold \.parquet files, but holds none"):
        read_classes(place / "images", ids)


@given(st.integers(1, 10**7), st.integers(1, 512))
def test_shards_are_whole_batches_cover_all_images_and_are_of_bounded_size(
    n_images: int, batch_size: int
) -> None:
    size = images_in_a_shard(n_images, batch_size)
    assert size % batch_size == 0
    assert batch_size <= size < 8192 + batch_size
    shards = divide(n_images, size)
    assert [shard.start for shard in shards] == [0, *(shard.stop for shard in shards[:-1])]
    assert shards[-1].stop == n_images
    parts = [shard.part for shard in shards]
    assert parts == sorted(set(parts))
    few_batches = n_images <= 64 * batch_size
    assert few_batches or len(shards) >= 32 or size >= 8192
