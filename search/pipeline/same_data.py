"""Compare a run's data at every start with those of its first start: they must not change."""

from pathlib import Path

import pandas as pd

from hierclf.data.cache import ImageCache
from hierclf.data.source import Source
from hierclf.io.atomic import draft_of
from hierclf.training.novel_images import NovelImages

_LABELS = ["superclass", "subclass"]
_IDS = ["superclass_index", "subclass_index"]
_DIVISION = ["group", "split"]


def check_images(source: Source, path: Path, *, title: str) -> None:
    """Compare the listed images and their classes with those of the run's first start.

    Args:
        source: the images now.
        path: the file that `keep_images` wrote; if it is missing, nothing is compared.
        title: name of the run.

    Raises:
        ValueError: images were added, removed or relabelled, or their order, class ids, groups or
            splits have changed, which folds and outputs depend on. One line with counts and
            examples.
    """
    if not path.is_file():
        return
    before, now = pd.read_parquet(path).set_index("image"), _listed(source).set_index("image")
    both = now.index.intersection(before.index)

    def changed(columns: list[str]) -> pd.Index:
        kept = [column for column in columns if column in before]  # older runs lack some
        return both[(now.loc[both, kept] != before.loc[both, kept]).any(axis=1).to_numpy()]

    _refuse(
        title,
        {
            "added": now.index.difference(before.index, sort=False),
            "removed": before.index.difference(now.index, sort=False),
            "of another class": changed(_LABELS),
            "with another class id": changed(_IDS).difference(changed(_LABELS), sort=False),
            "in another group or split": changed(_DIVISION),
            "in another order": _moved(before.index, now.index),
        },
    )


def check_pixels(cache: ImageCache, path: Path, *, title: str) -> None:
    """Compare the decoded images with those of the run's first start.

    Args:
        cache: the images now.
        path, title: as for `check_images`.

    Raises:
        ValueError: images have changed, or were readable at only one of the starts.
    """
    if not path.is_file():
        return
    before = pd.read_parquet(path).set_index("image")["pixels"]
    now = _pixels(cache).reindex(before.index).fillna("")
    _refuse(title, {"with other pixels": before.index[(before != now).to_numpy()]})


def keep_images(source: Source, cache: ImageCache, path: Path) -> None:
    """Write the table for later comparisons: each image, its classes and the hash of its pixels.

    An unreadable image has no hash.
    """
    table = _listed(source)
    table["pixels"] = _pixels(cache).reindex(table["image"]).fillna("").to_numpy()
    with draft_of(path) as draft:
        table.to_parquet(draft, index=False)


def check_novel(novel: NovelImages, path: Path, *, title: str) -> None:
    """Compare the user's own novel images with those of the first start, which stores them.

    Args:
        novel: the novel images now.
        path: the file with those of the first start, written if it is missing.
        title: name of the run.

    Raises:
        ValueError: images were added, removed, relabelled or have changed.
    """
    columns = {
        "image": novel.cache.names,
        "class": [novel.class_names[number] for number in novel.classes],
        "pixels": _pixels(novel.cache).to_numpy(),
    }
    _check_further(pd.DataFrame(columns, dtype=str), path, title=title, kind="novel")


def check_without_labels(cache: ImageCache, path: Path, *, title: str) -> None:
    """Compare the images without labels with those of the first start; see `check_novel`."""
    columns = {"image": cache.names, "class": "", "pixels": _pixels(cache).to_numpy()}
    _check_further(pd.DataFrame(columns, dtype=str), path, title=title, kind="unlabelled")


def _check_further(now: pd.DataFrame, path: Path, *, title: str, kind: str) -> None:
    """Compare further images (image, class, pixels) with the stored ones."""
    if not path.is_file():
        with draft_of(path) as draft:
            now.to_parquet(draft, index=False)
        return
    now, before = now.set_index("image"), pd.read_parquet(path).set_index("image")
    both = now.index.intersection(before.index)
    changed = now.loc[both] != before.loc[both]
    _refuse(
        title,
        {
            f"{kind} added": now.index.difference(before.index, sort=False),
            f"{kind} removed": before.index.difference(now.index, sort=False),
            f"{kind} of another class": both[changed["class"].to_numpy()],
            f"{kind} with other pixels": both[changed["pixels"].to_numpy()],
            f"{kind} in another order": _moved(before.index, now.index),
        },
    )


def _listed(source: Source) -> pd.DataFrame:
    names = source.hierarchy
    columns = {
        "image": source.images,
        "superclass": [names.super_name(int(label)) for label in source.super_labels],
        "subclass": [names.sub_name(int(label)) for label in source.sub_labels],
        "superclass_index": [names.super_ids[label] for label in source.super_labels],
        "subclass_index": [names.sub_ids[label] for label in source.sub_labels],
        "group": "" if source.groups is None else source.groups,
        "split": "" if source.is_val is None else source.is_val,
    }
    return pd.DataFrame(columns, dtype=str)


def _moved(before: pd.Index, now: pd.Index) -> pd.Index:
    """The names at other places; none where they are not the same ones."""
    same = len(before) == len(now) and not len(before.difference(now))
    return now[before != now] if same else now[:0]


def _pixels(cache: ImageCache) -> pd.Series:
    assert cache.digests is not None
    return pd.Series([bytes(row).hex() for row in cache.digests], index=cache.names, dtype=str)


def _refuse(title: str, differences: dict[str, pd.Index]) -> None:
    found = [
        f"{len(images):,} {what} (first: {images[0]})"
        for what, images in differences.items()
        if len(images)
    ]
    if found:
        raise ValueError(
            f"a run's data must stay as they were at its start, but of {title}'s images "
            f"{', '.join(found)}; restore them, or start a new search with another --name"
        )
