"""A set of photos in which every kind of odd picture is planted once."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

HOSTILE = "<img src=x onerror=alert(1)>.png"


def photo(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A sharp picture: coloured tiles of 8 pixels."""
    tiles = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(tiles).resize(size, Image.Resampling.NEAREST)


def plain(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (130, 90, 60))


def planted() -> dict[str, Image.Image]:
    """Odd pictures by the kind of finding that each belongs to."""
    return {
        "blurred": photo(50).filter(ImageFilter.GaussianBlur(4)),
        "dark": photo(51).point(lambda level: level * 0.2),
        "overexposed": photo(52).point(lambda level: 250 + level * 0.01),
        "little_information": plain(96, 80),
        "odd_shape": photo(53, (220, 60)),
        "odd_size": photo(54, (24, 20)),
    }


def odd_set(root: Path) -> Path:
    """bird/hen and dog/pug with 10 sharp pictures each, odd ones, copies and a torn file."""
    hen, pug = root / "bird" / "hen", root / "dog" / "pug"
    for folder, first in ((hen, 0), (pug, 10)):
        folder.mkdir(parents=True)
        for seed in range(first, first + 10):
            photo(seed).save(folder / f"{seed}.png")
    for kind, image in planted().items():
        image.save(hen / f"{kind}.png")
    (pug / "copy of 10.png").write_bytes((pug / "10.png").read_bytes())
    photo(1).resize((130, 108)).save(hen / "near 1.jpg", quality=60)
    photo(2).save(pug / "a hen.png")  # the picture of hen 2 under another label
    out = io.BytesIO()
    photo(60).save(out, "PNG")
    (pug / "torn.png").write_bytes(out.getvalue()[:200])
    photo(61).save(pug / HOSTILE)
    return root
