"""Claims about the shared cache of decoded images."""

import io
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from hierclf.data import cache as cache_module
from hierclf.data.cache import default_cache_dir, load_cache, open_cache, read_rows
from tests.layouts import HIERARCHY, make_source, pixels_of, png_of, with_bytes


def refuse(index: int) -> NoReturn:
    raise AssertionError(f"image {index} was read")


def test_the_cache_holds_each_decoded_image_in_order(tmp_path: Path) -> None:
    source = make_source()
    cache = open_cache(source, size=None, directory=tmp_path)
    assert cache.images.shape == (12, 8, 8, 3)
    pixels = pixels_of(cache)
    assert pixels.dtype == np.uint8
    for i in range(12):
        data = source.read(i)
        assert isinstance(data, bytes)
        np.testing.assert_array_equal(pixels[i], np.asarray(Image.open(io.BytesIO(data))))
    assert cache.names == source.images
    np.testing.assert_array_equal(cache.super_labels, source.super_labels)
    np.testing.assert_array_equal(cache.sub_labels, source.sub_labels)
    assert cache.hierarchy == HIERARCHY
    assert cache.quarantine.empty


def test_a_second_open_reads_no_image(tmp_path: Path) -> None:
    source = make_source()
    first = open_cache(source, size=None, directory=tmp_path)
    calls: list[tuple[int, int]] = []
    second = open_cache(
        replace(source, read=refuse),
        size=None,
        directory=tmp_path,
        progress=lambda done, total: calls.append((done, total)),
    )
    np.testing.assert_array_equal(first.images, second.images)
    assert second.fingerprint == first.fingerprint
    assert calls == []


def test_the_array_is_read_only(tmp_path: Path) -> None:
    cache = open_cache(make_source(), size=None, directory=tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        pixels_of(cache)[0] = 0


def test_content_and_size_key_the_cache(tmp_path: Path) -> None:
    source = make_source()
    keys = {
        open_cache(source, size=None, directory=tmp_path).fingerprint,
        open_cache(source, size=4, directory=tmp_path).fingerprint,
        open_cache(replace(source, fingerprint="f1"), size=4, directory=tmp_path).fingerprint,
    }
    assert len(keys) == 3


def test_a_set_size_gives_squares(tmp_path: Path) -> None:
    cache = open_cache(make_source(shape=(6, 10)), size=4, directory=tmp_path)
    assert cache.images.shape == (12, 4, 4, 3)


def test_a_common_size_that_is_not_square_is_kept(tmp_path: Path) -> None:
    cache = open_cache(make_source(shape=(6, 10)), size=None, directory=tmp_path)
    assert cache.images.shape == (12, 6, 10, 3)


def test_mixed_sizes_become_squares_of_256(tmp_path: Path) -> None:
    source = with_bytes(make_source(), {11: png_of(np.full((30, 20, 3), 7, dtype=np.uint8))})
    cache = open_cache(source, size=None, directory=tmp_path)
    assert cache.images.shape == (12, 256, 256, 3)
    assert (pixels_of(cache)[11] == 7).all()


def test_arrays_from_a_source_are_taken_as_they_are(tmp_path: Path) -> None:
    source = make_source(read=lambda i: np.full((8, 8, 3), i, dtype=np.uint8))
    cache = open_cache(source, size=None, directory=tmp_path)
    assert pixels_of(cache)[:, 0, 0, 0].tolist() == list(range(12))


def test_unreadable_images_are_listed_and_left_out(tmp_path: Path) -> None:
    source = make_source()
    whole = source.read(4)
    assert isinstance(whole, bytes)
    source = with_bytes(source, {0: b"", 4: whole[:60]})
    for _ in range(2):  # built, then opened again
        cache = open_cache(source, size=None, directory=tmp_path, max_bad_share=0.2)
        assert cache.quarantine.image.tolist() == ["0.png", "4.png"]
        assert "empty" in cache.quarantine.reason[0]
        assert cache.quarantine.reason[1]
        assert len(cache.images) == len(cache.names) == len(cache.sub_labels) == 10
        assert "4.png" not in cache.names
        np.testing.assert_array_equal(cache.sub_labels, np.delete(source.sub_labels, [0, 4]))


def test_every_named_image_is_either_cached_or_in_quarantine(tmp_path: Path) -> None:
    source = with_bytes(make_source(), {3: b"text", 7: b""})
    cache = open_cache(source, size=None, directory=tmp_path, max_bad_share=0.5)
    assert sorted(cache.names + cache.quarantine.image.tolist()) == sorted(source.images)


@pytest.mark.parametrize("opened_before", [False, True])
def test_too_many_unreadable_images_stop_with_count_share_and_reason(
    tmp_path: Path, opened_before: bool
) -> None:
    source = with_bytes(make_source(), {3: b"", 7: b""})
    if opened_before:
        open_cache(source, size=None, directory=tmp_path, max_bad_share=0.5)
    with pytest.raises(ValueError, match=r"2 of 12 images \(16\.7%\) .*0\.01.*3\.png: .*empty"):
        open_cache(source, size=None, directory=tmp_path)


def test_no_readable_image_at_all_is_an_error(tmp_path: Path) -> None:
    source = make_source(read=lambda i: b"no image")
    with pytest.raises(ValueError, match="none of the 12 images can be read"):
        open_cache(source, size=None, directory=tmp_path, max_bad_share=1.0)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_class_left_with_one_image_stops(tmp_path: Path) -> None:
    source = with_bytes(make_source(per_class=2), {2: b""})
    with pytest.raises(ValueError, match=r"at least 2 readable images, but 'pug' has 1"):
        open_cache(source, size=None, directory=tmp_path, max_bad_share=0.5)


def cut_images(path: Path) -> None:
    data = (path / "images.u8").read_bytes()
    (path / "images.u8").write_bytes(data[:-1])


def drop_labels(path: Path) -> None:
    (path / "sub_labels.npy").unlink()


def shorten_labels(path: Path) -> None:
    np.save(path / "super_labels.npy", np.zeros(3, dtype=np.int64))


def break_meta(path: Path) -> None:
    (path / "meta.json").write_text('{"shape": [12')


def other_fingerprint(path: Path) -> None:
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | {"fingerprint": "other"}))


def pickled_labels(path: Path) -> None:
    np.save(path / "sub_labels.npy", np.array([{}] * 12, dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [cut_images, drop_labels, shorten_labels, break_meta, other_fingerprint, pickled_labels],
)
def test_a_damaged_cache_is_built_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    source = make_source()
    first = open_cache(source, size=None, directory=tmp_path)
    assert first.path is not None
    expected = np.array(first.images)
    damage(first.path)
    again = open_cache(source, size=None, directory=tmp_path)
    np.testing.assert_array_equal(again.images, expected)
    np.testing.assert_array_equal(again.sub_labels, source.sub_labels)


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match=rf"`size >= 1` must hold .* size={size}"):
        open_cache(make_source(), size=size, directory=tmp_path)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ValueError, match="max_bad_share"):
        open_cache(make_source(), size=None, directory=tmp_path, max_bad_share=share)


def resident_file_bytes() -> int:
    """What the process holds of mapped files (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
@pytest.mark.parametrize("rows", [np.arange(16), slice(0, 16)], ids=["rows", "slice"])
def test_what_was_read_of_a_large_map_does_not_stay_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 1024, 1024, 3), dtype=np.uint8)
    images.tofile(tmp_path / "images.u8")
    mapped = np.memmap(tmp_path / "images.u8", dtype=np.uint8, mode="r", shape=images.shape)
    before = resident_file_bytes()
    for limit, stays in ((1 << 30, True), (1 << 20, False)):
        monkeypatch.setattr(cache_module, "KEPT_BYTES", limit)
        batch = read_rows(mapped, rows)
        np.testing.assert_array_equal(batch, images)
        assert (resident_file_bytes() - before > 20e6) is stays


def test_load_cache_refuses_what_is_no_cache(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a complete image cache"):
        load_cache(tmp_path)


def _count_reads(directory: str, queue: Any) -> None:
    source = make_source()
    reads: list[int] = []

    def read(index: int) -> Any:
        reads.append(index)
        return source.read(index)

    cache = open_cache(replace(source, read=read), size=None, directory=Path(directory))
    queue.put((len(reads), int(pixels_of(cache).sum())))


def test_of_two_processes_one_builds_and_both_open(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=_count_reads, args=(str(tmp_path), queue)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(reads for reads, _ in results) == [0, 12]
    assert results[0][1] == results[1][1]


def test_the_default_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIERCLF_CACHE", str(tmp_path / "c"))
    assert default_cache_dir() == tmp_path / "c"
    monkeypatch.delenv("HIERCLF_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "hierclf"


def test_the_content_is_that_of_pixels_and_labels_and_not_of_files(tmp_path: Path) -> None:
    source = make_source()
    content = open_cache(source, size=None, directory=tmp_path).content
    order = np.arange(12)[::-1]
    renamed = replace(
        source,
        fingerprint="later",
        images=[f"other{i}.png" for i in order],
        super_labels=source.super_labels[order],
        sub_labels=source.sub_labels[order],
        read=lambda i: source.read(11 - i),
    )
    assert open_cache(renamed, size=None, directory=tmp_path).content == content
    labels = source.sub_labels.copy()
    labels[:2] = labels[[4, 5]]
    for changed in (
        replace(with_bytes(source, {3: png_of(np.zeros((8, 8, 3), np.uint8))}), fingerprint="a"),
        replace(source, sub_labels=labels, fingerprint="b"),
    ):
        assert open_cache(changed, size=None, directory=tmp_path).content != content
