"""Sets that torchvision downloads, with a table of their images and classes beside.

torchvision fetches, checks and unpacks a set; what it makes of it is not used. The table is written
from the files that the set comes with.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from hierclf.errors import one_line
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked

TORCHVISION = "torchvision:"
TABLE = "labels.csv"
_HEADER = ("image", "superclass", "subclass", "split")
_NO_SUPER = ""
# image, super-class, sub-class, split; the super-class is empty in sets of one level
_Row = tuple[str, str, str, str]


def torchvision_table(name: str, cache: Path) -> Path:
    """The table of a set of torchvision, downloaded where it is not there yet.

    Args:
        name: `torchvision:NAME`.
        cache: the folder of all sets of torchvision.

    Raises:
        ValueError: none of the known sets, or it cannot be downloaded.
    """
    title = name.removeprefix(TORCHVISION)
    if title not in _ROWS:
        hint = (
            "; CIFAR-100 is pickled there: take hf://uoft-cs/cifar100" if "CIFAR" in title else ""
        )
        raise ValueError(f"the set must be one of {', '.join(_ROWS)}, but got {title!r}{hint}")
    folder = cache / title
    if not folder.is_dir():
        with locked(folder.with_name(f"{title}.lock")):
            if not folder.is_dir():
                # From the beginning: torchvision takes a set that it half unpacked for whole.
                with draft_of(folder) as draft:
                    draft.mkdir()
                    _download(title, draft)
                    write_table(title, draft)
    return folder / TABLE


def write_table(title: str, root: Path) -> None:
    """Write `labels.csv` beside a set of torchvision.

    Args:
        title: the set's name.
        root: the folder that torchvision has downloaded it into.

    Raises:
        ValueError: its files are not as expected.
    """
    try:
        rows = list(_ROWS[title](root))
        keep = [i for i in range(len(_HEADER)) if i != 1 or rows[0][1] != _NO_SUPER]
    except (OSError, ValueError, KeyError, IndexError) as error:
        what = f"{title}'s own list of images is not as expected"
        raise ValueError(f"{what}: {one_line(error)}") from None
    with (root / TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([row[i] for i in keep] for row in [_HEADER, *rows])


def _download(title: str, root: Path) -> None:
    from torchvision import datasets

    try:
        getattr(datasets, title)(root, download=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"torchvision cannot download {title}: {one_line(error)}") from None


def _pets(root: Path) -> Iterator[_Row]:
    """Cats and dogs, 37 breeds. A line: Abyssinian_100 BREED-ID SPECIES-ID ID-IN-SPECIES."""
    for split, part in (("train", "trainval"), ("test", "test")):
        for line in _lines(root / f"oxford-iiit-pet/annotations/{part}.txt"):
            image, _, species, _ = line.split()
            breed = image.rpartition("_")[0].replace("_", " ").lower()
            path = f"oxford-iiit-pet/images/{image}.jpg"
            yield path, ("cat", "dog")[int(species) - 1], breed, split


def _aircraft(root: Path) -> Iterator[_Row]:
    """30 manufacturers, 100 variants. A line: 1025794 Boeing."""
    data = root / "fgvc-aircraft-2013b/data"
    for split in ("train", "val", "test"):
        makers, variants = (
            dict(line.split(" ", 1) for line in _lines(data / f"images_{level}_{split}.txt"))
            for level in ("manufacturer", "variant")
        )
        for image, variant in variants.items():
            yield f"{data.relative_to(root)}/images/{image}.jpg", makers[image], variant, split


def _food(root: Path) -> Iterator[_Row]:
    """101 dishes; {"apple_pie": ["apple_pie/1005649", ...], ...}."""
    for split in ("train", "test"):
        lists = json.loads((root / f"food-101/meta/{split}.json").read_text(encoding="utf-8"))
        for dish, images in lists.items():
            for image in images:
                yield f"food-101/images/{image}.jpg", _NO_SUPER, dish, split


def _flowers(root: Path) -> Iterator[_Row]:
    """102 flowers, by the names that torchvision gives their numbers."""
    from scipy.io import loadmat
    from torchvision.datasets import Flowers102

    base = root / "flowers-102"
    numbers = loadmat(base / "imagelabels.mat", squeeze_me=True)["labels"]
    parts = loadmat(base / "setid.mat", squeeze_me=True)
    for split, part in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        for image in parts[part]:
            name = Flowers102.classes[int(numbers[image - 1]) - 1]
            yield f"flowers-102/jpg/image_{image:05d}.jpg", _NO_SUPER, name, split


def _textures(root: Path) -> Iterator[_Row]:
    """47 textures, in the first of ten divisions; a line: banded/banded_0002.jpg."""
    for split in ("train", "val", "test"):
        for line in _lines(root / f"dtd/dtd/labels/{split}1.txt"):
            yield f"dtd/dtd/images/{line}", _NO_SUPER, line.partition("/")[0], split


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


_ROWS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    "OxfordIIITPet": _pets,
    "FGVCAircraft": _aircraft,
    "Food101": _food,
    "Flowers102": _flowers,
    "DTD": _textures,
}
