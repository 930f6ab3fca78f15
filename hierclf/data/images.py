"""Encoded image bytes to RGB arrays: the one conversion that training and prediction share.

The conversion, in this order:

1. Formats: JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, and HEIC where pillow-heif is installed, told by
   content and never by file name; others are refused, so that no rarely tested decoder sees a
   stranger's bytes. A PNG that Pillow refuses is read without its text and colour profile.
2. The pixel limit is checked on the header's size, before any pixel is decoded.
3. Animations and multi-page files: the first frame.
4. EXIF orientation is applied; unreadable EXIF counts as "no orientation".
5. Images of 16 bits per channel, grey or colour, are scaled to 8 bits by the smallest camera depth
   (8, 10, 12, 14, 16) that holds their largest value. 32-bit integer images beyond 16 bits and
   floating-point images have no agreed range and are refused.
6. Transparency (alpha channel, palette or key colour) is composed over white.
7. CMYK, YCbCr, greyscale and palettes become RGB by Pillow's plain conversion; ICC profiles are
   not applied.

Ordinary JPEG files are decoded by simplejpeg where it is installed, which gives the same
pixels as Pillow.

Shape legend: H height, W width.
"""

import hashlib
import io
import os
import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from hierclf.data.encoded import (
    has_binary_ppm_header,
    is_deep_colour,
    png_pixels_only,
    restore_depth,
    to_8_bit,
    with_jpeg_end,
)
from hierclf.data.fast_jpeg import fast_jpeg
from hierclf.data.image_kind import FORMATS, missing_plugin, readable_formats
from hierclf.errors import one_line

MAX_PIXELS = 64_000_000
# Part of every cache's key: raise it when the conversion above changes.
CONVERSION_VERSION = 3

T = TypeVar("T")
_decoding = threading.Condition()
_pixels_in_work = 0
_PILLOW_MODULES = re.compile(r"PIL\b")


def _silence_pillow() -> None:
    """Ignore Pillow's warnings: what matters about an image is raised or decided here.

    `warnings.catch_warnings` is not safe among threads, so that one lasting filter is set instead.
    """
    if not any(item[3] is _PILLOW_MODULES for item in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES.pattern)


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header only; refuse what is empty, of another format or too large."""
    if not data:
        raise ValueError("the file is empty (0 bytes)")
    if missing := missing_plugin(data):
        raise ValueError(missing)
    if re.match(rb"P[0-9fy]", data) and not has_binary_ppm_header(data):
        what = "a PBM, PGM or PPM image must begin with P4, P5 or P6 and at most 4 KiB of header"
        raise ValueError(f"{what} (its first bytes are {data[:8]!r})")
    try:
        image = Image.open(io.BytesIO(data), formats=readable_formats())
    except UnidentifiedImageError:
        raise ValueError(
            f"not a readable {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image "
            f"(its first bytes are {data[:8]!r})"
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(f"has more pixels than the limit of {max_pixels}") from None
    _check_pixels(image, max_pixels)
    return image


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"{width} x {height} is {width * height} pixels, more than the limit of {max_pixels}"
        )


@contextmanager
def _room_for(pixels: int) -> Iterator[None]:
    """Wait until all threads together work on no more than MAX_PIXELS, or one image alone.

    A pixel takes up to 20 bytes meanwhile. Small images never wait; as many of the largest size as
    there are threads would fill the memory of most machines.
    """
    global _pixels_in_work
    with _decoding:
        _decoding.wait_for(lambda: not _pixels_in_work or _pixels_in_work + pixels <= MAX_PIXELS)
        _pixels_in_work += pixels
    try:
        yield
    finally:
        with _decoding:
            _pixels_in_work -= pixels
            _decoding.notify_all()


def _orient(image: Image.Image) -> None:
    # Broken EXIF raises nearly anything, and says nothing about the pixels.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits (modes I;16*, I, F) -> mode L."""
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} outside 0..65535 have no agreed 8-bit form")
    return Image.fromarray(to_8_bit(values))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one image by the conversion that the module's docstring describes.

    Args:
        data: the encoded image, whole.
        max_pixels: largest width x height, checked before decoding.

    Returns:
        uint8 [H, W, 3], RGB, 0..255, writable and contiguous.

    Raises:
        ValueError: one line with the reason why this is not an image that can be read.
    """
    _silence_pillow()
    try:
        return _decode(data, max_pixels)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        if rest := png_pixels_only(data):
            with suppress(Exception):
                return _decode(rest, max_pixels)
        reason = one_line(error)
        if (ended := with_jpeg_end(data)) is not data:
            with suppress(Exception):
                _decode(ended, max_pixels)
                reason += "; truncated=keep reads what is there"
        raise ValueError(reason) from None


def _decode(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    image = _open(data, max_pixels)
    with _room_for(image.width * image.height):
        if (decoded := fast_jpeg(data, image)) is not None:
            return decoded
        is_deep = is_deep_colour(image)
        image.load()
        if is_deep:
            restore_depth(image, _open(data, max_pixels))
        _orient(image)
        pixels = np.array(_to_rgb(image), dtype=np.uint8)
        del image  # before the room is given to another thread
        return pixels


def rgb_of(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a Pillow image, by steps 2 to 7 of the same conversion; it stays unchanged.

    Args:
        image: of any mode, loaded or not.

    Returns:
        uint8 [H, W, 3], RGB, 0..255, writable and contiguous.

    Raises:
        ValueError: one line with the reason why it cannot be converted.
    """
    _silence_pillow()
    try:
        _check_pixels(image, MAX_PIXELS)
        with _room_for(image.width * image.height):
            copied = image.copy()
            _orient(copied)
            pixels = np.array(_to_rgb(copied), dtype=np.uint8)
            del copied  # before the room is given to another thread
            return pixels
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise ValueError(one_line(error)) from None


def fit_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Centre square of uint8 [H, W, 3], resized to uint8 [size, size, 3].

    Bicubic with antialiasing. It equals "shorter side to `size`, then centre crop" without the
    rounding in between. An image of that size already comes back unchanged.
    """
    height, width = image.shape[:2]
    if height == width == size:
        return image
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    resized = Image.fromarray(image).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return np.asarray(resized)


def fit_to(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The centre of uint8 [H, W, 3], of the wanted shape, resized to uint8 [height, width, 3].

    An image of that size comes back unchanged.
    """
    if image.shape[:2] == (height, width):
        return image
    if height == width:
        return fit_square(image, height)
    return np.asarray(
        ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.BICUBIC)
    )


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """The same for images of the same size and pixels, and for no others."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def read_rgb(read: Callable[[int], bytes | NDArray[np.uint8]], index: int) -> NDArray[np.uint8]:
    """Image `index` of a source, decoded where it is still encoded: uint8 [H, W, 3].

    Raises:
        ValueError: it cannot be found, read or decoded; one line with the reason.
    """
    try:
        data = read(index)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
    if isinstance(data, np.ndarray):
        assert data.dtype == np.uint8, data.dtype
        assert data.shape[2:] == (3,), data.shape
        return data
    return decode(data)


def map_ordered(function: Callable[[int], T], count: int) -> Iterator[T]:
    """`function(0), ..., function(count - 1)` computed in threads, in order, few at a time ahead.

    Pillow releases the interpreter lock while it decodes. The short window bounds memory, whatever
    the number of images.
    """
    workers = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        window: deque[Future[T]] = deque()
        try:
            for index in range(count):
                window.append(pool.submit(function, index))
                if len(window) >= 8 * workers:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def repeated_rows(digests: Iterable[bytes]) -> list[tuple[int, int]]:
    """(row, first earlier row of the same pixels) for every row that repeats one.

    Args:
        digests: `pixel_digest` of each row.
    """
    found = np.array(list(digests), dtype="S32")
    _, first, index = np.unique(found, return_index=True, return_inverse=True)
    earlier = first[index]
    later = np.flatnonzero(earlier < np.arange(len(found)))
    return [(int(row), int(earlier[row])) for row in later]
