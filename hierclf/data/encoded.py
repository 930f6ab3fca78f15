"""Encoded images that need care before or while Pillow decodes them."""

import re
import struct
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
# Chunks that the pixels depend on; those with a capital first letter are critical.
_PNG_PIXELS = (b"tRNS", b"eXIf")
# Pillow's names of how 16-bit colour lies in a file, and those under which it takes the other byte.
_FOREIGN = "B" if sys.byteorder == "little" else "L"
_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", _FOREIGN))
}
_DEPTHS = (8, 10, 12, 14, 16)

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"  # spaces and comments
_PPM_HEADER = re.compile(rb"P(?:4|[56]%b[0-9]+)%b[0-9]+%b[0-9]+" % (_GAP, _GAP, _GAP))


def has_binary_ppm_header(data: bytes) -> bool:
    """Whether data begin as PBM, PGM or PPM whose pixels are no text, with at most 4 KiB of header.

    Pillow reads a header byte by byte, and pixels that are text in Python.
    """
    return _PPM_HEADER.match(data[: 1 << 12]) is not None


def with_jpeg_end(data: bytes) -> bytes:
    """JPEG data with an end marker behind it; other data as they are.

    Where the file stops early, libjpeg then fills what is missing with grey, as browsers do. A
    whole file has its own marker, and what follows it is not read.
    """
    return data + _JPEG_END if data.startswith(_JPEG) else data


def png_pixels_only(data: bytes) -> bytes | None:
    """PNG data without text, colour profiles and whatever else the pixels do not depend on.

    None where the data are no PNG or have nothing of that kind.
    """
    if not data.startswith(_PNG):
        return None
    kept = [_PNG, *(c for c in _png_chunks(data) if c[4:5].isupper() or c[4:8] in _PNG_PIXELS)]
    shorter = b"".join(kept)
    return shorter if len(shorter) < len(data) else None


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a PNG file, each with its length, name and checksum."""
    start = len(_PNG)
    while start + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        yield data[start : start + 12 + length]
        start += 12 + length


def to_8_bit(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Integers 0..65535 to 8 bits, by the smallest camera depth (8, 10, 12, 14, 16) that holds all.

    Files say 16 bits whatever the camera's depth is, and leave the upper ones at 0.
    """
    depth = next(depth for depth in _DEPTHS if values.max(initial=0) < 1 << depth)
    return (values >> (depth - 8)).astype(np.uint8)


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image, opened but not decoded, is RGB or RGBA of 16 bits per channel."""
    return any(_raw_mode(tile.args) in _OTHER_BYTE for tile in getattr(image, "tile", ()))


def restore_depth(image: Image.Image, again: ImageFile.ImageFile) -> None:
    """Scale an image of 16 bits per channel, of which Pillow decodes the upper bytes only.

    Colour and alpha may differ in depth.

    Args:
        image: decoded; it is changed where its depth is below 16 bits.
        again: the same file, opened but not decoded.
    """
    high = np.asarray(image)
    if high[..., :3].max(initial=0) >= 1 << 6:  # more than 14 bits
        return
    again.tile = [tile._replace(args=_other_byte(tile.args)) for tile in again.tile]
    values = high.astype(np.uint16) << 8 | np.asarray(again)
    scaled = [to_8_bit(values[..., :3]), to_8_bit(values[..., 3:])]
    image.paste(Image.fromarray(np.concatenate(scaled, axis=2)))


def _raw_mode(args: Any) -> Any:
    return args[0] if isinstance(args, tuple) else args


def _other_byte(args: Any) -> Any:
    """Arguments of a decoder that takes the lower bytes."""
    other = _OTHER_BYTE[_raw_mode(args)]
    return (other, *args[1:]) if isinstance(args, tuple) else other
