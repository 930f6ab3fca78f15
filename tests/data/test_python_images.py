"""Claims about images that are objects: they become the pixels that their files would become."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hierclf.data.images import decode, rgb_of
from hierclf.data.python_images import named_images, read_image
from tests.image_bytes import encode

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


FILES = {
    "rgb": encode(PICTURE, "PNG"),
    "jpeg": encode(PICTURE, "JPEG"),
    "cmyk": encode(PICTURE.convert("CMYK"), "JPEG"),
    "turned": encode(PICTURE, "PNG", exif=turned(6)),
    "turned jpeg": encode(PICTURE, "JPEG", exif=turned(8)),
    "turned tiff": encode(PICTURE, "TIFF", exif=turned(5)),
    "broken exif": encode(PICTURE, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage"),
    "alpha": encode(Image.fromarray(np.dstack([PIXELS, PIXELS[:, :, :1]])), "PNG"),
    "grey": encode(PICTURE.convert("L"), "PNG"),
    "bits": encode(PICTURE.convert("1"), "PNG"),
    "palette": encode(PICTURE.convert("P"), "GIF", transparency=3),
    "key colour": encode(PICTURE, "PNG", transparency=tuple(map(int, PIXELS[0, 0]))),
    "16 bit": encode(Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257), "PNG"),
    "frames": encode(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_pillow_image_gets_the_pixels_that_its_file_gets(kind: str) -> None:
    image = Image.open(io.BytesIO(FILES[kind]))
    np.testing.assert_array_equal(rgb_of(image), decode(FILES[kind]))


@pytest.mark.parametrize("kind", FILES)
def test_a_pillow_image_stays_as_it_was(kind: str) -> None:
    image = Image.open(io.BytesIO(FILES[kind]))
    image.load()
    before = image.tobytes(), image.mode, image.size, dict(image.getexif())
    rgb_of(image)
    assert (image.tobytes(), image.mode, image.size, dict(image.getexif())) == before


def test_arrays_and_tensors_keep_their_pixels() -> None:
    np.testing.assert_array_equal(np.asarray(read_image(PIXELS)), PIXELS)
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    np.testing.assert_array_equal(np.asarray(read_image(tensor)), PIXELS)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (PIXELS / 255, "a NumPy image must be uint8 [H, W, 3], but got float64 [6, 9, 3]"),
        (PIXELS[:, :, 0], "a NumPy image must be uint8 [H, W, 3], but got uint8 [6, 9]"),
        (
            PIXELS.transpose(2, 0, 1),
            "a NumPy image must be uint8 [H, W, 3], but got uint8 [3, 6, 9]",
        ),
        (PIXELS[:0], "a NumPy image must be uint8 [H, W, 3], but got uint8 [0, 9, 3]"),
        (torch.rand(3, 6, 9), "a tensor must be uint8 [3, H, W], but got float32 [3, 6, 9]"),
        (torch.from_numpy(PIXELS), "a tensor must be uint8 [3, H, W], but got uint8 [6, 9, 3]"),
        (7, "an image must be a path, bytes, a Pillow image, an array or a tensor, but got int"),
        (Image.fromarray(np.ones((2, 2), np.float32)), "pixels of mode F outside 0..65535"),
    ],
    ids=["floats", "grey", "channels first", "empty", "float tensor", "last", "number", "mode F"],
)
def test_what_is_no_image_is_refused_with_what_it_is(image: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_image(image)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_paths_keep_their_names_and_other_images_are_numbered(tmp_path: Path) -> None:
    names = [name for name, _ in named_images([tmp_path / "a.png", PICTURE, "b.png", b""])]
    assert names == [str(tmp_path / "a.png"), "1", "b.png", "3"]
