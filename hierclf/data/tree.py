"""Folder trees of images: super/sub/image, whole or divided into train, val and test."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.data.folders import DANGLING, Entry, links_out, walk_files
from hierclf.data.image_kind import (
    FORMATS,
    has_image_ending,
    is_other_image,
    kinds_left_out,
    missing_plugin,
)
from hierclf.data.image_store import is_loose_image, loose_head, read_loose
from hierclf.data.listing import ClassNames, Listing, Problem, Row
from hierclf.hierarchy import is_novel_name

_SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
_SPLIT_NAME = re.compile(r"[\W\d_]*([a-z]+?)[\W_]*(?:set|data|images)?[\W\d_]*")


class _Image(NamedTuple):
    super_name: str
    sub_name: str
    entry: Entry
    split: str | None = None


def _split_of(folder: str) -> str | None:
    """The split that a folder's name means: `train` for Training, train_set, 01-train-images."""
    found = _SPLIT_NAME.fullmatch(folder.lower())
    return _SPLIT_OF.get(found[1]) if found else None


def list_tree(root: Path, problems: list[Problem]) -> Listing | None:
    """Read a tree super/sub/image, or train/super/sub/image beside val and test.

    Images below `val` are the user's validation images; those below `test` are left out.
    """
    entries = _images(root, problems)
    if splits := _top_splits(entries):
        found = _from_splits(entries, splits, problems)
    else:
        found = _from_classes(entries, problems)
    if not found:
        if not any(problem.fatal for problem in problems):
            what = "no images at all: neither CSVs, nor Parquet files, nor folders super/sub/image "
            what += f"({', '.join(FORMATS)})"
            problems.append(Problem(root.name, what + _hint(root, entries), True))
        return None
    return _listing(root, found, problems)


def has_class_folders(root: Path) -> bool:
    """Whether `root` has an image at least two folders deep."""
    return any(
        entry.path.count("/") >= 2 and not entry.unsafe and is_loose_image(root, entry)
        for entry in walk_files(root, root)
    )


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
    splits = {top: split for top in sorted(tops) if (split := _split_of(top))}
    kinds = set(splits.values())
    return splits if "train" in kinds and (len(kinds) > 1 or len(splits) == len(tops)) else {}


def _from_splits(
    entries: Sequence[Entry], splits: dict[str, str], problems: list[Problem]
) -> list[_Image]:
    found: list[_Image] = []
    test: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    has_val = "val" in splits.values()
    for entry in entries:
        *folders, _ = entry.path.split("/")
        top, *classes = folders or [""]
        if splits.get(top) == "test":
            test[top] += 1
        elif top not in splits or len(classes) != 2:
            elsewhere[top or "."] += 1
        else:
            split = splits[top] if has_val else None
            found.append(_Image(classes[0], classes[1], entry, split))
    for folder, count in sorted(test.items()):
        what = f"{counted(count, 'test image')}, for `hierclf evaluate`; left out"
        problems.append(Problem(folder, what, False))
    problems += _outside(elsewhere, "split/super/sub")
    if not found:
        names = ", ".join(splits)
        what = (
            f"the folders {names} are splits, but the classes below them have only one level; "
            "two are needed (train/super/sub/image)"
        )
        problems.append(Problem(names, what, True))
    return found


def _from_classes(entries: Sequence[Entry], problems: list[Problem]) -> list[_Image]:
    found: list[_Image] = []
    elsewhere: Counter[str] = Counter()
    for entry in entries:
        *folders, _ = entry.path.split("/")
        if len(folders) == 2:
            found.append(_Image(folders[0], folders[1], entry))
        else:
            elsewhere["/".join(folders) or "."] += 1
    problems += _outside(elsewhere, "super/sub")
    subs = {image.sub_name for image in found}
    kinds = {_split_of(sub) for sub in subs}
    if "train" in kinds and None not in kinds:
        what = (
            "the folders below the classes are splits; put them above two levels of classes "
            "(train/super/sub/image)"
        )
        problems.append(Problem(", ".join(sorted(subs)), what, True))
    return found


def _outside(counts: Counter[str], layout: str) -> list[Problem]:
    """A warning for each folder with images outside the folders of the layout."""
    return [
        Problem(folder, f"{counted(n, 'image')} outside the folders {layout}; left out", False)
        for folder, n in sorted(counts.items())
    ]


def _same_below_all(found: Sequence[_Image]) -> Problem | None:
    """A warning if all super-classes hold the same sub-classes, as splits and folds do."""
    below: dict[str, set[str]] = defaultdict(set)
    for image in found:
        below[image.super_name].add(image.sub_name)
    first, *others = below.values()
    if not others or any(names != first for names in others):
        return None
    what = (
        f"all {len(below)} hold the same sub-classes ({_some(first)}); if they are "
        "splits or folds, put two levels of classes below folders train, val and test"
    )
    return Problem(f"super-classes {_some(below)}", what, False)


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return ", ".join([repr(first), *map(repr, others[:2])]) + (", ..." if others[2:] else "")


def _hint(root: Path, entries: Sequence[Entry]) -> str:
    """Advice for files in deeper folders, and for splits below the classes."""
    if parquet := next(root.rglob("*.parquet"), None):
        return f"; is the data set {parquet.parent}, with its Parquet files?"
    folders = [entry.path.split("/")[:-1] for entry in entries]
    tops = {parts[0] for parts in folders if parts}
    if not folders or any(len(parts) != 3 for parts in folders):
        return ""
    if all(_split_of(parts[2]) for parts in folders):
        return "; put the folders train, val, test above the classes"
    return f"; is the data set {root / tops.pop()}?" if len(tops) == 1 else ""


def _listing(root: Path, found: Sequence[_Image], problems: list[Problem]) -> Listing:
    """Number the classes in sorted order; name sub-classes super/sub if their names repeat."""
    parents: dict[str, set[str]] = defaultdict(set)
    for image in found:
        parents[image.sub_name].add(image.super_name)
    names = {name for image in found for name in (image.super_name, image.sub_name)}
    for name in sorted(filter(is_novel_name, names)):
        what = "a class is named 'novel', which training data must not hold"
        problems.append(Problem(f"folder {name!r}", what, True))

    if problem := _same_below_all(found):
        problems.append(problem)

    def full(image: _Image) -> str:
        several = len(parents[image.sub_name]) > 1
        return f"{image.super_name}/{image.sub_name}" if several else image.sub_name

    super_ids = {name: i for i, name in enumerate(sorted({image.super_name for image in found}))}
    sub_ids = {name: i for i, name in enumerate(sorted({full(image) for image in found}))}
    return Listing(
        rows=[
            Row(
                image.entry.path,
                image.entry.path,
                super_ids[image.super_name],
                sub_ids[full(image)],
                image.entry,
                split=image.split,
            )
            for image in found
        ],
        super_level=ClassNames({i: name for name, i in super_ids.items()}, len(super_ids)),
        sub_level=ClassNames({i: name for name, i in sub_ids.items()}, len(sub_ids)),
        read=partial(read_loose, root),
        stamp=lambda entry: list(entry.stamp),
    )
