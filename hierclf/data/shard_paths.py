"""Which tar files a path means: one, those of a folder, or those of a pattern with braces."""

import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.data.file_names import is_hidden
from hierclf.data.listing import Problem
from hierclf.data.splits import TRAIN, split_of

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")
_MOST_SHARDS = 100_000


class Shard(NamedTuple):
    """One tar of a set.

    Attributes:
        file: its path.
        split: of all its samples; None where no name of the set tells one.
    """

    file: Path
    split: str | None = None


def is_pattern(path: str) -> bool:
    """Whether a path is a pattern of tars, such as `shards/train-{0000..0099}.tar`."""
    return path.endswith(".tar") and _BRACES.search(path) is not None


def shards_of_pattern(pattern: str, problems: list[Problem]) -> list[Shard]:
    """The tars that a pattern names; none after a problem, such as tars that are not there.

    Args:
        pattern: with `{FIRST..LAST}` or `{A,B}` in it, any number of times.
        problems: the list to add to.
    """
    try:
        names = expanded(pattern)
    except ValueError as error:
        problems.append(Problem(pattern, str(error), True))
        return []
    files = [Path(name).expanduser() for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        what = counted(len(missing), "shard is not there", "shards are not there")
        what = f"{what}, of {len(files)} (first: {missing[0]})"
        problems.append(Problem(pattern, what, True))
        return []
    return _with_splits(files)


def shards_in(folder: Path) -> list[Shard]:
    """The tars directly in a folder, or else those in its folders train, val and test; sorted."""
    if files := _tars(folder):
        return _with_splits(files)
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and split_of(path.name))
    return [Shard(file, split_of(path.name)) for path in inner for file in _tars(path)]


def common_folder(shards: Sequence[Shard]) -> Path:
    """The folder that all shards, at least one, lie in or below."""
    return Path(os.path.commonpath([shard.file.absolute().parent for shard in shards]))


def shard_names(shards: Sequence[Shard]) -> list[str]:
    """What messages and tables of results call each: its path in the folder of all."""
    folder = common_folder(shards)
    return [shard.file.absolute().relative_to(folder).as_posix() for shard in shards]


def _tars(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.glob("*.[tT][aA][rR]")
        if path.is_file() and not is_hidden(path.name)
    )


def _with_splits(files: Sequence[Path]) -> list[Shard]:
    """The split that each name tells, such as `train-0001.tar`; train where others tell one."""
    splits = [_split_in(file.stem) for file in files]
    if not set(splits) - {None, TRAIN}:
        return [Shard(file) for file in files]
    return [Shard(file, split or TRAIN) for file, split in zip(files, splits, strict=True)]


def _split_in(stem: str) -> str | None:
    """The split that a word of a name means, such as `cifar100-test-0003`."""
    found = {split_of(word) for word in re.split(r"[\W\d_]+", stem)} - {None}
    return found.pop() if len(found) == 1 else None


def expanded(pattern: str) -> list[str]:
    """The names that a pattern stands for, in its order.

    Raises:
        ValueError: braces that hold something else, or too many names.
    """
    pieces: list[list[str]] = []
    count = 1
    for position, text in enumerate(_BRACES.split(pattern)):
        choices = [text] if position % 2 == 0 else _choices(text)
        count *= len(choices)
        if count > _MOST_SHARDS:
            raise ValueError(f"the pattern names more than {_MOST_SHARDS:,} shards")
        pieces.append(choices)
    return ["".join(parts) for parts in itertools.product(*pieces)]


def _choices(text: str) -> list[str]:
    if found := _RANGE.fullmatch(text):
        first, last = found.groups()
        if int(last) - int(first) >= _MOST_SHARDS:
            raise ValueError(f"the pattern names more than {_MOST_SHARDS:,} shards")
        numbers = [str(i).zfill(len(first)) for i in range(int(first), int(last) + 1)]
        if numbers:
            return numbers
    elif "," in text:
        return [choice.strip() for choice in text.split(",")]
    what = "braces must hold FIRST..LAST, such as {0000..0099}, or names with commas"
    raise ValueError(f"{what}, but got {{{text}}}")
