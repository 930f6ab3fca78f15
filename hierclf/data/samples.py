"""WebDataset's samples in tars: files of one name but for their endings, such as 7.jpg and 7.json.

An image and its labels are a sample. The labels are the keys of a JSON object, or texts of their
own (`7.cls`, `7.superclass.txt`). Samples are the rows of a table whose columns have these names.
"""

import json
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hierclf.data.image_kind import has_image_ending
from hierclf.data.listing import Problem
from hierclf.data.parquet_table import cell_text
from hierclf.data.tar_files import TarMember, read_member, tar_members

_JSON, _TEXTS = "json", (".txt", ".cls")
_MOST_OF_A_LABEL = 1 << 20
_SAMPLES_OF_HEADER = 100  # a key may be absent in the first samples


class Sample(NamedTuple):
    """One sample.

    Attributes:
        where: the tar and the key, for messages.
        files: by what follows the key and a dot, in lower case: `jpg`, `json`, `superclass.txt`.
    """

    where: str
    files: dict[str, TarMember]


def samples_in(tar: Path, name: str, problems: list[Problem]) -> list[Sample]:
    """The samples of a tar, in the order of their first files.

    Args:
        tar: the file.
        name: of the tar, for messages.
        problems: the list to add to: a tar that cannot be read, members that must not be read, and
            those that a sample has twice.
    """
    found: dict[str, dict[str, TarMember]] = {}
    try:
        for member in tar_members(tar):
            folder, base = posixpath.split(member.path)
            key, _, ending = base.partition(".")
            files, ending = found.setdefault(posixpath.join(folder, key), {}), ending.lower()
            if unsafe := member.unsafe or ("is in the tar twice" if ending in files else ""):
                problems.append(Problem(f"{name} member {member.path!r}", unsafe, True))
            else:
                files[ending] = member
    except ValueError as error:
        problems.append(Problem(name, str(error), True))
        return []
    return [Sample(f"{name} sample {key!r}", files) for key, files in found.items() if files]


def image_in(sample: Sample, named: str | None) -> TarMember | str:
    """The image of a sample, or the reason why there is none.

    Args:
        sample: the sample.
        named: the ending that the user named, such as `jpg`.
    """
    if named is not None:
        return sample.files.get(named.removeprefix("."), f"the sample has no {named}")
    images = {ending: m for ending, m in sample.files.items() if _is_image(ending)}
    plain = [ending for ending in images if "." not in ending] or list(images)
    if len(plain) == 1:
        return images[plain[0]]
    endings = ", ".join(sorted(images or sample.files)) or "none"
    if not plain:
        return f"the sample has no image (its endings are {endings})"
    return f"the sample has several images ({endings}); name one with --columns image={plain[0]}"


def columns_in(tar: Path, samples: Sequence[Sample]) -> list[str]:
    """The names of what the first samples of a tar have beside their images, in lower case."""
    names: dict[str, None] = {}
    for sample in samples[:_SAMPLES_OF_HEADER]:
        for ending, member in sample.files.items():
            if ending == _JSON:
                with suppress(ValueError):  # the reader of its labels says so
                    names |= dict.fromkeys(_content(tar, member))
            elif not _is_image(ending):
                names[_column(ending)] = None
    return list(names)


def cells_in(tar: Path, sample: Sample, columns: Mapping[str, str]) -> dict[str, str]:
    """The cells of a sample by role, stripped; empty where it has none.

    Args:
        tar: the sample's.
        sample: the sample.
        columns: names that `columns_in` lists, by role.

    Raises:
        ValueError: a file of it holds something else than it should; one line.
    """
    texts = {_column(ending): ending for ending in sample.files if ending != _JSON}
    content: dict[str, object] = {}
    if _JSON in sample.files and not set(columns.values()) <= set(texts):
        content = _content(tar, sample.files[_JSON])
    cells = {}
    for role, column in columns.items():
        cell = content.get(column)
        if cell is None and column in texts:
            cell = _text(tar, sample.files[texts[column]])
        if isinstance(cell, dict | list):
            raise ValueError(f"{column!r} must be text or a number, but is a list or an object")
        cells[role] = cell_text(cell)
    return cells


def _is_image(ending: str) -> bool:
    return has_image_ending(f"image.{ending}")


def _column(ending: str) -> str:
    """The column that a file of a sample is: `superclass` of 7.superclass.txt, `cls` of 7.cls."""
    stem, dot, last = ending.rpartition(".")
    return stem if dot and f".{last}" in _TEXTS else ending


def _content(tar: Path, member: TarMember) -> dict[str, object]:
    """What a JSON file holds, by keys in lower case; ValueError where it is something else."""
    text = _text(tar, member)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{member.path!r} is not valid JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{member.path!r} is JSON, but not an object in {{}}")
    return {key.strip().lower(): value for key, value in content.items()}


def _text(tar: Path, member: TarMember) -> str:
    if member.size > _MOST_OF_A_LABEL:
        what = f"{member.path!r} has {member.size} bytes, more than the limit of {_MOST_OF_A_LABEL}"
        raise ValueError(f"{what} for labels")
    try:
        return read_member(tar, member.offset, member.size).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{member.path!r} is not UTF-8 text") from None
