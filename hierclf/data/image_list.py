"""A list of images to predict: names, and what it takes to read each of them, in any process."""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hierclf.data.image_kind import SUFFIXES

Reader = Callable[[], bytes]
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class ImageFiles:
    """Images of which only the names are in memory; iterate for (name, function that reads).

    Names, places and `read_at` may be sent to other processes that see the same storage.

    Attributes:
        names: all different.
        places: where each image is, for `read_at`.
        read_at: encoded bytes of the image at a place, safe among threads; raises ValueError or
            OSError for what is wrong with the image.
        left_out: paths of files in the same place that are no images.
        holders: path, size and time of each file that holds several of the images.
    """

    names: Sequence[str]
    places: Sequence[Any]
    read_at: Callable[[Any], bytes]
    left_out: Sequence[str] = ()
    holders: Sequence[tuple[str, int, int | None]] = ()

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes:
        """Encoded bytes of image i; raises as `read_at`."""
        return self.read_at(self.places[index])

    def __iter__(self) -> Iterator[tuple[str, Reader]]:
        for index, name in enumerate(self.names):
            yield name, partial(self.read, index)


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that compares runs of digits as numbers: 2.jpg before 10.jpg."""
    parts: list[Any] = _DIGITS.split(name)
    # Length and digits, not int(): no limit on digits. Text and numbers alternate, so that equal
    # positions always hold equal types.
    parts[1::2] = [(len(bare := digits.lstrip("0")), bare) for digits in parts[1::2]]
    return tuple(parts), name


def named(files: ImageFiles) -> ImageFiles:
    """The images whose names are paths, under the names of this module and in natural order."""
    names = [posixpath.basename(path) for path in files.names]
    if len(set(names)) < len(names):
        names = list(files.names)
    order = sorted(range(len(names)), key=lambda index: natural_key(names[index]))
    return replace(
        files,
        names=[names[index] for index in order],
        places=[files.places[index] for index in order],
        left_out=sorted(files.left_out, key=natural_key),
    )


def some(found: Any, where: object) -> Any:
    """What was found; ValueError if it is nothing."""
    if not found:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"{where} must hold at least one image ({endings}), but holds none")
    return found
