"""Encoded images, and one that lies about its size."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(
    width: int, height: int, *, depth: int = 8, colour: int = 2, content: bytes = b"\0" * 64
) -> bytes:
    """A PNG that claims a size, and holds what it is given; RGB unless `colour` is another type."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(content))
        + png_chunk(b"IEND", b"")
    )


def deep_png(pixels: NDArray[np.uint16]) -> bytes:
    """A PNG of uint16 [H, W, 3], or [H, W, 4] with alpha."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    colour = {3: 2, 4: 6}[pixels.shape[2]]
    return png_header(pixels.shape[1], pixels.shape[0], depth=16, colour=colour, content=rows)


def deep_tiff(pixels: NDArray[np.uint16], *, deflate: bool = False) -> bytes:
    """A TIFF of uint16 [H, W, 3], in one strip."""
    height, width = pixels.shape[:2]
    strip = pixels.astype("<u2").tobytes()
    strip = zlib.compress(strip) if deflate else strip
    entries = [(256, width), (257, height), (258, None), (259, 8 if deflate else 1), (262, 2)]
    entries += [(273, None), (277, 3), (278, height), (279, len(strip)), (284, 1)]
    bits_at = 8 + 2 + 12 * len(entries) + 4
    values = {258: bits_at, 273: bits_at + 6}
    out = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, value in entries:
        kind, count = (3, 3) if tag == 258 else (4, 1)
        out += struct.pack("<HHII", tag, kind, count, values.get(tag, value))
    return out + b"\0" * 4 + struct.pack("<3H", 16, 16, 16) + strip
