"""Claims about the one conversion from encoded bytes to RGB."""

import contextlib
import io
import struct
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hierclf.data.images import decode, fit_square, map_ordered, read_rgb
from tests.image_bytes import encode, png_header

RED, WHITE = (255, 0, 0), (255, 255, 255)


def picture(height: int = 6, width: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    pixels = picture()
    options = {"lossless": True} if kind == "WEBP" else {}
    result = decode(encode(Image.fromarray(pixels), kind, **options))
    assert result.dtype == np.uint8
    assert result.flags.writeable
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_lossy_formats_keep_a_flat_colour(kind: str) -> None:
    result = decode(encode(Image.new("RGB", (8, 8), (10, 120, 240)), kind))
    assert np.abs(result.astype(int) - (10, 120, 240)).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a.transpose(1, 0, 2)[::-1, ::-1]),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(orientation: int, turned: Any) -> None:
    pixels = picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decode(encode(Image.fromarray(pixels), exif=exif))
    np.testing.assert_array_equal(result, turned(pixels))


def test_broken_exif_counts_as_no_orientation() -> None:
    pixels = picture()
    data = encode(Image.fromarray(pixels), exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    np.testing.assert_array_equal(decode(data), pixels)


def test_alpha_is_composed_over_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 128))
    result = decode(encode(image))
    assert tuple(result[0, 0]) == WHITE
    assert tuple(result[0, 1]) == (255, 127, 127)


def test_grey_with_alpha_is_composed_over_white() -> None:
    assert tuple(decode(encode(Image.new("LA", (1, 1), (7, 0))))[0, 0]) == WHITE


@pytest.mark.parametrize("transparency", [1, bytes([255, 0])])
def test_a_transparent_palette_colour_becomes_white(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    result = decode(encode(image, transparency=transparency))
    assert [tuple(pixel) for pixel in result[0]] == [RED, WHITE]


def test_a_key_colour_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (0, 0, 255))
    result = decode(encode(image, transparency=(0, 0, 255)))
    assert [tuple(pixel) for pixel in result[0]] == [RED, WHITE]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    result = decode(encode(Image.fromarray(values), kind))
    assert result[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert (result == result[:, :, :1]).all()


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="no agreed 8-bit form"):
        decode(encode(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_other_8_bit_modes_become_rgb(mode: str) -> None:
    assert tuple(decode(encode(Image.new("RGB", (3, 3), WHITE).convert(mode)))[1, 1]) == WHITE


def test_cmyk_becomes_rgb() -> None:
    result = decode(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(result.astype(int) - RED).max() <= 6


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 255, 0))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(decode(data).astype(int) - RED).max() <= 3


def test_a_multi_picture_jpeg_gives_its_first_picture() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, (0, 255, 0))]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(decode(data).astype(int) - RED).max() <= 3


def test_one_pixel_is_an_image() -> None:
    assert decode(encode(Image.new("RGB", (1, 1), RED))).shape == (1, 1, 3)


def test_a_bomb_is_refused_from_its_header() -> None:
    with pytest.raises(ValueError, match=r"8000 x 8001 is 64008000 pixels, more than the limit"):
        decode(png_header(8000, 8001))
    with pytest.raises(ValueError, match="more pixels than the limit"):
        decode(png_header(100_000, 100_000))


def test_the_pixel_limit_is_inclusive() -> None:
    data = encode(Image.new("RGB", (10, 10)))
    assert decode(data, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ValueError, match="more than the limit of 99"):
        decode(data, max_pixels=99)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_a_truncated_file_is_refused_in_one_line(kind: str, share: float) -> None:
    data = encode(Image.fromarray(picture(40, 40)), kind)
    with pytest.raises(ValueError, match=r".") as caught:
        decode(data[: int(share * len(data))])
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_named_as_such() -> None:
    with pytest.raises(ValueError, match="empty"):
        decode(b"")


def test_damaged_bytes_raise_nothing_but_value_errors() -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        whole = encode(Image.fromarray(picture(24, 24)), kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 5):
                data[place] = rng.integers(0, 256)
            with contextlib.suppress(ValueError):
                assert decode(bytes(data)).shape[2] == 3


@pytest.mark.parametrize(
    "data",
    [
        encode(Image.new("RGB", (4, 4)), "EPS"),
        b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + b"\0" * 80,
        encode(Image.new("RGB", (4, 4)), "JPEG2000"),
        encode(Image.new("RGB", (4, 4)), "TGA"),
        encode(Image.new("RGB", (4, 4)), "ICO"),
        b"this is text that someone renamed to photo.jpg\n" * 3,
        b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
    ],
    ids=["eps", "psd", "jp2", "tga", "ico", "text", "svg"],
)
def test_formats_outside_the_allow_list_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a readable JPEG, PNG, .*, AVIF or PPM image"):
        decode(data)


def test_the_refused_formats_are_ones_that_pillow_would_open() -> None:
    for kind in ("EPS", "PPM", "ICO"):
        assert Image.open(io.BytesIO(encode(Image.new("RGB", (16, 16)), kind))).format == kind


def test_decoding_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # 100 pixels are "suspicious" then
    image = Image.new("P", (10, 10))
    image.putpalette([255, 0, 0, 0, 0, 255])
    data = encode(image, transparency=bytes([255, 0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(data)
    assert caught == []


def test_fit_square_takes_the_centre() -> None:
    image = np.zeros((4, 10, 3), dtype=np.uint8)
    image[:, 3:7] = 200
    assert (fit_square(image, 4) == 200).all()
    assert (fit_square(image.transpose(1, 0, 2), 4) == 200).all()


@pytest.mark.parametrize("size", [10, 40])
def test_fit_square_equals_resizing_the_shorter_side_and_cropping(size: int) -> None:
    image = picture(20, 40)
    whole = Image.fromarray(image).resize((2 * size, size), Image.Resampling.BICUBIC)
    expected = np.asarray(whole)[:, size // 2 : size // 2 + size]
    assert np.abs(fit_square(image, size).astype(int) - expected).max() <= 1


def test_fit_square_averages_where_it_shrinks() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[::2] = 255
    assert np.abs(fit_square(image, 8).astype(int) - 127).max() <= 8


def test_fit_square_leaves_an_image_of_that_size_alone() -> None:
    image = picture(8, 8)
    assert fit_square(image, 8) is image


def test_read_rgb_turns_a_failed_read_into_a_reason() -> None:
    def read(index: int) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "a.jpg")

    with pytest.raises(ValueError, match="cannot be read: No such file or directory"):
        read_rgb(read, 0)


def test_map_ordered_keeps_the_order_and_a_short_window() -> None:
    started = 0
    lock = threading.Lock()

    def work(index: int) -> int:
        nonlocal started
        with lock:
            started += 1
        return index * index

    results = map_ordered(work, 5000)
    assert next(results) == 0
    assert started < 2500
    assert list(results) == [i * i for i in range(1, 5000)]


def test_map_ordered_passes_errors_on() -> None:
    def work(index: int) -> int:
        return 1 // (index - 3)

    with pytest.raises(ZeroDivisionError):
        list(map_ordered(work, 10))


@pytest.mark.parametrize(("largest", "shift"), [(4095, 4), (65535, 8)])
def test_a_pgm_of_more_than_8_bits_is_scaled_by_its_depth(largest: int, shift: int) -> None:
    values = np.random.default_rng(0).integers(0, largest + 1, (6, 9), dtype=np.uint16)
    values[0, 0] = largest
    data = b"P5\n# by a camera\n9 6\n%d\n" % largest + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(data)[..., 0], values >> shift)


@pytest.mark.parametrize(
    "data",
    [
        b"P3 1 1 255 1 2 3",  # pixels that are text
        b"Pf\n1 1\n-1.0\n" + bytes(4),
        b"P6\n#" + b"x" * 5000 + b"\n1 1 255\n" + bytes(3),
    ],
)
def test_other_kinds_of_ppm_are_refused_with_the_rule(data: bytes) -> None:
    with pytest.raises(
        ValueError, match="must begin with P4, P5 or P6 and at most 4 KiB of header"
    ):
        decode(data)
