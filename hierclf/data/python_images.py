"""Images as Python programs hold them: paths, encoded bytes, Pillow images, arrays, tensors.

Shape legend: H height, W width, N images.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.image_files import list_images
from hierclf.data.image_store import Entry, read_loose
from hierclf.data.images import rgb_of

OneImage = str | Path | bytes | Image.Image | NDArray[np.uint8] | torch.Tensor
Images = OneImage | Iterable[OneImage]
Reader = Callable[[], bytes | NDArray[np.uint8]]
Numbered = Iterable[tuple[str, Reader]]
Batches = Iterator[tuple[pd.DataFrame, list[tuple[str, str]]]]
"""Tables with a column `image`, each beside the images (name, reason) that could not be read."""


def named_images(images: Images) -> Iterator[tuple[str, Reader]]:
    """A name, and a function that reads, for each image.

    Args:
        images: one image, or an iterable of them. An image is

            - a path of a file, str or Path. A single path, not in a list, may also be a folder, a
              .zip, a glob pattern or a .parquet file (see `image_files.list_images`);
            - an encoded image as bytes;
            - a Pillow image of any mode;
            - a NumPy array, uint8 [H, W, 3], RGB; [N, H, W, 3] is N images;
            - a torch tensor on any device, uint8 [3, H, W], RGB; [N, 3, H, W] is N images.

    Yields:
        The name: the path as given (of a single path, as `list_images` names it); the position,
        from "0" on, for an image that is no path. The function returns encoded bytes or pixels,
        uint8 [H, W, 3], and raises ValueError or OSError for what is no readable image.

    Raises:
        ValueError: `images` is none of these, or a single path where nothing is found.
    """
    if isinstance(images, str | Path):
        yield from list_images(str(images))
        return
    single = isinstance(images, bytes | Image.Image) or (
        isinstance(images, np.ndarray | torch.Tensor) and images.ndim <= 3
    )
    if not single and not isinstance(images, Iterable):
        raise ValueError(
            "images must be a path, bytes, a Pillow image, an array, a tensor or an iterable of "
            f"them, but got {type(images).__name__}"
        )
    many: Iterable[Any] = [images] if single else images  # type: ignore[assignment]
    for position, image in enumerate(many):
        name = str(image) if isinstance(image, str | Path) else str(position)
        yield name, partial(read_image, image)


def read_image(image: OneImage) -> bytes | NDArray[np.uint8]:
    """Encoded bytes of a path or bytes; pixels, uint8 [H, W, 3], of anything else.

    Raises:
        ValueError: no image, or one of another type or shape.
        OSError: a file that cannot be read.
    """
    if isinstance(image, str | Path):
        path = Path(image).expanduser()
        return read_loose(path.parent, Entry(path.name))
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        return rgb_of(image)
    if isinstance(image, np.ndarray):
        _check_form("a NumPy image", image, "[H, W, 3]", image.shape[2:] == (3,))
        return image
    if isinstance(image, torch.Tensor):
        _check_form("a tensor", image, "[3, H, W]", image.ndim == 3 and len(image) == 3)
        return image.detach().cpu().permute(1, 2, 0).contiguous().numpy()
    raise ValueError(
        "an image must be a path, bytes, a Pillow image, an array or a tensor, "
        f"but got {type(image).__name__}"
    )


def _check_form(what: str, image: NDArray[Any] | torch.Tensor, form: str, fits: bool) -> None:
    kind = str(image.dtype).removeprefix("torch.")
    if kind != "uint8" or not fits or 0 in image.shape:
        raise ValueError(f"{what} must be uint8 {form}, but got {kind} {list(image.shape)}")


def rows_in_order(
    images: Images,
    batches: Callable[[Numbered], Batches],
    types: dict[str, str],
) -> pd.DataFrame:
    """One row per image, whether or not it could be read.

    Args:
        images: what the caller was given.
        batches: turns numbered images into tables with a column `image`, and unreadable images.
        types: the tables' other columns with their dtypes.
    """
    names: dict[str, str] = {}  # names may repeat, numbers do not

    def numbered() -> Iterator[tuple[str, Reader]]:
        for name, read in named_images(images):
            number = f"image {len(names)}"
            names[number] = name
            yield number, read

    tables = [pd.DataFrame(columns=["image", *types]).astype(types)]
    errors: dict[str, str] = {}
    for table, unreadable in batches(numbered()):
        errors |= unreadable
        if len(table):
            tables.append(table.astype(types))
    rows = pd.concat(tables[1:] or tables).set_index("image").reindex(list(names))
    rows.insert(0, "image", list(names.values()))
    rows["error"] = pd.Series([errors.get(number) for number in names], rows.index, dtype=object)
    return rows.reset_index(drop=True)
