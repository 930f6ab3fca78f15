"""A user's own images of no known class, ready to be scored by networks or to train them.

Shape legend: M images, D features, V augmented views.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.config import Config
from hierclf.counts import counted
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.generated import with_generated
from hierclf.data.near_copies import near_copies, open_hashes
from hierclf.data.novel import NovelSource, open_novel
from hierclf.nets.backbones import Backbone
from hierclf.progress import Progress
from hierclf.training.features import open_features
from hierclf.training.outlier_split import divided, has_name, which_train


class NovelImages(NamedTuple):
    """Images of classes that are not known.

    No network is trained on those of the first `n_judging` classes, which choose thresholds and
    judge them. The others may train (see `hierclf.training.outliers`) and do nothing else.

    Attributes:
        cache: M images of the known images' size. `sub_labels` are NOVEL; `super_labels` are model
            indices of known super-classes, NOVEL for new ones, or UNLABELLED.
        classes: int64 [M], the number of each image's class, from 0; images without any label are
            one class, or two if half of them train.
        class_names: by that number, such as "bird/ostrich"; "?" stands for a missing label.
        new_supers: int64, by that number: the number of the class's new super-class, from 0; -1
            where its super-class is known or not labelled.
        n_judging: how many classes choose and judge.
        features: float32 [V + 1, M, D] memory map, or None unless the backbone is frozen. There are
            augmented views if some images may train.
    """

    cache: ImageCache
    classes: NDArray[np.int64]
    class_names: list[str]
    new_supers: NDArray[np.int64]
    n_judging: int
    features: NDArray[np.float32] | None

    @property
    def judging(self) -> NDArray[np.int64]:
        """The rows of the images that choose and judge, int64."""
        return np.flatnonzero(self.classes < self.n_judging)


def check_generated(config: Config) -> None:
    """Refuse generated images that would do nothing.

    Raises:
        ValueError: one line.
    """
    if config.data.generated is not None and not config.trains_on_outliers:
        raise ValueError(
            "data.generated only trains, with train.outlier: set it to energy or uniform, or "
            f"search it, but got data.generated={config.data.generated} with train.outlier=none"
        )


def prepare_novel(
    config: Config,
    known: ImageCache,
    backbone: Backbone,
    *,
    directory: Path,
    device: torch.device,
    report: Callable[[str], Progress | None],
    workers: int | None = None,
) -> NovelImages | None:
    """Read, decode and check what `data.novel` and `data.generated` name; None for nothing.

    Args:
        known: the images of the known classes.
        backbone: what `config.model` names, built.
        directory: where decoded images and features are kept.
        report: from what is done to the progress callback for it.
        workers: of `open_features`, which computes the features.

    Raises:
        ValueError: images of a known sub-class, or anything else that is wrong, in one line.
    """
    novel, n_own = _sources(config, known)
    if novel is None:
        return None
    cache = open_cache(
        novel.source,
        size=None,
        directory=directory,
        max_bad_share=config.data.max_bad_share,
        progress=report("decoding novel images"),
    )
    _warn_of_copies(known, cache)
    class_of = dict(zip(novel.source.images, novel.classes.tolist(), strict=True))
    classes = np.array([class_of[name] for name in cache.names], dtype=np.int64)
    names, new_supers, n_judging = novel.class_names, novel.new_supers, n_own
    if config.trains_on_outliers:
        trains = _training(config, cache, classes, novel, n_own)
        classes, former, n_judging = divided(classes, trains)
        names, new_supers = [names[number] for number in former], new_supers[former]
    features = None
    if config.model.freeze == "backbone":
        views = config.train.views if config.trains_on_outliers else 0
        train = config.train.model_copy(update={"views": views})
        features = open_features(
            cache,
            config.model_copy(update={"train": train}),
            backbone,
            directory=directory,
            device=device,
            workers=workers,
            progress=report("computing features of novel images"),
        )
    return NovelImages(cache, classes, names, new_supers, n_judging, features)


def _sources(config: Config, known: ImageCache) -> tuple[NovelSource | None, int]:
    """Novel and generated images as one set, and how many classes the novel ones have."""
    _, height, width, _ = known.images.shape
    found: dict[str, NovelSource] = {}
    for key in ("novel", "generated"):
        if (path := getattr(config.data, key)) is not None:
            found[key] = open_novel(
                path,
                known.hierarchy,
                height=height,
                width=width,
                keep_truncated=config.data.truncated == "keep",
                key=f"data.{key}",
            )
    novel = found.get("novel")
    n_own = 0 if novel is None else len(novel.class_names)
    if "generated" in found:
        novel = with_generated(novel, found["generated"])
    return novel, n_own


def _training(
    config: Config, cache: ImageCache, classes: NDArray[np.int64], novel: NovelSource, n_own: int
) -> NDArray[np.bool_]:
    """Which of the images train, bool [M]: all generated ones, and half of the others' classes."""
    trains = classes >= n_own
    own = np.flatnonzero(~trains)
    hashes = open_hashes(cache)
    assert hashes is not None
    copies = near_copies(hashes)
    shared = copies[trains[copies[:, 0]] != trains[copies[:, 1]]]
    if len(shared):
        first, second = (cache.names[row] for row in shared[0])
        raise ValueError(
            "data.generated must hold other images than data.novel, which judge, but "
            f"{counted(len(np.unique(shared[:, 1])), 'is a near-copy', 'are near-copies')} of them "
            f"(first: {second} of {first})"
        )
    if len(own):
        if n_unnamed := int((~has_name(novel.class_names)[classes[own]]).sum()):
            warnings.warn(
                f"{n_unnamed} of {len(own)} novel images name no sub-class: with train.outlier, "
                "images of one class may both train and judge, and figures of novel images then "
                "promise too much",
                stacklevel=4,
            )
        place = np.zeros(len(classes), dtype=np.int64)
        place[own] = np.arange(len(own))
        trains[own] = which_train(
            classes[own],
            novel.class_names,
            novel.new_supers,
            cache.super_labels[own],
            place[copies[~trains[copies[:, 0]]]],
            seed=config.seed,
        )
    if not trains.any():
        raise ValueError(
            "train.outlier needs images that train: two classes of a kind in data.novel, of which "
            f"one judges, or data.generated, but got {counted(n_own, 'class', 'classes')} of novel "
            "images"
        )
    return trains


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
