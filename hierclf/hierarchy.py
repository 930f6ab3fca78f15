"""The class hierarchy: names, indices, which sub-class belongs to which super-class, and `novel`.

Two numberings exist. *Model indices* count the known classes of a level without gaps, 0..S-1 or
0..C-1, and are what networks and arrays use; `NOVEL` (-1) stands for "none of them". *Ids* are the
integers of the user's mapping files, with any gaps, and are what users read and write.

Shape legend: N images, S super-classes, C sub-classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Level = Literal["super", "sub"]
LEVELS: tuple[Level, Level] = ("super", "sub")

NOVEL = -1
UNLABELLED = -2
"""A class of which nothing is known; NOVEL says that it is none of the known ones."""
NOVEL_NAME = "novel"


def is_novel_name(name: str) -> bool:
    """Whether a class name marks the `novel` row of a mapping, whatever its case and padding."""
    return name.strip().lower() == NOVEL_NAME


def _check_level(level: Level, names: Sequence[str], ids: Sequence[int], novel_id: int) -> None:
    if not names:
        raise ValueError(f"a hierarchy needs at least one {level}-class, but got none")
    if len(ids) != len(names):
        raise ValueError(
            f"`len({level}_ids) == len({level}_names)` must hold, "
            f"but got {len(ids)} and {len(names)}"
        )
    for what, values in (("name", names), ("id", ids)):
        seen: set[object] = set()
        for value in values:
            if value in seen:
                raise ValueError(
                    f"every {level}-class {what} must be unique, but {value!r} repeats"
                )
            seen.add(value)
    for name in names:
        if not name.strip():
            raise ValueError(f"a {level}-class name must not be empty, but got {name!r}")
        if is_novel_name(name):
            raise ValueError(f"a known {level}-class must not be named 'novel', but got {name!r}")
    if not all(-(2**63) <= value < 2**63 for value in (*ids, novel_id)):
        raise ValueError(f"every {level}-class id must fit into 64 bits")
    if novel_id in ids:
        raise ValueError(
            f"the novel {level}-class id must differ from every known id, but got {novel_id}, "
            f"the id of {names[list(ids).index(novel_id)]!r}"
        )


def _to_indices(
    level: Level, values: ArrayLike, ids: Sequence[int], novel_id: int
) -> NDArray[np.int64]:
    """Map ids to model indices through a sorted look-up; the novel id becomes NOVEL."""
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{level}-class ids must be integers, but got dtype {array.dtype}")
    array = array.astype(np.int64)
    table = np.array([*ids, novel_id], dtype=np.int64)
    order = np.argsort(table)
    position = np.searchsorted(table[order], array).clip(max=len(table) - 1)
    index = order[position]
    unknown = table[index] != array
    if unknown.any():
        raise ValueError(f"unknown {level}-class id {int(array[unknown].flat[0])}")
    return np.where(index == len(ids), NOVEL, index).astype(np.int64)


def _to_ids(
    level: Level, values: ArrayLike, ids: Sequence[int], novel_id: int
) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{level}-class indices must be integers, but got dtype {array.dtype}")
    array = array.astype(np.int64)
    outside = (array < NOVEL) | (array >= len(ids))
    if outside.any():
        raise ValueError(
            f"a {level}-class index must lie in {NOVEL}..{len(ids) - 1}, "
            f"but got {int(array[outside].flat[0])}"
        )
    # The novel id stands last, where the index -1 finds it.
    return np.array([*ids, novel_id], dtype=np.int64)[array]


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Two levels of known classes and the novel ids. Immutable; validates itself.

    Attributes:
        super_names: S names, by model index.
        sub_names: C names, by model index.
        sub_to_super: C super model indices: the parent of each sub-class.
        super_ids: S ids of the user's mapping.
        sub_ids: C ids of the user's mapping.
        novel_super_id: id that stands for a novel super-class; never a known id.
        novel_sub_id: id that stands for a novel sub-class; never a known id.

    Raises:
        ValueError: lengths that differ, a name or id twice, a known class named `novel`, a novel id
            among the known ones, a parent out of range, or a super-class without a sub-class.
    """

    super_names: tuple[str, ...]
    sub_names: tuple[str, ...]
    sub_to_super: tuple[int, ...]
    super_ids: tuple[int, ...]
    sub_ids: tuple[int, ...]
    novel_super_id: int
    novel_sub_id: int

    def __post_init__(self) -> None:
        _check_level("super", self.super_names, self.super_ids, self.novel_super_id)
        _check_level("sub", self.sub_names, self.sub_ids, self.novel_sub_id)
        if len(self.sub_to_super) != self.n_sub:
            raise ValueError(
                f"`len(sub_to_super) == len(sub_names)` must hold, "
                f"but got {len(self.sub_to_super)} and {self.n_sub}"
            )
        for name, parent in zip(self.sub_names, self.sub_to_super, strict=True):
            if not 0 <= parent < self.n_super:
                raise ValueError(
                    f"the parent of sub-class {name!r} must lie in 0..{self.n_super - 1}, "
                    f"but got {parent}"
                )
        parents = set(self.sub_to_super)
        for index, name in enumerate(self.super_names):
            if index not in parents:
                raise ValueError(f"every super-class needs a sub-class, but {name!r} has none")

    @property
    def n_super(self) -> int:
        """S, the number of known super-classes."""
        return len(self.super_names)

    @property
    def n_sub(self) -> int:
        """C, the number of known sub-classes."""
        return len(self.sub_names)

    def super_name(self, index: int) -> str:
        """Name of a super model index; "novel" for NOVEL."""
        return NOVEL_NAME if index == NOVEL else self.super_names[index]

    def sub_name(self, index: int) -> str:
        """Name of a sub model index; "novel" for NOVEL."""
        return NOVEL_NAME if index == NOVEL else self.sub_names[index]

    def encode(
        self, super_ids: ArrayLike, sub_ids: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """User ids [N] and [N] -> model indices, int64 [N] and [N]; novel ids become NOVEL.

        Raises:
            ValueError: an id that is neither known nor the novel one, naming it.
        """
        return (
            _to_indices("super", super_ids, self.super_ids, self.novel_super_id),
            _to_indices("sub", sub_ids, self.sub_ids, self.novel_sub_id),
        )

    def decode(
        self, super_indices: ArrayLike, sub_indices: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Model indices [N] and [N] -> user ids, int64 [N] and [N]; NOVEL becomes the novel id.

        Raises:
            ValueError: an index below NOVEL or beyond the last class.
        """
        return (
            _to_ids("super", super_indices, self.super_ids, self.novel_super_id),
            _to_ids("sub", sub_indices, self.sub_ids, self.novel_sub_id),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: lists, strings and integers; `from_dict` restores it."""
        return {
            "super_names": list(self.super_names),
            "sub_names": list(self.sub_names),
            "sub_to_super": [int(i) for i in self.sub_to_super],
            "super_ids": [int(i) for i in self.super_ids],
            "sub_ids": [int(i) for i in self.sub_ids],
            "novel_super_id": int(self.novel_super_id),
            "novel_sub_id": int(self.novel_sub_id),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Hierarchy:
        """Restore what `to_dict` wrote.

        Raises:
            ValueError: a missing or unknown key, a value of another type, or a refused hierarchy.
        """
        keys = set(Hierarchy.__dataclass_fields__)
        if not isinstance(data, dict) or set(data) != keys:
            got = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
            raise ValueError(f"a hierarchy must have the keys {sorted(keys)}, but got {got}")
        return Hierarchy(
            super_names=_typed(data, "super_names", str),
            sub_names=_typed(data, "sub_names", str),
            sub_to_super=_typed(data, "sub_to_super", int),
            super_ids=_typed(data, "super_ids", int),
            sub_ids=_typed(data, "sub_ids", int),
            novel_super_id=_typed_one(data, "novel_super_id"),
            novel_sub_id=_typed_one(data, "novel_sub_id"),
        )


def _typed(data: dict[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    values = data[key]
    if not isinstance(values, list | tuple) or any(type(v) is not kind for v in values):
        raise ValueError(f"`{key}` of a hierarchy must be a list of {kind.__name__}")
    return tuple(values)


def _typed_one(data: dict[str, Any], key: str) -> int:
    value = data[key]
    if type(value) is not int:
        raise ValueError(f"`{key}` of a hierarchy must be an integer, but got {value!r}")
    return value
