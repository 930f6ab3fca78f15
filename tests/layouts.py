"""Small data sets of every format, for the tests of the sources."""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.cache import ImageCache
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.data.sources import inspect_source
from hierclf.hierarchy import Hierarchy

SUPERS = ((0, "bird"), (1, "dog"), (5, "novel"))
SUBS = ((0, "owl, great"), (2, "hen"), (3, "novel"), (7, "pug"))
# Two images a sub-class: owl and hen are birds, the pug is a dog.
ROWS = (
    ("0.png", 0, 0),
    ("1.png", 0, 0),
    ("2.png", 0, 2),
    ("3.png", 0, 2),
    ("4.png", 1, 7),
    ("5.png", 1, 7),
)
Rows = Sequence[Sequence[object]]


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def write_csv(path: Path, header: Sequence[str], rows: Rows, encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])


def release(
    root: Path,
    rows: Rows = ROWS,
    *,
    supers: Rows = SUPERS,
    subs: Rows = SUBS,
    header: Sequence[str] = ("image", "superclass_index", "subclass_index"),
    encoding: str = "utf-8",
    images: Sequence[str] | None = None,
    table: str = "train_data.csv",
    archive: str | None = "train_images.zip",
) -> Path:
    """Write a release layout; image i is a picture of red value i. archive None: loose files."""
    root.mkdir(parents=True, exist_ok=True)
    write_csv(root / "superclass_mapping.csv", ("index", "class"), supers, encoding)
    write_csv(root / "subclass_mapping.csv", ("index", "class"), subs, encoding)
    write_csv(root / table, header, rows, encoding)
    names = [f"train_images/{row[0]}" for row in ROWS] if images is None else images
    if archive is not None:
        with zipfile.ZipFile(root / archive, "w") as file:
            for i, name in enumerate(names):
                file.writestr(name, png(i))
        return root
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return root


def write_raw(path: Path, names: list[bytes]) -> Path:
    """A zip whose names are these bytes, not marked as UTF-8; image i is `png(i)`."""
    with zipfile.ZipFile(path, "w") as file:
        for i, name in enumerate(names):
            file.writestr("QVWXYZ"[i] * len(name), png(i))
    data = path.read_bytes()
    for i, name in enumerate(names):
        data = data.replace("QVWXYZ"[i].encode() * len(name), name)
    path.write_bytes(data)
    return path


def tree(root: Path, images: Sequence[str]) -> Path:
    for i, name in enumerate(images):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return root


def red_values(source: Source) -> list[int]:
    """What the images show, by the red value that the writers above gave them."""
    values = []
    for i in range(len(source.images)):
        data = source.read(i)
        assert isinstance(data, bytes)
        values.append(int(np.asarray(Image.open(io.BytesIO(data)))[0, 0, 0]))
    return values


def fatal(path: Path) -> list[Problem]:
    source, problems = inspect_source(str(path))
    assert source is None
    return [problem for problem in problems if problem.fatal]


def only_fatal(path: Path) -> Problem:
    problems = fatal(path)
    assert len(problems) == 1, problems
    return problems[0]


TREE = ["bird/owl/a.png", "bird/owl/b.PNG", "bird/hen/a.png", "bird/hen/c.png"]
TREE += ["dog/pug/a.jpg", "dog/pug/b.png"]


def parquet(path: Path, columns: dict[str, Any], *, group: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def text_columns() -> dict[str, Any]:
    return {
        "image": [png(i) for i in range(6)],
        "superclass": ["bird"] * 4 + ["dog"] * 2,
        "subclass": ["owl", "owl", "hen", "hen", "pug", "pug"],
    }


def id_columns() -> dict[str, Any]:
    return {
        "image_bytes": [png(i) for i in range(6)],
        "superclass_index": [row[1] for row in ROWS],
        "subclass_index": [row[2] for row in ROWS],
    }


HIERARCHY = Hierarchy(
    super_names=("bird", "dog"),
    sub_names=("owl", "hen", "pug"),
    sub_to_super=(0, 0, 1),
    super_ids=(0, 1),
    sub_ids=(0, 1, 2),
    novel_super_id=2,
    novel_sub_id=3,
)


def png_of(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_source(*, per_class: int = 4, shape: tuple[int, int] = (8, 8), **fields: Any) -> Source:
    count = 3 * per_class
    rng = np.random.default_rng(0)
    data = [png_of(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for _ in range(count)]
    subs = np.arange(count) % 3
    source = Source(
        name="made",
        images=[f"{i}.png" for i in range(count)],
        super_labels=np.array(HIERARCHY.sub_to_super, dtype=np.int64)[subs],
        sub_labels=subs.astype(np.int64),
        hierarchy=HIERARCHY,
        read=data.__getitem__,
        fingerprint="f0",
        problems=[],
    )
    return replace(source, **fields)


def with_bytes(source: Source, changes: dict[int, bytes]) -> Source:
    """The source with other bytes for some images."""
    return replace(source, read=lambda i: changes[i] if i in changes else source.read(i))


def pixels_of(cache: ImageCache) -> NDArray[np.uint8]:
    """The images of a cache that is no stream, uint8 [N, H, W, 3]."""
    assert isinstance(cache.images, np.ndarray)
    return cache.images
