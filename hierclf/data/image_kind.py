"""Is a file an image? By its ending, or else by its first bytes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
HEAD_BYTES = 32
# Brands of ISO media files that hold a still image.
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def is_image(path: str, head: Callable[[], bytes]) -> bool:
    """Whether a file is meant as an image.

    Args:
        path: its name; one of the usual endings is enough.
        head: reads its first HEAD_BYTES bytes; called where the ending says nothing.
    """
    return posixpath.splitext(path)[1].lower() in SUFFIXES or looks_like_image(head())


def looks_like_image(head: bytes) -> bool:
    """Whether first bytes are those of JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF or HEIC."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 18)
        or (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS)
    )
