"""Claims about telling images by their first bytes."""

import io
from typing import Any

import pytest
from PIL import Image, features

from hierclf.data.image_kind import HEAD_BYTES, is_image, looks_like_image

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("PNG", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("GIF", {}),
    ("TIFF", {}),
    ("TIFF", {"big_tiff": True}),
    ("PPM", {}),
]


def encoded(kind: str, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 4), (200, 10, 10)).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_each_kind_is_recognised(kind: str, options: dict[str, Any]) -> None:
    assert looks_like_image(encoded(kind, options)[:HEAD_BYTES])


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_recognised() -> None:
    assert looks_like_image(encoded("AVIF", {})[:HEAD_BYTES])


def test_heic_is_recognised_by_its_brand() -> None:
    assert looks_like_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert not looks_like_image(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1")  # a film


@pytest.mark.parametrize(
    "head",
    [b"", b"BM", b"BMW is a make of cars, as everyone knows", b"%PDF-1.7", b"PK\3\4", b"GIF"],
)
def test_other_files_are_not(head: bytes) -> None:
    assert not looks_like_image(head)


def test_an_ending_is_enough_and_spares_the_reading() -> None:
    assert is_image("a/b.JPG", lambda: pytest.fail("was read"))
    assert is_image("a/b", lambda: b"\xff\xd8\xff\xe0")
    assert not is_image("a/b.txt", lambda: b"text")
