"""Tables of labelled images: CSV and mapping files, and the checks that every format shares.

A format's reader turns its files into a `Listing`: one `Row` per image, with the user's class ids.
`settle` checks all rows together and keeps the good ones. Problems number rows as a spreadsheet
does: the header is row 1.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hierclf.hierarchy import Hierarchy

# What differs among problems of one kind: quoted names, numbers, and a number's thousands.
_VARIABLE = re.compile(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[0-9]+")


class Problem(NamedTuple):
    """A problem with the data: where ("train_data.csv row 17"), what, and whether it is fatal."""

    where: str
    what: str
    fatal: bool


def short_list(problems: Sequence[Problem], *, most: int = 3) -> list[Problem]:
    """The problems, errors first; if many are of one kind, the first few and a count of the others.

    Problems are of one kind if they differ only in numbers and quoted text.
    """
    kinds: dict[tuple[bool, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[not problem.fatal, _VARIABLE.sub("*", problem.what)].append(problem)
    found = []
    for _, alike in sorted(kinds.items(), key=lambda item: item[0][0]):
        found += alike if len(alike) <= most + 1 else alike[:most]
        if len(alike) > most + 1:
            where = f"{alike[most].where} ... {alike[-1].where}"
            found.append(Problem(where, f"{len(alike) - most} more of this kind", alike[0].fatal))
    return found


class Row(NamedTuple):
    """One labelled image, as its format lists it."""

    where: str
    image: str
    super_id: int
    sub_id: int
    key: Any  # the argument of the listing's `read` and `stamp`; equal keys mean the same image
    missing: str = ""  # the reason why the image cannot be found
    group: str | None = None  # the cell of the `group` column; None without that column
    split: str | None = None  # the cell of the `split` column; None without that column


@dataclass(frozen=True)
class ClassNames:
    """The classes of one level as the user numbers them."""

    names: dict[int, str]  # id -> name, without the novel row
    novel_id: int
    has_novel_row: bool = False  # whether the user named the novel id


@dataclass(frozen=True)
class Listing:
    """What a format's reader found, before all rows are checked together."""

    rows: list[Row]
    super_level: ClassNames
    sub_level: ClassNames
    read: Callable[[Any], bytes]
    stamp: Callable[[Any], Any]  # a JSON value that changes with the image's content
    parquet: Callable[[list[Any]], Any] | None = None  # keys -> where the images are in files


# --- the checks of all rows together ---------------------------------------------------------


def settle(listing: Listing, problems: list[Problem]) -> tuple[list[Row], Hierarchy | None]:
    """Check all rows together; return the rows without duplicates, and the hierarchy.

    The hierarchy is None after a fatal problem. Problems are duplicate images, a sub-class under
    two super-classes, missing images, a class with no image or only one, a single super-class, and
    no image at all.
    """
    rows = _drop_repeats(listing.rows, problems)
    parents = _parents(rows, listing, problems)
    _check_missing(rows, problems)
    _check_counts(rows, listing, problems)
    if any(problem.fatal for problem in problems):
        return rows, None
    super_ids, sub_ids = sorted(set(parents.values())), sorted(parents)
    super_index = {super_id: index for index, super_id in enumerate(super_ids)}
    try:
        hierarchy = Hierarchy(
            super_names=tuple(listing.super_level.names[i] for i in super_ids),
            sub_names=tuple(listing.sub_level.names[i] for i in sub_ids),
            sub_to_super=tuple(super_index[parents[i]] for i in sub_ids),
            super_ids=tuple(super_ids),
            sub_ids=tuple(sub_ids),
            novel_super_id=listing.super_level.novel_id,
            novel_sub_id=listing.sub_level.novel_id,
        )
    except ValueError as error:
        problems.append(Problem("the hierarchy", str(error), True))
        return rows, None
    return rows, hierarchy


def _drop_repeats(rows: list[Row], problems: list[Problem]) -> list[Row]:
    first: dict[Any, Row] = {}
    for row in rows:
        # A missing image has no key; its name stands for it.
        earlier = first.setdefault(("missing", row.image) if row.missing else row.key, row)
        if earlier is row:
            continue
        if (earlier.super_id, earlier.sub_id) == (row.super_id, row.sub_id):
            what = f"image {row.image!r} appears again (first: {earlier.where}); left out"
            problems.append(Problem(row.where, what, False))
        else:
            what = (
                f"image {row.image!r} has the labels {row.super_id}, {row.sub_id} here, "
                f"but {earlier.super_id}, {earlier.sub_id} in {earlier.where}"
            )
            problems.append(Problem(row.where, what, True))
    return list(first.values())


def _parents(rows: list[Row], listing: Listing, problems: list[Problem]) -> dict[int, int]:
    """Super id of each sub id that has an image; adds a problem for each second parent."""
    first: dict[int, Row] = {}
    reported: set[tuple[int, int]] = set()
    for row in rows:
        earlier = first.setdefault(row.sub_id, row)
        if earlier.super_id != row.super_id and (row.sub_id, row.super_id) not in reported:
            reported.add((row.sub_id, row.super_id))
            names = listing.super_level.names
            problems.append(
                Problem(
                    row.where,
                    f"sub-class {listing.sub_level.names[row.sub_id]!r} is under super-class "
                    f"{names[row.super_id]!r} here, but under {names[earlier.super_id]!r} "
                    f"in {earlier.where}",
                    True,
                )
            )
    return {sub_id: row.super_id for sub_id, row in first.items()}


def _check_missing(rows: list[Row], problems: list[Problem]) -> None:
    missing = [row for row in rows if row.missing]
    problems.extend(Problem(row.where, row.missing, False) for row in missing)
    # A few missing images go to the quarantine; this many mean a wrong folder or zip.
    if len(missing) * 2 > len(rows):
        what = f"{len(missing)} of {len(rows)} named images cannot be found"
        problems.append(Problem("the images", what, True))


def _check_counts(rows: list[Row], listing: Listing, problems: list[Problem]) -> None:
    named = Counter(row.sub_id for row in rows)
    found = Counter(row.sub_id for row in rows if not row.missing)
    supers = {row.super_id for row in rows}
    if not rows:
        # If every row was refused, the reasons are in the list already.
        if not any(problem.fatal for problem in problems):
            problems.append(Problem("the images", "no images at all", True))
        return
    for sub_id, name in sorted(listing.sub_level.names.items()):
        where = f"sub-class {name!r} ({sub_id})"
        if sub_id not in named:
            problems.append(Problem(where, "has no image; left out", False))
        elif found[sub_id] < 2:
            what = f"every sub-class needs at least 2 images, but it has {found[sub_id]}"
            problems.append(Problem(where, what, True))
    for super_id, name in sorted(listing.super_level.names.items()):
        if super_id not in supers:
            where = f"super-class {name!r} ({super_id})"
            problems.append(Problem(where, "has no image; left out", False))
    if len(supers) == 1:
        name = listing.super_level.names[next(iter(supers))]
        what = f"the super head needs at least 2 super-classes, but only {name!r} has images"
        problems.append(Problem("the super-classes", what, True))
