"""Folder trees of images: super/sub/image, whole or divided into train, val and test."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.data.classes import Labelled, class_rows, level_of
from hierclf.data.folders import DANGLING, Entry, links_out, walk_files
from hierclf.data.hierarchy_file import HIERARCHY, Parents, hierarchy_lines
from hierclf.data.image_kind import (
    FORMATS,
    has_image_ending,
    is_other_image,
    kinds_left_out,
    missing_plugin,
)
from hierclf.data.image_store import is_loose_image, loose_head, read_loose
from hierclf.data.listing import Listing, Problem
from hierclf.data.splits import TEST, TRAIN, VAL, split_of, test_left_out
from hierclf.data.tree_hints import place_hint, same_below_all
from hierclf.hierarchy import is_novel_name


class _Image(NamedTuple):
    super_name: str
    sub_name: str
    entry: Entry
    split: str | None = None


def list_tree(
    root: Path, problems: list[Problem], parents: Parents | None = None
) -> Listing | None:
    """Read a tree super/sub/image, or train/super/sub/image beside val and test.

    Images below `val` are the user's validation images; those below `test` are left out.

    Args:
        root: the folder.
        problems: the list to add to.
        parents: gives their super-classes to folders of one level, sub/image.
    """
    found = _find(root, problems, parents)
    return _listing(root, found, problems) if found else None


def labelled_tree(root: Path, problems: list[Problem], parents: Parents | None) -> list[Labelled]:
    """The images of a tree with the names of their classes: the test images, if it has splits.

    Arguments as `list_tree`.
    """
    return [
        Labelled(image.entry.path, image.entry.path, (image.super_name, image.sub_name))
        for image in _find(root, problems, parents, of_splits=(TEST,))
        if image.super_name  # or its folder is a problem already
    ]


def has_class_folders(root: Path) -> bool:
    """Whether `root` has an image at least two folders deep."""
    return any(
        entry.path.count("/") >= 2 and not entry.unsafe and is_loose_image(root, entry)
        for entry in walk_files(root, root)
    )


def _find(
    root: Path,
    problems: list[Problem],
    parents: Parents | None,
    of_splits: Sequence[str] = (TRAIN, VAL),
) -> list[_Image]:
    """The images below class folders; empty after a problem that says what is wrong."""
    entries = _images(root, problems)
    splits = _top_splits(entries)
    if splits and set(of_splits) & set(splits.values()):
        found = _from_splits(entries, splits, problems, parents, of_splits)
    else:
        found = _from_classes(entries, problems, parents)
    if not found and not any(problem.fatal for problem in problems):
        what = "no images at all: neither CSVs, nor Parquet files, nor folders super/sub/image "
        what += f"({', '.join(FORMATS)})" + place_hint(root, [entry.path for entry in entries])
        problems.append(Problem(root.name, what, True))
    return found


def _images(root: Path, problems: list[Problem]) -> list[Entry]:
    found: list[Entry] = []
    others: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    outside: list[str] = []
    other_images: list[str] = []
    for entry in walk_files(root, root, outside):
        if entry.unsafe == DANGLING:
            problems.append(Problem(entry.path, f"{DANGLING}; left out", False))
        elif entry.unsafe:
            problems.append(Problem(entry.path, entry.unsafe, True))
        elif not has_image_ending(entry.path) and (
            missing := missing_plugin(loose_head(root, entry))
        ):
            unreadable[missing] += 1
        elif is_loose_image(root, entry):
            found.append(entry)
        elif is_other_image(entry.path):
            other_images.append(entry.path)
        elif "/" in entry.path or not entry.path.endswith((".csv", ".parquet")):  # reported before
            others[Path(entry.path).suffix.lower() or "(no ending)"] += 1
    problems += links_out(root, outside)
    if other_images:
        problems.append(Problem(root.name, kinds_left_out(other_images), False))
    for suffix, count in sorted(others.items()):
        what = f"{counted(count, 'file')} in none of the formats {', '.join(FORMATS)}; left out"
        problems.append(Problem(f"files {suffix}", what, False))
    for missing, count in unreadable.items():
        what = counted(count, "image is left out", "images are left out")
        problems.append(Problem(root.name, f"{what}: {missing}", False))
    return found


def _top_splits(entries: Sequence[Entry]) -> dict[str, str]:
    """The split of each top folder whose name means one; empty if these folders are classes.

    A class may be named train. The folders are splits if a second split is beside `train`, or if
    there is no other folder.
    """
    tops = {entry.path.split("/")[0] for entry in entries if "/" in entry.path}
    splits = {top: split for top in sorted(tops) if (split := split_of(top))}
    kinds = set(splits.values())
    return splits if "train" in kinds and (len(kinds) > 1 or len(splits) == len(tops)) else {}


def _from_splits(
    entries: Sequence[Entry],
    splits: dict[str, str],
    problems: list[Problem],
    parents: Parents | None,
    of_splits: Sequence[str],
) -> list[_Image]:
    inside: list[tuple[Entry, list[str], str]] = []
    other_splits: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for entry in entries:
        top, *classes = entry.path.split("/")[:-1] or [""]
        if top not in splits:
            elsewhere[top or "."] += 1
        elif splits[top] not in of_splits:
            other_splits[top] += 1
        else:
            inside.append((entry, classes, top))
    if TEST not in of_splits:
        problems += [test_left_out(folder, n) for folder, n in sorted(other_splits.items())]
    levels = _class_levels([classes for _, classes, _ in inside], parents)
    has_val = VAL in splits.values()
    found = []
    for entry, classes, top in inside:
        if len(classes) == levels:
            split = splits[top] if has_val else None
            found.append(_Image(classes[0] if levels == 2 else "", classes[-1], entry, split))
        else:
            elsewhere[top] += 1
    problems += _outside(elsewhere, "split/super/sub" if levels == 2 else "split/sub")
    if not found:
        names = ", ".join(splits)
        what = (
            f"the folders {names} are splits, but the classes below them have only one level; "
            f"two are needed (train/super/sub/image), or {HIERARCHY} beside {names} "
            f"{hierarchy_lines(classes[0] for _, classes, _ in inside if len(classes) == 1)}"
        )
        problems.append(Problem(names, what, True))
    return found if levels == 2 else _with_parents(found, parents, problems)


def _from_classes(
    entries: Sequence[Entry], problems: list[Problem], parents: Parents | None
) -> list[_Image]:
    found: list[_Image] = []
    elsewhere: Counter[str] = Counter()
    levels = _class_levels([entry.path.split("/")[:-1] for entry in entries], parents)
    for entry in entries:
        folders = entry.path.split("/")[:-1]
        if len(folders) == levels:
            found.append(_Image(folders[0] if levels == 2 else "", folders[-1], entry))
        else:
            elsewhere["/".join(folders) or "."] += 1
    flat = sorted(folder for folder in elsewhere if "/" not in folder and folder != ".")
    if not found and len(flat) > 1:
        what = "its folders are one level of classes, but two are needed (super/sub/image), or "
        what += f"{HIERARCHY} beside them {hierarchy_lines(flat)}"
        problems.append(Problem(", ".join(flat[:3]) + ", ..." * (len(flat) > 3), what, True))
        return []
    problems += _outside(elsewhere, "super/sub" if levels == 2 else "sub")
    if levels == 1:
        return _with_parents(found, parents, problems)
    subs = {image.sub_name for image in found}
    kinds = {split_of(sub) for sub in subs}
    if "train" in kinds and None not in kinds:
        what = (
            "the folders below the classes are splits; put them above two levels of classes "
            "(train/super/sub/image)"
        )
        problems.append(Problem(", ".join(sorted(subs)), what, True))
    return found


def _class_levels(folders: Sequence[Sequence[str]], parents: Parents | None) -> int:
    """How many levels of classes the folders of images are: one only if a file names the other."""
    flat = parents is not None and not any(len(classes) == 2 for classes in folders)
    return 1 if flat else 2


def _with_parents(
    found: Sequence[_Image], parents: Parents | None, problems: list[Problem]
) -> list[_Image]:
    """The images with the super-class of each; a problem for each folder that has none."""
    assert parents is not None
    subs = sorted({image.sub_name for image in found})
    super_of = {sub: parents.find(sub) for sub in subs}
    problems += [
        Problem(f"folder {sub!r}", f"is not in {parents.name}{parents.alike(sub)}", True)
        for sub, super_name in super_of.items()
        if super_name is None
    ]
    if unused := parents.unused(subs):
        what = counted(len(unused), "sub-class has no folder", "sub-classes have no folder")
        problems.append(Problem(parents.name, f"{what} (first: {unused[0]!r})", False))
    return [image._replace(super_name=super_of[image.sub_name] or "") for image in found]


def _outside(counts: Counter[str], layout: str) -> list[Problem]:
    """A warning for each folder with images outside the folders of the layout."""
    return [
        Problem(folder, f"{counted(n, 'image')} outside the folders {layout}; left out", False)
        for folder, n in sorted(counts.items())
    ]


def _listing(root: Path, found: Sequence[_Image], problems: list[Problem]) -> Listing:
    """Number the classes in sorted order; name sub-classes super/sub if their names repeat."""
    parents: dict[str, set[str]] = defaultdict(set)
    for image in found:
        parents[image.sub_name].add(image.super_name)
    names = {name for image in found for name in (image.super_name, image.sub_name)}
    novel = set(filter(is_novel_name, names))
    for name in sorted(novel):
        what = "a class is named 'novel', which training data must not hold"
        problems.append(Problem(f"folder {name!r}", what, True))

    if problem := same_below_all([(image.super_name, image.sub_name) for image in found]):
        problems.append(problem)

    def full(image: _Image) -> str:
        several = len(parents[image.sub_name]) > 1
        return f"{image.super_name}/{image.sub_name}" if several else image.sub_name

    labelled = [
        Labelled(
            image.entry.path,
            image.entry.path,
            (image.super_name, full(image)),
            image.entry,
            split=image.split,
        )
        for image in found
        if image.super_name and not {image.super_name, image.sub_name} & novel
    ]
    levels = [level_of({row.labels[i] for row in labelled}, by_name=True) for i in (0, 1)]
    return Listing(
        rows=class_rows(labelled, levels, problems),
        super_level=levels[0].classes,
        sub_level=levels[1].classes,
        read=partial(read_loose, root),
        stamp=lambda entry: list(entry.stamp),
    )
