"""Claims about near-copies: one picture encoded, sized or lit anew is found, another one is not."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hierclf.data.cache import open_cache
from hierclf.data.near_copies import HASHES, image_hash, near_copies, open_hashes
from tests.layouts import make_source, pixels_of
from tests.tiny_models import picture


def encoded_anew(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=25)
    return Image.open(out).convert("RGB")


def sized_anew(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.resize((width // 2, height // 2)).resize((width, height))


def lit_anew(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.2)


def hashes_of(images: list[Image.Image]) -> np.ndarray:
    return np.stack([image_hash(np.asarray(image)) for image in images])


def photograph(seed: int) -> Image.Image:
    """Smooth random colours, as coarse structure of a photograph, with fine grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 200, (16, 16, 3), dtype=np.uint8))
    fine = np.asarray(coarse.resize((96, 96), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((fine + rng.integers(0, 20, fine.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("change", [encoded_anew, sized_anew, lit_anew])
def test_a_changed_copy_is_found_among_other_images(change: object) -> None:
    images = [photograph(i) for i in range(60)]
    copies = [change(images[i]) for i in (5, 17, 40)]  # type: ignore[operator]
    assert near_copies(hashes_of(images + copies)).tolist() == [[5, 60], [17, 61], [40, 62]]


def test_the_pairs_are_those_that_comparing_all_with_all_gives() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**64, (40, 2), dtype=np.uint64)
    hashes = np.repeat(centres, 8, axis=0)
    for _ in range(9):
        flips = rng.random(hashes.shape) < 0.4
        hashes ^= np.where(flips, np.uint64(1) << rng.integers(0, 64, hashes.shape, np.uint64), 0)
    hashes = np.unique(hashes, axis=0)
    expected = [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if int(hashes[i, 0] ^ hashes[j, 0]).bit_count() <= 5
        and int(hashes[i, 1] ^ hashes[j, 1]).bit_count() <= 8
    ]
    assert len(expected) > 100
    assert near_copies(hashes).tolist() == expected


def test_many_equal_images_are_each_paired_with_the_first() -> None:
    hashes = np.full((5000, 2), 7, dtype=np.uint64)
    pairs = near_copies(hashes)
    assert pairs[:, 0].max() == 0
    assert pairs[:, 1].tolist() == list(range(1, 5000))


def test_hashes_are_computed_once_and_kept_beside_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(make_source(per_class=30), size=None, directory=tmp_path)
    found = open_hashes(cache)
    assert found is not None
    np.testing.assert_array_equal(found, [image_hash(image) for image in pixels_of(cache)])
    assert cache.path is not None
    assert (cache.path / HASHES).is_file()
    monkeypatch.setattr("hierclf.data.near_copies.image_hash", lambda image: 1 / 0)
    np.testing.assert_array_equal(open_hashes(cache), found)
    with pytest.raises(ZeroDivisionError):
        open_hashes(replace(cache, path=None))


def test_images_without_structure_are_copies_of_none() -> None:
    flat = [Image.new("RGB", (40, 40), (i, 0, 0)) for i in range(5)]
    assert not len(near_copies(hashes_of(flat)))


def test_a_hash_takes_any_size() -> None:
    for size in ((1, 1), (3, 200), (500, 2)):
        assert image_hash(np.asarray(picture(0, size))).shape == (2,)
