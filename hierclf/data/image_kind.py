"""Is a file an image, and can it be read here? By its ending, or else by its first bytes."""

import posixpath
from collections.abc import Callable, Sequence
from functools import cache

from PIL import features

from hierclf.counts import counted

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
# Images that are not read: their decoders are little tested with hostile files, or none are here.
OTHER_SUFFIXES = (
    *(".jp2", ".j2k", ".jpx", ".jxl", ".tga", ".ico", ".icns", ".dds", ".pcx", ".sgi", ".qoi"),
    *(".psd", ".eps", ".svg", ".pfm", ".exr", ".hdr", ".dcm", ".dng", ".cr2", ".nef", ".arw"),
)
HEAD_BYTES = 32
# Brands of ISO media files that hold a still image.
_AVIF_BRANDS = (b"avif", b"avis")
_GENERIC = (b"mif1", b"msf1")  # brands of AVIF and HEIC alike; those that follow tell
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", *_GENERIC)


def is_image(path: str, head: Callable[[], bytes]) -> bool:
    """Whether a file is meant as an image.

    Args:
        path: its name; one of the usual endings is enough.
        head: reads its first HEAD_BYTES bytes; called where the ending says nothing.
    """
    return has_image_ending(path) or looks_like_image(head())


def is_other_image(path: str) -> bool:
    """Whether a name has the ending of an image of a kind that is not read."""
    return posixpath.splitext(path)[1].lower() in OTHER_SUFFIXES


def kinds_left_out(paths: Sequence[str]) -> str:
    """What to say of images of kinds that are not read."""
    endings = ", ".join(sorted({posixpath.splitext(path)[1].lower() for path in paths}))
    what = counted(
        len(paths),
        f"image of a kind that is not read ({endings}) is left out",
        f"images of kinds that are not read ({endings}) are left out",
    )
    return f"{what} (first: {paths[0]!r}); convert to PNG"


def has_image_ending(path: str) -> bool:
    """Whether a name has one of the usual endings."""
    return posixpath.splitext(path)[1].lower() in SUFFIXES


def looks_like_image(head: bytes) -> bool:
    """Whether first bytes are those of JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, PPM or HEIC.

    HEIC counts whether or not it can be read here.
    """
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 18)
        or _is_ppm(head)
        or _is_avif(head)
        or _is_heic(head)
    )


def _is_ppm(head: bytes) -> bool:
    return head[:2] in (b"P4", b"P5", b"P6") and head[2:3].isspace()


def missing_plugin(head: bytes) -> str:
    """Why an image cannot be read on this machine; empty where it can, as far as is known."""
    if _is_heic(head) and "HEIF" not in readable_formats():
        return "a HEIC image needs pillow-heif (`pip install pillow-heif`)"
    if _is_avif(head) and not features.check("avif"):
        return "an AVIF image needs a Pillow that was built with AVIF"
    return ""


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that Pillow may open: FORMATS, and HEIF where pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _is_avif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and (
        head[8:12] in _AVIF_BRANDS or (head[8:12] in _GENERIC and b"avif" in head[16:HEAD_BYTES])
    )


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and not _is_avif(head)
