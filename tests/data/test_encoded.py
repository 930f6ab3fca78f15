"""Claims about images that Pillow alone refuses, or shows wrongly."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from hierclf.data import image_kind
from hierclf.data.image_files import list_images
from hierclf.data.images import decode
from hierclf.data.sources import inspect_source, open_source
from tests.image_bytes import deep_png, deep_tiff, encode, png_chunk
from tests.layouts import tree

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PNG = encode(Image.fromarray(PIXELS))
LONG = b"x" * 3_000_000
HEADER_END = 8 + 25
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def with_chunk(name: bytes, data: bytes, *, at_end: bool = False) -> bytes:
    place = len(PNG) - 12 if at_end else HEADER_END
    return PNG[:place] + png_chunk(name, data) + PNG[place:]


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"tEXt", b"Comment\0" + LONG),
        (b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
        (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
        (b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
        (b"iCCP", b"profile\0\0no zlib at all"),
        (b"pHYs", b""),
    ],
    ids=["text", "packed text", "unicode", "profile", "broken profile", "short chunk"],
)
def test_a_png_is_read_whatever_its_text_and_colour_profile(
    name: bytes, data: bytes, at_end: bool
) -> None:
    np.testing.assert_array_equal(decode(with_chunk(name, data, at_end=at_end)), PIXELS)


def test_a_png_with_many_texts_is_read() -> None:
    data = PNG
    for _ in range(70):
        chunk = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1_000_000))
        data = data[:HEADER_END] + chunk + data[HEADER_END:]
    np.testing.assert_array_equal(decode(data), PIXELS)


def test_a_chunk_with_a_wrong_checksum_costs_nothing_but_itself() -> None:
    chunk = bytearray(png_chunk(b"tEXt", b"Comment\0text"))
    chunk[-1] ^= 1
    data = PNG[:HEADER_END] + bytes(chunk) + PNG[HEADER_END:]
    np.testing.assert_array_equal(decode(data), PIXELS)


def test_transparency_outlives_the_repair() -> None:
    data = encode(Image.new("RGB", (2, 1), (255, 0, 0)), transparency=(255, 0, 0))
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG))
    assert (decode(data[:HEADER_END] + chunk + data[HEADER_END:]) == 255).all()


def test_an_ordinary_profile_and_text_are_no_reason_for_a_second_try() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(Image.fromarray(PIXELS), icc_profile=profile)
    np.testing.assert_array_equal(decode(data), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_grey_of_any_camera_depth_spans_all_of_8_bits(kind: str, depth: int) -> None:
    top = (1 << depth) - 1
    values = np.array([[0, top // 2, top]], dtype=np.uint16)
    assert decode(encode(Image.fromarray(values), kind))[0, :, 1].tolist() == [0, 127, 255]


@pytest.mark.parametrize("write", [deep_png, deep_tiff, lambda a: deep_tiff(a, deflate=True)])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_colour_of_any_camera_depth_spans_all_of_8_bits(
    write: Callable[[np.ndarray], bytes], depth: int
) -> None:
    values = np.random.default_rng(1).integers(0, 1 << depth, (5, 6, 3)).astype(np.uint16)
    values[0, 0, 0] = (1 << depth) - 1
    np.testing.assert_array_equal(decode(write(values)), values >> (depth - 8))


@pytest.mark.parametrize("opaque", [4095, 65535])
def test_colour_with_alpha_of_another_depth_spans_all_of_8_bits(opaque: int) -> None:
    values = np.full((1, 2, 4), opaque, dtype=np.uint16)
    values[0, :, :3] = [[0, 2048, 4095], [4095, 0, 16]]
    assert decode(deep_png(values)).tolist() == [[[0, 128, 255], [255, 0, 1]]]


def test_12_bits_packed_in_a_tiff_span_all_of_8_bits() -> None:
    values = [0, 4095, 2048, 1023]
    packed = b"".join(
        struct.pack(">I", a << 12 | b)[1:] for a, b in zip(values[::2], values[1::2], strict=True)
    )
    entries = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 110), (277, 1), (279, 6)]
    data = b"II*\0" + struct.pack("<IH", 8, len(entries))
    data += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data += b"\0" * (110 - len(data)) + packed
    assert decode(data)[0, :, 0].tolist() == [0, 255, 128, 63]


# --- JPEG files that end early ---------------------------------------------------------------


def jpeg(**options: bool) -> bytes:
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    return encode(Image.fromarray(smooth), "JPEG", **options)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 10, 100])
def test_a_truncated_jpeg_is_refused_with_the_way_out_or_kept(
    tmp_path: Path, progressive: bool, cut: int
) -> None:
    whole = jpeg(progressive=progressive)
    root = tree(tmp_path, [f"{c}/{i}.jpg" for c in ("a/b", "a/c", "d/e") for i in range(3)])
    (root / "a/b/0.jpg").write_bytes(whole[:-cut])
    refused, kept = open_source(str(root)), open_source(str(root), keep_truncated=True)
    data = refused.read(0)
    assert isinstance(data, bytes)
    with pytest.raises(ValueError, match=r"truncated.*; truncated=keep reads what is there"):
        decode(data)
    data = kept.read(0)
    assert isinstance(data, bytes)
    pixels = decode(data)
    if cut <= 2:
        np.testing.assert_array_equal(pixels, decode(whole))
    assert np.abs(pixels[:8].astype(int) - decode(whole)[:8]).max() <= 4
    assert refused.fingerprint != kept.fingerprint


def test_a_jpeg_without_a_picture_is_refused_without_a_way_out() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        decode(jpeg()[:100])
    assert "keep" not in str(caught.value)


def test_whole_files_are_the_same_where_truncated_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.png").write_bytes(PNG)
    refused, kept = (list_images(str(tmp_path), keep_truncated=keep) for keep in (False, True))
    for i in range(2):
        np.testing.assert_array_equal(decode(kept.read(i)), decode(refused.read(i)))


# --- formats that need more than Pillow ------------------------------------------------------


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("name", ["a.avif", "a.jpg", "a"])
def test_avif_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encode(Image.new("RGB", (16, 16), (200, 10, 10)), "AVIF"))
    images = list_images(str(tmp_path))
    assert images.names == [name]
    assert np.abs(decode(images.read(0)).astype(int) - (200, 10, 10)).max() <= 6


def test_heic_is_read_where_its_plugin_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    image_kind.readable_formats()  # registers it
    data = encode(Image.new("RGB", (16, 16), (200, 10, 10)), "HEIF")
    assert np.abs(decode(data).astype(int) - (200, 10, 10)).max() <= 6


@pytest.fixture
def no_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_kind, "readable_formats", lambda: image_kind.FORMATS)


@pytest.mark.usefixtures("no_heic")
def test_heic_without_its_plugin_is_named_with_the_way_out(tmp_path: Path) -> None:
    root = tree(tmp_path, [f"{c}/{i}.jpg" for c in ("a/b", "a/c", "d/e") for i in range(2)])
    for name in ("a/b/x.HEIC", "d/e/y"):
        (root / name).write_bytes(HEIC)
    source, (problem,) = inspect_source(str(root))
    assert source is not None
    assert len(source.images) == 6
    way_out = "a HEIC image needs pillow-heif (`pip install pillow-heif`)"
    assert problem.what == f"2 images are left out: {way_out}"
    with pytest.raises(ValueError, match="needs pillow-heif"):
        decode(HEIC)


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPE", "a", "a.image"])
def test_jpeg_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(jpeg())
    assert decode(list_images(str(tmp_path)).read(0)).shape == (64, 64, 3)
