"""Images and features of new classes, and the same of all classes together.

Shape legend: N images of all classes, M of new ones, V augmented views, D features.
"""

import hashlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hierclf.additions.hierarchy import grown
from hierclf.additions.labelled import NewImages
from hierclf.config import Config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.images import fit_to, read_rgb
from hierclf.data.source import Source
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import room_for
from hierclf.io.reserve import reserve
from hierclf.nets.backbones import Backbone
from hierclf.training.features import open_features
from hierclf.training.image_groups import with_found_groups, with_named_groups
from hierclf.training.prepare import Prepared, StageProgress, stage_report


class Part(NamedTuple):
    """Images of some classes and their features.

    Attributes:
        cache: the images; labels are those of its own hierarchy.
        features: float32 [V + 1, M, D].
    """

    cache: ImageCache
    features: NDArray[np.float32]


def open_part(
    new: NewImages,
    known: ImageCache,
    config: Config,
    backbone: Backbone,
    *,
    directory: Path,
    device: torch.device,
    progress: StageProgress | None = None,
) -> Part:
    """Decode images of new classes as known ones are, and compute their features.

    Args:
        new: the images.
        known: images of known classes.
        config: of the model.
        backbone: of the model.
        directory: where decoded images and features are kept.
        device: where features are computed.
        progress: called as (what, done, total).

    Raises:
        ValueError: fewer than two readable images of a class.
    """
    _, height, width, _ = known.images.shape
    source = _source(new, known.hierarchy, height, width, config)
    cache = open_cache(source, size=None, directory=directory, max_bad_share=1.0)
    features = open_features(
        cache,
        config,
        backbone,
        directory=directory,
        device=device,
        progress=stage_report("computing features of new images", progress),
    )
    cache = with_named_groups(cache, config.data.group_by, path=_place(new))
    if cache.groups is None:
        cache = with_found_groups(cache, features[0], directory=directory)
    return Part(cache, features)


def _place(new: NewImages) -> str:
    return new.images or new.table or ""


def _source(
    new: NewImages, hierarchy: Hierarchy, height: int, width: int, config: Config
) -> Source:
    """The images as a source of the known classes and theirs."""
    keep = config.data.truncated == "keep"

    def encoded(i: int) -> bytes:
        data = new.read(i)
        return with_jpeg_end(data) if keep else data

    digest = hashlib.sha256(repr((new.classes, height, width, keep)).encode())
    for i, (name, label) in enumerate(zip(new.names, new.labels.tolist(), strict=True)):
        try:
            content = hashlib.sha256(new.read(i)).hexdigest()
        except (ValueError, OSError) as error:
            content = str(error)
        digest.update(repr((name, label, content)).encode())
    whole = grown(hierarchy, new.classes)
    labels = hierarchy.n_sub + new.labels
    return Source(
        name=Path(_place(new)).name,
        images=new.names,
        super_labels=np.asarray(whole.sub_to_super, dtype=np.int64)[labels],
        sub_labels=labels,
        hierarchy=whole,
        read=lambda i: fit_to(read_rgb(encoded, i), height, width),
        fingerprint=digest.hexdigest(),
        problems=[],
    )


def check_unlike(known: Sequence[ImageCache], new: ImageCache) -> None:
    """Refuse images that show the same pixels as a training image.

    Raises:
        ValueError: names the first and how many more there are.
    """
    assert new.digests is not None
    own = {bytes(digest): row for row, digest in reversed(list(enumerate(new.digests)))}
    for cache in known:
        assert cache.digests is not None
        pairs = [(own[key], row) for row, key in enumerate(map(bytes, cache.digests)) if key in own]
        if pairs:
            row, other = min(pairs)
            label = cache.hierarchy.sub_name(int(cache.sub_labels[other]))
            more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
            raise ValueError(
                f"images of a new class must not be training images already, but {new.names[row]} "
                f"shows the same pixels as {cache.names[other]}, which is of {label!r}{more}"
            )


def joined(base: Prepared, parts: Sequence[Part], *, directory: Path) -> Prepared:
    """All images with their features; the folds are still those of `base`.

    Pixels are left out: with features, nothing looks at them.

    Args:
        base: of the search.
        parts: of the classes that were added, one addition after another.
        directory: for the features of all images, in a file that ends with the process.
    """
    assert base.features is not None
    caches = [base.cache, *(part.cache for part in parts)]
    blank = np.zeros((1, *base.cache.images.shape[1:]), dtype=np.uint8)
    n_images = sum(len(cache.names) for cache in caches)
    digests = [cache.digests for cache in caches if cache.digests is not None]
    assert len(digests) == len(caches)
    is_val = None
    if base.cache.is_val is not None:
        added = n_images - len(base.cache.names)
        is_val = np.append(base.cache.is_val, np.zeros(added, dtype=bool))
    cache = ImageCache(
        images=np.broadcast_to(blank, (n_images, *blank.shape[1:])),
        names=_names(caches),
        super_labels=np.concatenate([cache.super_labels for cache in caches]),
        sub_labels=np.concatenate([cache.sub_labels for cache in caches]),
        hierarchy=caches[-1].hierarchy,
        fingerprint=" ".join(cache.fingerprint for cache in caches),
        quarantine=pd.concat([cache.quarantine for cache in caches], ignore_index=True),
        digests=np.concatenate(digests),
        groups=_groups(caches),
        is_val=is_val,
    )
    features = _joined_features([base.features, *(part.features for part in parts)], directory)
    return base._replace(cache=cache, features=features)


def _names(caches: Sequence[ImageCache]) -> list[str]:
    """All names; one that is taken gets its sub-class before it."""
    names: list[str] = []
    for cache in caches:
        taken = set(names)
        subs = [cache.hierarchy.sub_name(label) for label in cache.sub_labels.tolist()]
        names += [
            f"{sub}/{name}" if name in taken else name
            for sub, name in zip(subs, cache.names, strict=True)
        ]
    return names


def _groups(caches: Sequence[ImageCache]) -> NDArray[np.int64] | None:
    """The groups of all images, numbered on from cache to cache; None where there are none."""
    if all(cache.groups is None for cache in caches):
        return None
    groups: list[NDArray[np.int64]] = []
    for cache in caches:
        own = np.arange(len(cache.names)) if cache.groups is None else cache.groups
        first = max((int(part.max()) + 1 for part in groups if len(part)), default=0)
        groups.append(first + np.unique(own, return_inverse=True)[1].reshape(-1))
    return np.concatenate(groups)


def _joined_features(banks: Sequence[np.ndarray], directory: Path) -> np.ndarray:
    views, _, width = banks[0].shape
    shape = (views, sum(bank.shape[1] for bank in banks), width)
    need = 4 * math.prod(shape)
    with room_for(directory / "features", need=need), tempfile.TemporaryFile(dir=directory) as file:
        reserve(file, need)
        bank = np.memmap(file, np.float32, mode="r+", shape=shape)
    start = 0
    for part in banks:
        bank[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return bank
