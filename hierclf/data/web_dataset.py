"""Labelled images in WebDataset's shards: tars of samples, an image and its labels each.

Tars are read where they lie. Only the labels are read at once, an image when it is asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hierclf.data.classes import Labelled, class_rows, find_levels
from hierclf.data.columns import IMAGE, SUB, SUPER, find_columns
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.hierarchy_file import Parents
from hierclf.data.listing import Listing, Problem
from hierclf.data.samples import Sample, cells_in, columns_in, image_in, samples_in
from hierclf.data.shard_paths import Shard, shard_names
from hierclf.data.splits import without_test
from hierclf.data.tar_files import read_member


class Place(NamedTuple):
    """Where an image's bytes are.

    Attributes:
        shard: the number of the tar.
        offset, size: of the image in it, in bytes.
    """

    shard: int
    offset: int
    size: int


def list_shards(
    folder: Path,
    shards: Sequence[Shard],
    problems: list[Problem],
    named: Mapping[str, str],
    parents: Parents | None,
) -> Listing:
    """Read the labels of all shards.

    Args:
        folder: may hold mapping files, which name the ids of classes.
        shards: the tars, at least one.
        problems: the list to add to.
        named: columns by role that the user named; others are known by their names. A sample's
            columns are the keys of its JSON object and the endings of its other files.
        parents: gives super-classes to samples that have none.
    """
    files = [shard.file.resolve() for shard in shards]
    labelled = without_test(labelled_shards(shards, problems, named, parents), problems)
    levels = find_levels(folder, labelled, problems)
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return Listing(
        rows=class_rows(labelled, levels, problems),
        super_level=levels[0].classes,
        sub_level=levels[1].classes,
        read=lambda place: read_member(files[place.shard], place.offset, place.size),
        stamp=lambda place: [*stamps[place.shard], *place],
    )


def labelled_shards(
    shards: Sequence[Shard],
    problems: list[Problem],
    named: Mapping[str, str],
    parents: Parents | None,
) -> list[Labelled]:
    """The labelled images of some shards. Arguments as `list_shards`.

    An image's name is that of its file in the tar, after the tar's own where there are several.
    """
    labelled: list[Labelled] = []
    columns: dict[str, str] | None = None
    for number, (shard, name) in enumerate(zip(shards, shard_names(shards), strict=True)):
        samples = samples_in(shard.file, name, problems)
        if columns is None and samples:
            columns = _columns(shard.file, name, samples, problems, named, parents)
            if columns is None:
                break
        for sample in samples:
            assert columns is not None
            image = image_in(sample, named.get(IMAGE))
            labels = _labels(shard, sample, columns, parents)
            if isinstance(image, str):
                labels = labels._replace(image=sample.where, missing=image)
            else:
                place = Place(number, image.offset, image.size)
                path = f"{name}/{image.path}" if len(shards) > 1 else image.path
                labels = labels._replace(image=path, key=place)
            labelled.append(labels)
    return labelled


def _columns(
    file: Path,
    name: str,
    samples: Sequence[Sample],
    problems: list[Problem],
    named: Mapping[str, str],
    parents: Parents | None,
) -> dict[str, str] | None:
    """The column of each role but the image's, as the first samples have them."""
    header = columns_in(file, samples)
    if not header:
        what = "its samples hold no labels, such as KEY.json or KEY.cls beside KEY.jpg; "
        problems.append(Problem(name, f"{what}unpack it if its folders are classes", True))
        return None
    header = [*(column for column in header if column != IMAGE), IMAGE]
    found = find_columns(
        header, {**named, IMAGE: IMAGE}, problems, where=name, needs_super=parents is None
    )
    return found and {role: column for role, column in found.items() if role != IMAGE}


def _labels(
    shard: Shard, sample: Sample, columns: Mapping[str, str], parents: Parents | None
) -> Labelled:
    """A sample's labels, without its image."""
    try:
        cells, refused = cells_in(shard.file, sample, columns), ""
    except ValueError as error:
        cells, refused = {}, str(error)
    super_name, sub = cells.get(SUPER), cells.get(SUB, "")
    if SUPER not in columns:
        assert parents is not None
        super_name, unknown = parents.above(sub)
        refused = refused or unknown
    division = cells.get(GROUP), shard.split or cells.get(SPLIT)
    return Labelled(sample.where, "", (super_name or "", sub), None, "", refused, *division)
