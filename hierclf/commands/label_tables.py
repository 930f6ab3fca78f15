"""True labels of any layout, by names or by ids, as class indices of the known classes.

A name that is none of the known classes is a new class, which counts as novel. An id must be known
or the novel id.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from hierclf.commands.prediction_tables import LevelIds
from hierclf.data.classes import KINDS, Labelled, holds_ids
from hierclf.data.columns import parse_columns
from hierclf.data.csv_tables import parse_integer
from hierclf.data.hierarchy_file import Parents
from hierclf.data.layouts import TableOptions
from hierclf.data.listing import ClassNames, Problem
from hierclf.data.truth import read_truth
from hierclf.hierarchy import NOVEL, is_novel_name


class Labels(NamedTuple):
    """What a user says that images show.

    Attributes:
        classes: super and sub class index by image name, in the order of the labels; NOVEL for
            classes that are not known.
        new_classes: the names of those that the labels name, sorted.
    """

    classes: dict[str, tuple[int, int]]
    new_classes: list[str]


def read_labels(
    path: Path,
    known: LevelIds,
    *,
    parents: Parents | None = None,
    columns: str | None = None,
    hierarchy: str | None = None,
) -> Labels:
    """Read the labels of images.

    Args:
        path: a table, a folder with one, or a folder of class folders; test images only where it
            names splits.
        known: the known classes of both levels, with their ids and the novel id.
        parents: the super-class of each known sub-class, for labels that name sub-classes only.
        columns: the columns of a table; those that are not given are known by their names.
        hierarchy: a table that gives further sub-classes their super-class.

    Raises:
        ValueError: nothing there, an image that appears twice, an empty label, an unknown id, or
            a table of another form: the first problem, and how many more there are.
    """
    problems: list[Problem] = []
    options = TableOptions(parse_columns(columns), hierarchy)
    try:
        labelled, by_name = read_truth(path, problems, options, parents)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    found = _classes(labelled, known, by_name, problems)
    folder = path if path.is_dir() else path.parent
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise ValueError(f"{folder / fatal[0].where}: {fatal[0].what}{more}")
    if not found.classes:
        raise ValueError(f"{path} must have rows, but has none")
    return found


def match_names(labelled: Iterable[str], predicted: Iterable[str]) -> dict[str, str]:
    """The predicted image of each labelled one, by name.

    Labels may name images by longer paths than predictions do: `test/owl/1.jpg` is `1.jpg`, where
    no other labelled image ends so.

    Args:
        labelled: the image names of the labels.
        predicted: those of the predictions.
    """
    labels, names = dict.fromkeys(labelled), dict.fromkeys(predicted)
    found = {name: name for name in labels if name in names}
    ends: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        ends[label.rpartition("/")[2]].append(label)
    for name in names:
        alike = [label for label in ends[name.rpartition("/")[2]] if label.endswith(f"/{name}")]
        if name not in found and len(alike) == 1:
            found.setdefault(alike[0], name)
    return found


def _classes(
    labelled: Sequence[Labelled],
    known: LevelIds,
    by_name: bool | None,
    problems: list[Problem],
) -> Labels:
    values = [{image.labels[level] for image in labelled} for level in (0, 1)]
    finders = [
        _Finder(kind, level, _are_names(cells, level, by_name))
        for kind, level, cells in zip(KINDS, known, values, strict=True)
    ]
    found: dict[str, tuple[int, int]] = {}
    first: dict[str, str] = {}
    for image in labelled:
        earlier = first.setdefault(image.image, image.where)
        if image.refused or earlier != image.where:
            what = f"every image must appear once, but {image.image!r} is also in {earlier}"
            problems.append(Problem(image.where, image.refused or what, True))
            continue
        super_name, sub_name = image.labels
        indices = [
            finders[0].find(super_name, super_name),
            finders[1].find(sub_name, f"{super_name}/{sub_name}"),  # as a tree names repeats
        ]
        problems += [Problem(image.where, what, True) for what in indices if isinstance(what, str)]
        super_index, sub_index = indices
        if not isinstance(super_index, str) and not isinstance(sub_index, str):
            found[image.image] = super_index, sub_index
    return Labels(found, sorted({name for finder in finders for name in finder.new}))


class _Finder:
    """Finds the class index of a label's text.

    Attributes:
        new: the names so far that are no known classes.
    """

    def __init__(self, kind: str, level: ClassNames, by_name: bool) -> None:
        indices = {id_: index for index, id_ in enumerate(sorted(level.names))}
        self.new: set[str] = set()
        self._kind, self._by_name = kind, by_name
        self._of_id = {**indices, level.novel_id: NOVEL}
        self._of_name = {name: indices[id_] for id_, name in level.names.items()}

    def find(self, text: str, full_name: str) -> int | str:
        """The index, NOVEL for a new class; or the reason why there is none."""
        if not text:
            return f"the {self._kind} label is empty"
        if not self._by_name:
            id_ = parse_integer(text)
            what = f"{self._kind} label {text!r} is neither a known nor the novel id"
            return what if id_ is None else self._of_id.get(id_, what)
        index = self._of_name.get(full_name, self._of_name.get(text, NOVEL))
        if index == NOVEL and not is_novel_name(text):
            self.new.add(text)
        return index


def _are_names(values: Set[str], known: ClassNames, by_name: bool | None) -> bool:
    """Whether label cells are names of classes; by default a column of integers holds ids."""
    if by_name is not None:
        return by_name
    return not holds_ids(values) or not values.isdisjoint(known.names.values())
