"""Images that stay encoded in Parquet files until a batch needs them, for sets too large to decode.

The reader names all its batches in advance. Row groups are decoded in the order in which they are
first needed, in any process (`MapGroups`), and their images wait here for their batch. How many
wait depends on the order of the rows in the batches, not on the number of images.

Shape legend: N images, H height, W width, B images of a batch, n images of a part.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from hierclf.data.encoded import with_jpeg_end
from hierclf.data.images import fit_square, read_rgb
from hierclf.data.parquet_images import ParquetImages, cell_bytes, read_group

SHUFFLE_BYTES = 1 << 28
"""Size of the shuffle buffer: decoded images in the memory of the process that trains."""
_PART = 64  # images decoded before they are passed on

Part = dict[str, Any]
"""Arrays by name, each with one row per image."""


class Group(NamedTuple):
    """Images of one row group.

    Attributes:
        file, column, group: where the bytes of these images are.
        places: int64 [n], rows within the row group.
        rows: int64 [n], the numbers of these images in the set.
        keep_truncated: as in `ParquetImages`.
    """

    file: str
    column: str
    group: int
    places: np.ndarray
    rows: np.ndarray
    keep_truncated: bool = False


MapGroups = Callable[[Callable[[Group], Iterator[Part]], Sequence[Group]], Iterator[Part]]
"""Calls a function on each group, and yields the parts of all groups in the order of the groups.
The function may run in other processes or on other machines, a few groups ahead of the reader."""


def map_here(
    function: Callable[[Group], Iterator[Part]], groups: Sequence[Group]
) -> Iterator[Part]:
    """A `MapGroups` that runs in this process."""
    return chain.from_iterable(map(function, groups))


@dataclass(frozen=True)
class ImageStream:
    """Images in Parquet files, with the shape of the array that would hold them.

    Attributes:
        shape: N, H, W, 3.
        parquet: where the N images are.
        over: runs the decoding of row groups.
    """

    shape: tuple[int, int, int, int]
    parquet: ParquetImages
    over: MapGroups

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield uint8 [B, H, W, 3] for each batch of rows, int64 [B], in the given order.

        A row may occur once in all batches. Each row group that is needed is read once, and its
        decoded images wait for their batch: rows that are far apart in the files and close together
        in the batches take memory. Ascending rows need little more than one row group; rows in the
        order of `shuffled` need `SHUFFLE_BYTES` and one row group.

        Raises:
            ValueError: an image can no longer be read.
        """
        decode = partial(decode_group, height=self.shape[1], width=self.shape[2])
        parts = self.over(decode, groups_of(self.parquet, np.concatenate(batches)))
        waiting: dict[int, np.ndarray] = {}
        for rows in batches:
            images = []
            for row in rows.tolist():
                while row not in waiting:
                    part = next(parts)
                    # Copies: the part itself may lie in shared memory, which can then be freed.
                    found = zip(part["row"].tolist(), map(np.array, part["image"]), strict=True)
                    waiting.update(found)
                images.append(waiting.pop(row))
            yield np.stack(images)

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The rows, int64 [n], in a random order that can be read in bounded memory.

        Row groups come in a random order, and each image is delayed by a random number of images,
        at most as many as `SHUFFLE_BYTES` holds. A smaller set is shuffled almost completely; a
        batch of a larger set holds images of the row groups that were read last, so the images in
        the files should be in random order. The same generator gives the same order, whichever
        process decodes, and however fast.
        """
        n_bytes = int(np.prod(self.shape[1:]))
        reach = max(1, SHUFFLE_BYTES // n_bytes)
        groups = self.parquet.places[rows, :2]
        _, number = np.unique(groups, axis=0, return_inverse=True)
        number = number.reshape(-1)  # one numpy release gave it another shape
        turn = rng.permutation(int(number.max(initial=-1)) + 1)
        arriving = rows[np.argsort(turn[number], kind="stable")]
        return arriving[np.argsort(np.arange(len(rows)) + rng.uniform(0, reach, len(rows)))]


def groups_of(parquet: ParquetImages, rows: np.ndarray) -> list[Group]:
    """The row groups that hold the given rows, int64 [n], in the order of first need."""
    _, first, number = np.unique(
        parquet.places[rows, :2], axis=0, return_index=True, return_inverse=True
    )
    turn = first[number.reshape(-1)]
    order = np.lexsort((rows, turn))
    cuts = np.flatnonzero(np.diff(turn[order])) + 1
    found = []
    for part in np.split(rows[order], cuts) if len(rows) else []:
        file, group, _ = parquet.places[part[0]].tolist()
        places = parquet.places[part, 2]
        where = parquet.files[file], parquet.columns[file], group
        found.append(Group(*where, places, part, parquet.keep_truncated))
    return found


def decode_group(group: Group, *, height: int, width: int) -> Iterator[Part]:
    """Decode the images of a group, and resize those of another size.

    Yields:
        Parts with `row` and `image`.

    Raises:
        ValueError: an image cannot be read.
    """
    read = group_reader(group)
    for start in range(0, len(group.rows), _PART):
        rows, images = group.rows[start : start + _PART], []
        for row, place in zip(rows, group.places[start : start + _PART], strict=True):
            try:
                image = read_rgb(read, int(place))
            except ValueError as error:
                where = f"{group.file}, row group {group.group}, row {place}"
                raise ValueError(
                    f"image {row} ({where}) must stay readable during training, but: {error}"
                ) from None
            images.append(image if image.shape[:2] == (height, width) else fit_square(image, width))
        yield {"row": rows, "image": np.stack(images)}


def group_reader(group: Group) -> Callable[[int], bytes]:
    """A function from a row of the group to its encoded image; it reads the group once, whole."""

    @cache
    def cells() -> Any:
        return read_group(group.file, group.group, group.column)

    def read(place: int) -> bytes:
        data = cell_bytes(cells()[place])
        return with_jpeg_end(data) if group.keep_truncated else data

    return read
