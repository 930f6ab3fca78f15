"""The built-in demo set: 64x64 RGB pictures drawn by code, with novel classes in its test split.

The shape decides the super-class; texture, number and arrangement decide the sub-class. One of the
five super-classes is novel, and one in five sub-classes of each other super-class: the training
split has 4 super-classes with 16 sub-classes, the test split all 25 sub-classes. A picture depends
only on seed, split and position, so that each can be drawn alone; numpy's generators make it
reproducible to the bit.

Shape legend: N images.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.drawing import SIZE, draw
from hierclf.data.source import Source
from hierclf.hierarchy import NOVEL, Hierarchy
from hierclf.io.atomic import draft_of

Split = Literal["train", "test"]

TRAIN_PER_CLASS = 75
TEST_PER_CLASS = 25
NOVEL_SUPER_ID = 2
NOVEL_SUB_ID = 7
_SPLITS: tuple[Split, ...] = ("train", "test")


def demo_arrays(seed: int = 0, *, split: Split) -> DemoArrays:
    """Draw one whole split of the demo set (about two seconds for `train`).

    Args:
        seed: an integer >= 0; another seed gives other pictures of the same classes.
        split: "train" (known classes only) or "test" (known and novel classes).

    Raises:
        ValueError: a negative seed or an unknown split.
    """
    order = _plan(seed, split)
    images = np.empty((len(order), SIZE, SIZE, 3), dtype=np.uint8)
    for index in range(len(order)):
        images[index] = _picture(seed, split, index)
    supers, subs = _labels(order)
    return DemoArrays(images, supers, subs, tuple(_CLASSES[k].name for k in order))


def demo_source(seed: int = 0, split: Split = "train") -> Source:
    """The demo set as a source; each picture is drawn when it is read.

    Raises:
        ValueError: a negative seed or an unknown split.
    """
    order = _plan(seed, split)
    supers, subs = _labels(order)
    return Source(
        name=f"demo:{seed} ({split})",
        images=_image_names(len(order)),
        super_labels=supers,
        sub_labels=subs,
        hierarchy=DEMO_HIERARCHY,
        read=partial(_picture, seed, split),
        fingerprint=_fingerprint(seed, split),
        problems=[],
    )


def write_demo(directory: str | Path, seed: int = 0) -> None:
    """Write the demo set in the release layout; replace files of the same names.

    The files are train_images.zip, train_data.csv, superclass_mapping.csv, subclass_mapping.csv
    (both with a `novel` row), test_images.zip and test_labels.csv (with the novel ids).

    Raises:
        ValueError: a negative seed.
        OSError: the disk is full, or another error of the file system; it names the file.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    known = DEMO_HIERARCHY
    supers = [*zip(known.super_ids, known.super_names, strict=True), (NOVEL_SUPER_ID, "novel")]
    subs = [*zip(known.sub_ids, known.sub_names, strict=True), (NOVEL_SUB_ID, "novel")]
    _write_csv(folder / "superclass_mapping.csv", ("index", "class"), sorted(supers))
    _write_csv(folder / "subclass_mapping.csv", ("index", "class"), sorted(subs))

    header = ("image", "superclass_index", "subclass_index")
    for split, table in zip(_SPLITS, ("train_data.csv", "test_labels.csv"), strict=True):
        data = demo_arrays(seed, split=split)
        names = _image_names(len(data.images))
        _write_images(folder / f"{split}_images.zip", f"{split}_images", names, data.images)
        ids = known.decode(data.super_labels, data.sub_labels)
        _write_csv(folder / table, header, zip(names, *(i.tolist() for i in ids), strict=True))


# --- which picture shows what ----------------------------------------------------------------


@cache
def _plan(seed: int, split: Split) -> tuple[int, ...]:
    """Position in _CLASSES of each image, shuffled so that positions do not reveal classes."""
    if seed < 0:
        raise ValueError(f"`seed >= 0` must hold for the demo set, but got seed={seed}")
    if split not in _SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(_SPLITS)}, but got {split!r}")
    shown = [k for k, c in enumerate(_CLASSES) if split == "test" or not c.novel]
    each = TRAIN_PER_CLASS if split == "train" else TEST_PER_CLASS
    rng = np.random.default_rng([seed, _SPLITS.index(split)])
    return tuple(rng.permutation(np.repeat(shown, each)).tolist())


def _picture(seed: int, split: Split, index: int) -> NDArray[np.uint8]:
    what = _CLASSES[_plan(seed, split)[index]]
    rng = np.random.default_rng([seed, _SPLITS.index(split), index])
    return draw(what.shape, what.texture, what.arrangement, rng)


def _labels(order: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Model indices, int64 [N] and [N]; NOVEL where the class is novel."""
    supers = {name: i for i, name in enumerate(DEMO_HIERARCHY.super_names)}
    subs = {name: i for i, name in enumerate(DEMO_HIERARCHY.sub_names)}
    shapes, names = [_CLASSES[k].shape for k in order], [_CLASSES[k].name for k in order]
    return (
        np.array([supers.get(shape, NOVEL) for shape in shapes], dtype=np.int64),
        np.array([subs.get(name, NOVEL) for name in names], dtype=np.int64),
    )


def _image_names(count: int) -> list[str]:
    return [f"{index}.png" for index in range(count)]


def _fingerprint(seed: int, split: Split) -> str:
    """Hash of the parameters and each class's first picture; it changes if the drawing does."""
    order = _plan(seed, split)
    digest = hashlib.sha256(repr((seed, split, order, DEMO_HIERARCHY)).encode())
    for k in sorted(set(order)):
        digest.update(_picture(seed, split, order.index(k)).tobytes())
    return digest.hexdigest()


def _hierarchy(classes: Sequence[_Class]) -> Hierarchy:
    """The known classes; their ids skip the novel id, which lies between them."""
    known = [c for c in classes if not c.novel]
    supers = tuple(sorted({c.shape for c in known}))
    return Hierarchy(
        super_names=supers,
        sub_names=tuple(c.name for c in known),
        sub_to_super=tuple(supers.index(c.shape) for c in known),
        super_ids=_ids_without(NOVEL_SUPER_ID, len(supers)),
        sub_ids=_ids_without(NOVEL_SUB_ID, len(known)),
        novel_super_id=NOVEL_SUPER_ID,
        novel_sub_id=NOVEL_SUB_ID,
    )


def _ids_without(novel: int, count: int) -> tuple[int, ...]:
    return tuple(i for i in range(count + 1) if i != novel)


# --- files -----------------------------------------------------------------------------------


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_images(path: Path, folder: str, names: Sequence[str], images: NDArray[np.uint8]) -> None:
    """Write PNG files into a zip, without dates: equal pictures give equal zips."""
    with draft_of(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name, image in zip(names, images, strict=True):
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG", compress_level=1)
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), png.getvalue())


class DemoArrays(NamedTuple):
    """One split of the demo set."""

    images: NDArray[np.uint8]  # [N, 64, 64, 3]
    super_labels: NDArray[np.int64]  # [N], model indices; NOVEL for a novel super-class
    sub_labels: NDArray[np.int64]  # [N], model indices; NOVEL for a novel sub-class
    class_names: tuple[str, ...]  # N true sub-class names, the novel ones too ("heart dotted trio")


class _Class(NamedTuple):
    """A sub-class: what its pictures show, and whether training never shows it."""

    shape: str
    texture: str
    arrangement: str
    novel: bool = False

    @property
    def name(self) -> str:
        number = "" if self.arrangement == "single" else f" {self.arrangement}"
        return f"{self.shape} {self.texture}{number}"


# Super-classes alternate, so that no code can rely on sub-classes sorted by super-class. Every
# novel sub-class of a known shape combines a texture and an arrangement that training has only
# seen separately.
_CLASSES = (
    _Class("cross", "checked", "single"),
    _Class("fish", "striped", "single"),
    _Class("leaf", "plain", "single"),
    _Class("star", "ringed", "single"),
    _Class("cross", "striped", "pair"),
    _Class("fish", "striped", "pair"),
    _Class("leaf", "dotted", "pair"),
    _Class("star", "dotted", "single"),
    _Class("cross", "plain", "trio"),
    _Class("fish", "dotted", "single"),
    _Class("leaf", "striped", "trio"),
    _Class("star", "checked", "pair"),
    _Class("cross", "checked", "row"),
    _Class("fish", "plain", "trio"),
    _Class("leaf", "dotted", "row"),
    _Class("star", "striped", "row"),
    _Class("cross", "dotted", "single", novel=True),
    _Class("fish", "checked", "pair", novel=True),
    _Class("leaf", "ringed", "single", novel=True),
    _Class("star", "plain", "trio", novel=True),
    _Class("heart", "striped", "single", novel=True),
    _Class("heart", "ringed", "pair", novel=True),
    _Class("heart", "dotted", "trio", novel=True),
    _Class("heart", "checked", "single", novel=True),
    _Class("heart", "plain", "row", novel=True),
)
DEMO_HIERARCHY = _hierarchy(_CLASSES)
