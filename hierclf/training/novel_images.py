"""A user's own novel images, ready to be scored by the networks of the known classes.

Shape legend: M novel images, D features.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.config import Config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.near_copies import near_copies, open_hashes
from hierclf.data.novel import open_novel
from hierclf.nets.backbones import Backbone
from hierclf.progress import Progress
from hierclf.training.features import open_features


class NovelImages(NamedTuple):
    """Images of classes that are not known; no network is trained on them.

    Attributes:
        cache: M images of the known images' size. `sub_labels` are NOVEL; `super_labels` are model
            indices of known super-classes, NOVEL for new ones, or UNLABELLED.
        classes: int64 [M], the number of each image's class, from 0; images without any label are
            one class.
        class_names: by that number, such as "bird/ostrich"; "?" stands for a missing label.
        new_supers: int64, by that number: the number of the class's new super-class, from 0; -1
            where its super-class is known or not labelled.
        features: float32 [1, M, D] memory map, or None unless the backbone is frozen.
    """

    cache: ImageCache
    classes: NDArray[np.int64]
    class_names: list[str]
    new_supers: NDArray[np.int64]
    features: NDArray[np.float32] | None


def prepare_novel(
    config: Config,
    known: ImageCache,
    backbone: Backbone,
    *,
    directory: Path,
    device: torch.device,
    report: Callable[[str], Progress | None],
) -> NovelImages | None:
    """Read, decode and check the images that `data.novel` names; None where it names none.

    Args:
        known: the images of the known classes.
        backbone: what `config.model` names, built.
        directory: where decoded images and features are kept.
        report: from what is done to the progress callback for it.

    Raises:
        ValueError: images of a known sub-class, or anything else that is wrong, in one line.
    """
    if config.data.novel is None:
        return None
    _, height, width, _ = known.images.shape
    novel = open_novel(
        config.data.novel,
        known.hierarchy,
        height=height,
        width=width,
        keep_truncated=config.data.truncated == "keep",
    )
    cache = open_cache(
        novel.source,
        size=None,
        directory=directory,
        max_bad_share=config.data.max_bad_share,
        progress=report("decoding novel images"),
    )
    _warn_of_copies(known, cache)
    class_of = dict(zip(novel.source.images, novel.classes.tolist(), strict=True))
    features = None
    if config.model.freeze == "backbone":
        train = config.train.model_copy(update={"views": 0})
        features = open_features(
            cache,
            config.model_copy(update={"train": train}),
            backbone,
            directory=directory,
            device=device,
            progress=report("computing features of novel images"),
        )
    classes = np.array([class_of[name] for name in cache.names], dtype=np.int64)
    return NovelImages(cache, classes, novel.class_names, novel.new_supers, features)


def _warn_of_copies(known: ImageCache, novel: ImageCache) -> None:
    """Warn where a novel image is a near-copy of one of a known class."""
    hashes = open_hashes(known), open_hashes(novel)
    if hashes[0] is None or hashes[1] is None:
        return
    n_known = len(hashes[0])
    pairs = near_copies(np.concatenate([hashes[0], hashes[1]]))
    pairs = pairs[(pairs[:, 0] < n_known) & (pairs[:, 1] >= n_known)]
    if len(pairs):
        first, second = known.names[pairs[0, 0]], novel.names[pairs[0, 1] - n_known]
        warnings.warn(
            f"{len(np.unique(pairs[:, 1]))} novel images are near-copies of images of known "
            f"classes (first: {second} of {first})",
            stacklevel=4,
        )
