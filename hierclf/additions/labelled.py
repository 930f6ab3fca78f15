"""Images of new classes, as a person names them: a place and one class, or a table of several.

Shape legend: M images of new classes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.data.classes import Labelled
from hierclf.data.image_files import list_images
from hierclf.data.image_store import ImageStore
from hierclf.data.labelled_tables import Part, read_parts
from hierclf.data.listing import Problem
from hierclf.data.table_files import TABLE_ENDINGS, is_table
from hierclf.discovery.names import is_proposed

FEWEST = 2
"""Images of a class: one to train on and one to validate on."""


class NewClass(NamedTuple):
    """A sub-class and its super-class, by name."""

    superclass: str
    subclass: str


@dataclass(frozen=True)
class NewImages:
    """Images of new classes; their labels are checked, their pixels are not read yet.

    Attributes:
        table: that names them, as it was given; None where they are of one class.
        images: where they are, as it was given; None beside the table.
        names: M image names.
        labels: int64 [M], the number of each image's class.
        classes: by that number, in the order of their first image.
        read: returns the encoded bytes of image i; raises ValueError or OSError.
        notes: what was left out, a sentence each.
    """

    table: str | None
    images: str | None
    names: list[str]
    labels: NDArray[np.int64]
    classes: list[NewClass]
    read: Callable[[int], bytes]
    notes: Sequence[str] = ()


def new_images(
    place: str,
    *,
    subclass: str | None = None,
    superclass: str | None = None,
    images: str | None = None,
    zip_encoding: str | None = None,
) -> NewImages:
    """Images of one class that is given, or of the classes that a table gives.

    Args:
        place: the images, or the table.
        subclass, superclass: of the images; None where `place` is a table.
        images: where the table's images are; None beside it.
        zip_encoding: of names in zips that are not marked as UTF-8.

    Raises:
        ValueError: as `one_class` and `from_table`, or arguments that do not belong together.
    """
    if (subclass is None) != (superclass is None) or (subclass is not None and images is not None):
        raise ValueError(
            "images of one class need the names of sub-class and super-class, a table neither, but "
            f"got sub-class {subclass!r}, super-class {superclass!r} and the table's images "
            f"{images!r}"
        )
    if subclass is not None and superclass is not None:
        return one_class(place, NewClass(superclass, subclass), zip_encoding=zip_encoding)
    return from_table(place, images=images, zip_encoding=zip_encoding)


def one_class(place: str, new: NewClass, *, zip_encoding: str | None = None) -> NewImages:
    """All images of a place, which are of one class.

    Args:
        place: a file, folder, .zip, 'pattern' or .parquet.
        new: their class.
        zip_encoding: of names in zips that are not marked as UTF-8.

    Raises:
        ValueError: no images there, or fewer than two.
    """
    files = list_images(place, zip_encoding=zip_encoding)
    labels = np.zeros(len(files), dtype=np.int64)
    _check_counts([new], labels)
    return NewImages(None, place, list(files.names), labels, [new], files.read)


def from_table(
    table: str, *, images: str | None = None, zip_encoding: str | None = None
) -> NewImages:
    """The images of a table that give a sub-class, such as novel.csv of `hierclf novel`.

    Rows without a sub-class are left out, and rows whose sub-class still has the name that
    `hierclf novel` proposed.

    Args:
        table: a table of columns for image, super-class and sub-class, by their usual names.
        images: the place of the images, named as `hierclf predict` and `hierclf novel` name them;
            None looks for them in the folder of the table.
        zip_encoding: of names in zips that are not marked as UTF-8.

    Raises:
        ValueError: no such table, or anything wrong with a row; the first problem, in one line.
    """
    path = Path(table).expanduser()
    if not is_table(path):
        endings = ", ".join(TABLE_ENDINGS)
        raise ValueError(
            f"images of one class need its names, --sub and --super; a table ({endings}) gives "
            f"them itself, but got {table!r}"
        )
    problems: list[Problem] = []
    try:
        rows, read = _rows(path, images, zip_encoding, problems)
    except OSError as error:
        raise ValueError(f"{table} cannot be read: {error.strerror or error}") from None
    kept, notes = _named(rows)
    problems += [Problem(row.where, row.refused or row.missing, True) for row in kept]
    fatal = [problem for problem in problems if problem.fatal and problem.what]
    if fatal:
        raise ValueError(f"{table}: {fatal[0].where}: {fatal[0].what}")
    _check_once(table, kept)
    if not kept:
        reasons = "; ".join(notes) or "it has no rows"
        raise ValueError(f"{table} must give images a new sub-class, but gives none: {reasons}")
    found = [NewClass(*row.labels) for row in kept]
    classes = list(dict.fromkeys(found))
    labels = np.array([classes.index(new) for new in found], dtype=np.int64)
    _check_parents(table, classes)
    _check_counts(classes, labels)
    names = [row.image for row in kept]
    return NewImages(table, images, names, labels, classes, lambda i: read(kept[i]), notes)


def only(new: NewImages, kept: Sequence[NewClass], *, note: str = "") -> NewImages:
    """The images of some of the classes, in the order of `kept`.

    Args:
        new: images of these classes and others.
        kept: some of `new.classes`.
        note: a sentence on the others.
    """
    number_of = {number: kept.index(c) for number, c in enumerate(new.classes) if c in kept}
    rows = [row for row, label in enumerate(new.labels.tolist()) if label in number_of]
    return NewImages(
        new.table,
        new.images,
        [new.names[row] for row in rows],
        np.array([number_of[int(new.labels[row])] for row in rows], dtype=np.int64),
        list(kept),
        lambda i: new.read(rows[i]),
        [*new.notes, *([note] if note else [])],
    )


def _rows(
    path: Path, images: str | None, zip_encoding: str | None, problems: list[Problem]
) -> tuple[list[Labelled], Callable[[Labelled], bytes]]:
    """The rows of a table, those without an image with the reason, and a function that reads."""
    if images is None:
        store = ImageStore(path.parent, problems, zip_encoding=zip_encoding)
        return (
            read_parts([Part(path)], {}, problems, store=store),
            lambda row: store.read(row.key),
        )
    files = list_images(images, zip_encoding=zip_encoding)
    number_of = {name: number for number, name in enumerate(files.names)}
    rows = [
        row._replace(key=number_of[row.image])
        if row.image in number_of
        else row._replace(missing=f"image {row.image!r} is not in {images}")
        for row in read_parts([Part(path)], {}, problems)
    ]
    return rows, lambda row: files.read(row.key)


def _named(rows: Sequence[Labelled]) -> tuple[list[Labelled], list[str]]:
    """The rows whose sub-class a person has named, and sentences about the others."""
    named = [row for row in rows if row.labels[1]]
    notes = []
    if alone := len(rows) - len(named):
        images = counted(alone, "image without", "images without")
        notes.append(f"left out: {images} a sub-class")
    proposed = [row for row in named if is_proposed(row.labels[1])]
    if proposed:
        groups = list(dict.fromkeys(row.labels[1] for row in proposed))
        images = counted(len(proposed), "image of a group", "images of groups")
        notes.append(f"left out: {images} that nobody named yet, such as {groups[0]!r}")
    return [row for row in named if not is_proposed(row.labels[1])], notes


def _check_once(table: str, rows: Sequence[Labelled]) -> None:
    first: dict[object, Labelled] = {}
    for row in rows:
        earlier = first.setdefault(row.key, row)
        if earlier is not row:
            raise ValueError(
                f"{table}: {row.where}: image {row.image!r} appears again (first: {earlier.where})"
            )


def _check_parents(table: str, classes: Sequence[NewClass]) -> None:
    """Refuse a sub-class without a named super-class, or with two."""
    parents: dict[str, str] = {}
    for superclass, subclass in classes:
        if not superclass or is_proposed(superclass):
            raise ValueError(
                f"{table}: the super-class of {subclass!r} must be named, but is {superclass!r}"
            )
        if parents.setdefault(subclass, superclass) != superclass:
            raise ValueError(
                f"{table}: a sub-class must have one super-class, but {subclass!r} is below "
                f"{parents[subclass]!r} and {superclass!r}"
            )


def _check_counts(classes: Sequence[NewClass], labels: NDArray[np.int64]) -> None:
    counts = Counter(labels.tolist())
    for number, new in enumerate(classes):
        if counts[number] < FEWEST:
            raise ValueError(
                f"a new class needs {FEWEST} images or more, one to train and one to validate on, "
                f"but {new.subclass!r} has {counts[number]}"
            )
