"""Open in one process what `prepare` has prepared in another, without reading the source again."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hierclf.config import Config
from hierclf.config.space import FEATURE_KEYS
from hierclf.data.cache import ImageCache, load_cache, read_tables
from hierclf.data.parquet_images import ParquetImages
from hierclf.data.stream import ImageStream, MapGroups, map_here
from hierclf.scores import PretrainedHead
from hierclf.training.folds import Fold
from hierclf.training.novel_images import NovelImages
from hierclf.training.prepare import Prepared
from hierclf.training.unlabelled import UnlabelledImages


class FeatureFile(NamedTuple):
    """The frozen features of every image, and the classifier head of the weights, if used."""

    path: Path
    head: PretrainedHead | None


class NovelFiles(NamedTuple):
    """The user's own novel images, as in `NovelImages`.

    Attributes:
        images: folder of their image cache.
        fingerprint: of the images in that folder.
        features: by `feature_key`; empty unless the backbone is frozen.
    """

    images: Path
    fingerprint: str
    classes: np.ndarray
    class_names: list[str]
    new_supers: np.ndarray
    n_judging: int
    features: dict[tuple[Any, ...], Path]


class UnlabelledFiles(NamedTuple):
    """Images without labels, as in `UnlabelledImages`.

    Attributes:
        images: folder of their image cache.
        fingerprint: of the images in that folder.
    """

    images: Path
    fingerprint: str
    rows: np.ndarray


class PreparedFiles(NamedTuple):
    """Where another process finds what was prepared; without pixels and features.

    Attributes:
        images: folder of the image cache, or of the tables of a stream.
        fingerprint: of the images in that folder.
        parquet: where the images of a stream are; None for an image cache.
        groups: as in `ImageCache`.
        folds: by name, as in `Prepared`.
        features: by `feature_key`; empty unless the backbone is frozen.
        novel: the user's own novel images, if there are any.
        unlabelled: images without labels, if there are any.
    """

    images: Path
    fingerprint: str
    parquet: ParquetImages | None
    groups: np.ndarray | None
    folds: dict[str, Fold]
    features: dict[tuple[Any, ...], FeatureFile]
    novel: NovelFiles | None = None
    unlabelled: UnlabelledFiles | None = None


def feature_key(config: Config) -> tuple[Any, ...]:
    """The values that the frozen features of the same images depend on."""
    values = (config.value(key) for key in sorted(FEATURE_KEYS))
    return (*values, config.max_strength, config.seed)


def files_of(variants: Iterable[tuple[Config, Prepared]]) -> PreparedFiles:
    """Where another process finds what `prepare` returned.

    Args:
        variants: configurations of the same images and folds, which differ in their features.
    """
    variants = list(variants)
    cache, folds = variants[0][1].cache, variants[0][1].folds
    assert cache.path is not None
    features = {}
    for config, prepared in variants:
        if isinstance(prepared.features, np.memmap):
            path = Path(str(prepared.features.filename))
            features[feature_key(config)] = FeatureFile(path, prepared.pretrained_head)
    return PreparedFiles(
        images=cache.path,
        fingerprint=cache.fingerprint,
        parquet=cache.images.parquet if isinstance(cache.images, ImageStream) else None,
        groups=cache.groups,
        folds=folds,
        features=features,
        novel=_novel_files(variants),
        unlabelled=_unlabelled_files(variants[0][1]),
    )


def _unlabelled_files(prepared: Prepared) -> UnlabelledFiles | None:
    if prepared.unlabelled is None:
        return None
    cache, rows = prepared.unlabelled
    assert cache.path is not None
    return UnlabelledFiles(cache.path, cache.fingerprint, rows)


def _novel_files(variants: list[tuple[Config, Prepared]]) -> NovelFiles | None:
    novel = variants[0][1].novel
    if novel is None:
        return None
    assert novel.cache.path is not None
    features = {}
    for config, prepared in variants:
        assert prepared.novel is not None
        if isinstance(prepared.novel.features, np.memmap):
            features[feature_key(config)] = Path(str(prepared.novel.features.filename))
    return NovelFiles(
        images=novel.cache.path,
        fingerprint=novel.cache.fingerprint,
        classes=novel.classes,
        class_names=novel.class_names,
        new_supers=novel.new_supers,
        n_judging=novel.n_judging,
        features=features,
    )


def reopen(files: PreparedFiles, config: Config, *, over: MapGroups = map_here) -> Prepared | None:
    """Map the files into memory; None where this machine lacks one or has other images there.

    Args:
        files: from `files_of`.
        config: one of those that were prepared, up to values that neither images nor features
            depend on.
        over: decodes the row groups of a stream.
    """
    features, head = None, None
    try:
        cache = _open_images(files, over)
        if config.model.freeze == "backbone":
            path, head = files.features[feature_key(config)]
            features = np.load(path, mmap_mode="r")
        novel = None if files.novel is None else _open_novel(files.novel, config)
        unlabelled = None if files.unlabelled is None else _open_unlabelled(files.unlabelled)
    except (OSError, KeyError, TypeError, ValueError):
        return None
    if cache.fingerprint != files.fingerprint:
        return None
    cache = replace(cache, groups=files.groups)
    return Prepared(cache, files.folds, features, head, novel, unlabelled)


def _open_unlabelled(files: UnlabelledFiles) -> UnlabelledImages:
    cache = load_cache(files.images)
    if cache.fingerprint != files.fingerprint:
        raise ValueError(f"{files.images} holds other images")
    return UnlabelledImages(cache, files.rows)


def _open_novel(files: NovelFiles, config: Config) -> NovelImages:
    cache, features = load_cache(files.images), None
    if cache.fingerprint != files.fingerprint:
        raise ValueError(f"{files.images} holds other images")
    if config.model.freeze == "backbone":
        features = np.load(files.features[feature_key(config)], mmap_mode="r")
    return NovelImages(
        cache, files.classes, files.class_names, files.new_supers, files.n_judging, features
    )


def _open_images(files: PreparedFiles, over: MapGroups) -> ImageCache:
    parquet = files.parquet
    if parquet is None:
        return load_cache(files.images)
    return read_tables(files.images, lambda meta: ImageStream(tuple(meta["shape"]), parquet, over))
