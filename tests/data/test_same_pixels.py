"""Claims about training and prediction seeing the same pixels, whatever the file's form."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hierclf.data.cache import open_cache
from hierclf.data.preprocessing import Preprocessing
from hierclf.data.source import Source
from hierclf.predict import predict_batches
from tests.layouts import HIERARCHY, make_source, pixels_of
from tests.tiny_models import encoded, picture, tiny_bundle

WIDTH, HEIGHT = 24, 20


def odd_images() -> dict[str, bytes]:
    """Every form that the conversion speaks of, of one size but for the turned and the tiny one."""
    colour = picture(1, (WIDTH, HEIGHT))
    alpha = colour.convert("RGBA")
    alpha.putalpha(100)
    grey16 = Image.fromarray(
        np.linspace(0, 65535, WIDTH * HEIGHT).astype(np.uint16).reshape(20, 24)
    )
    frames: dict[str, Any] = {"save_all": True, "append_images": [picture(2, (WIDTH, HEIGHT))]}
    turned = Image.Exif()
    turned[0x0112] = 6
    cases: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (colour, "JPEG", {}),
        "cmyk": (colour.convert("CMYK"), "JPEG", {}),
        "16 bit": (grey16, "PNG", {}),
        "palette with alpha": (colour.convert("P"), "PNG", {"transparency": bytes(range(256))}),
        "alpha": (alpha, "WEBP", {"lossless": True}),
        "animated gif": (colour, "GIF", frames),
        "animated webp": (colour, "WEBP", frames | {"lossless": True}),
        "pages": (colour, "TIFF", frames),
        "bilevel": (colour.convert("1"), "BMP", {}),
        "turned": (colour, "JPEG", {"exif": turned}),
        "one pixel": (Image.new("RGB", (1, 1), (9, 99, 199)), "PNG", {}),
    }
    found = {}
    for name, (image, kind, options) in cases.items():
        out = io.BytesIO()
        image.save(out, kind, **options)
        found[name] = out.getvalue()
    return found


def source_of(images: dict[str, bytes]) -> Source:
    data = [*images.values(), *(encoded(picture(i, (WIDTH, HEIGHT))) for i in range(10))]
    sub = np.arange(len(data)) % 3
    return make_source(
        images=[*images, *(f"plain {i}" for i in range(10))],
        super_labels=np.array(HIERARCHY.sub_to_super)[sub],
        sub_labels=sub,
        read=data.__getitem__,
    )


def predicted_pixels(
    source: Source, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    """What prediction hands to the network's view for every image of a source."""
    seen: list[np.ndarray] = []

    def record(bundle: object, pixels: Any, device: object) -> Any:
        seen.extend(pixels)
        raise StopIteration

    bundle = replace(
        tiny_bundle(), preprocessing=Preprocessing(height, width, 32, 0.875, "bilinear")
    )
    monkeypatch.setattr("hierclf.predict.network_outputs", record)
    images = [(name, source.read(i)) for i, name in enumerate(source.images)]
    with pytest.raises(RuntimeError):
        list(predict_batches(bundle, images, batch_size=64))  # type: ignore[arg-type]
    return np.stack(seen)


@pytest.mark.parametrize("size", [16, 32, None])
def test_every_form_has_the_same_pixels_in_the_cache_and_in_prediction(
    tmp_path: Path, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(odd_images())
    cache = open_cache(source, size=size, directory=tmp_path)
    assert cache.names == source.images
    height, width = cache.images.shape[1:3]
    assert (height, width) == ((256, 256) if size is None else (size, size))
    pixels = predicted_pixels(source, height, width, monkeypatch)
    for index, name in enumerate(source.images):
        np.testing.assert_array_equal(pixels_of(cache)[index], pixels[index], err_msg=name)


def test_images_of_one_size_keep_it_in_the_cache_and_in_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {k: v for k, v in odd_images().items() if k not in ("turned", "one pixel")}
    cache = open_cache(source_of(images), size=None, directory=tmp_path)
    assert cache.images.shape[1:3] == (HEIGHT, WIDTH)
    pixels = predicted_pixels(source_of(images), HEIGHT, WIDTH, monkeypatch)
    np.testing.assert_array_equal(cache.images, pixels)
