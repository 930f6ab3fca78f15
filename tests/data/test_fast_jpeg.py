"""Claims about simplejpeg changing the speed of decoding and nothing else."""

import io
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hierclf.data import fast_jpeg as module
from hierclf.data.fast_jpeg import fast_jpeg
from hierclf.data.images import decode, read_rgb
from hierclf.data.sources import open_source
from tests.fuzz.mutate import mutate_bytes
from tests.image_bytes import encode

simplejpeg = pytest.importorskip("simplejpeg")

SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]
SIZES = [(1, 1), (3, 5), (8, 8), (16, 17), (33, 31), (64, 64), (101, 7)]


def picture(height: int, width: int) -> Image.Image:
    """Coarse colours with noise, so that upsampling, rounding and clipping all have work."""
    rng = np.random.default_rng(height * width)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = smooth + rng.integers(-40, 41, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def by_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def by_simplejpeg(data: bytes) -> np.ndarray | None:
    return fast_jpeg(data, Image.open(io.BytesIO(data)))


@contextmanager
def no_simplejpeg() -> Iterator[None]:
    """An environment without it."""
    module._decoder.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "simplejpeg", None)
        yield
    module._decoder.cache_clear()


def outcome(data: bytes) -> tuple[object, ...]:
    try:
        pixels = decode(data)
    except ValueError as error:
        return (str(error),)
    return pixels.shape, pixels.tobytes()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [5, 50, 90, 100])
def test_the_pixels_are_those_of_pillow(subsampling: str, progressive: bool, quality: int) -> None:
    for size in SIZES:
        options = {"subsampling": subsampling, "progressive": progressive, "quality": quality}
        data = encode(picture(*size), "JPEG", **options)
        pixels = by_simplejpeg(data)
        assert pixels is not None
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous
        np.testing.assert_array_equal(pixels, by_pillow(data), err_msg=str(size))


@pytest.mark.parametrize(
    "options",
    [
        {"keep_rgb": True},  # no YCbCr in the file
        {"restart_marker_blocks": 2},
        {"icc_profile": b"not applied" * 9},
        {"exif": b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage"},
        {"comment": b"text"},
        {"optimize": True, "dpi": (300, 300)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_the_pixels_are_those_of_pillow_with_every_option(options: dict[str, Any]) -> None:
    data = encode(picture(37, 50), "JPEG", **options)
    pixels = by_simplejpeg(data)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, by_pillow(data))


@pytest.mark.parametrize("subsampling", ["440", "411"])
def test_the_pixels_are_those_of_pillow_with_subsampling_that_pillow_does_not_write(
    subsampling: str,
) -> None:
    for size in SIZES:
        pixels = np.asarray(picture(*size))
        data = simplejpeg.encode_jpeg(pixels, colorsubsampling=subsampling)
        found = by_simplejpeg(data)
        assert found is not None
        np.testing.assert_array_equal(found, by_pillow(data), err_msg=str(size))


@pytest.mark.parametrize("kind", ["L", "CMYK", "turned", "several", "PNG"])
def test_other_images_are_left_to_pillow(kind: str) -> None:
    image, exif = picture(20, 30), Image.Exif()
    exif[0x0112] = 6
    data = {
        "L": lambda: encode(image.convert("L"), "JPEG"),
        "CMYK": lambda: encode(image.convert("CMYK"), "JPEG"),
        "turned": lambda: encode(image, "JPEG", exif=exif),
        "several": lambda: encode(image, "MPO", save_all=True, append_images=[image]),
        "PNG": lambda: encode(image),
    }[kind]()
    assert by_simplejpeg(data) is None
    with no_simplejpeg():
        before = outcome(data)
    assert outcome(data) == before


@pytest.mark.parametrize("progressive", [False, True])
def test_a_damaged_file_has_the_same_pixels_or_error_as_without_simplejpeg(
    progressive: bool,
) -> None:
    rng = np.random.default_rng(3)
    whole = [
        encode(picture(40, 33), "JPEG", progressive=progressive, subsampling=s) for s in (0, 2)
    ]
    damaged = [mutate_bytes(rng, whole[i % 2], whole) for i in range(300)]
    damaged += [whole[0][:end] for end in range(0, len(whole[0]), 97)]
    after = [outcome(data) for data in damaged]
    with no_simplejpeg():
        assert by_simplejpeg(whole[0]) is None
        before = [outcome(data) for data in damaged]
    assert after == before
    read = sum(len(result) == 2 for result in before)
    assert 20 < read < len(damaged) - 20  # both kinds of outcomes were compared


def test_a_size_that_pillow_did_not_see_takes_no_memory() -> None:
    data = encode(picture(16, 16), "JPEG")
    image = Image.open(io.BytesIO(data))
    at = data.index(b"\xff\xc0") + 5
    larger = data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :]
    assert fast_jpeg(larger, image) is None  # 10.8 GB
    smaller = data[:at] + struct.pack(">HH", 8, 16) + data[at + 4 :]
    assert fast_jpeg(smaller, image) is None


@pytest.mark.skipif("HIERCLF_DATA" not in os.environ, reason="HIERCLF_DATA is not set")
def test_every_image_of_a_real_set_has_the_pixels_of_pillow() -> None:
    source = open_source(os.environ["HIERCLF_DATA"])
    digests = [read_rgb(source.read, i).tobytes() for i in range(len(source.images))]
    with no_simplejpeg():
        for i, digest in enumerate(digests):
            assert read_rgb(source.read, i).tobytes() == digest, source.images[i]
