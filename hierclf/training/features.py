"""The frozen backbone's features of every image, computed once and memory-mapped.

View 0 is the evaluation view; views 1..V are augmented, each stronger than the one before, so that
a trial of strength s draws from the views whose strength is at most s.

Shape legend: N images, V augmented views, D features.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked
from hierclf.nets.backbones import Backbone
from hierclf.nets.inference import images_at_a_time
from hierclf.nets.root import ROOT, Rooted, signed_root
from hierclf.nets.side_by_side import SideBySide, equal_length
from hierclf.progress import Progress
from hierclf.training.feature_draft import FeatureDraft
from hierclf.training.feature_processes import devices_for, write_in_processes
from hierclf.training.feature_shards import (
    SHARD_IMAGES,
    FeatureSettings,
    n_shards,
    ready,
    shard_of,
    shard_size,
    write_shards,
)

_DERIVED_ROWS = 4096


def view_strengths(n_views: int, max_strength: float) -> np.ndarray:
    """Augmentation strength of every view, float64 [V + 1]; view 0 has none."""
    return np.linspace(0.0, max_strength, n_views + 1)


def open_features(
    cache: ImageCache,
    config: Config,
    backbone: Backbone,
    *,
    directory: Path,
    device: torch.device,
    workers: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Memory-map the feature bank, computing it first where it is missing.

    Of many images, each GPU of this machine computes a part, in a process of its own. The bank
    does not depend on the number of processes; on a CPU, its last bits depend on the number of
    threads of each.

    The key holds all that the features depend on: the images' pixels, the weights themselves,
    the input size and the views; so a changed weights file or image makes a new bank, and a copied
    folder or a corrected label does not.

    Args:
        backbone: what `config.model` names, built.
        device: `cuda` stands for all GPUs that this process sees, `cuda:1` for that one.
        workers: compute with so many processes at most; None for as many as there are GPUs.

    Returns:
        float32 memory map [V + 1, N, D], read-only.

    Raises:
        ValueError: too little disk space, or several backbones and images that are not square.
        ChildProcessError: a process was killed; the next call goes on with what it left.
    """
    how: dict[str, Any] = {
        "directory": directory, "device": device, "workers": workers, "progress": progress
    }  # fmt: skip
    if isinstance(backbone.module, SideBySide):
        return _side_by_side(cache, config, backbone.module, **how)
    if isinstance(backbone.module, Rooted):
        return _rooted(cache, config, backbone, backbone.module, **how)
    path = directory / f"features-{_key(cache, backbone, config)}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _compute(cache, backbone, config, path, device, workers, progress)
    return np.load(path, mmap_mode="r")


def _side_by_side(
    cache: ImageCache,
    config: Config,
    several: SideBySide,
    *,
    directory: Path,
    **how: Any,
) -> np.ndarray:
    """The banks of several backbones side by side: each is kept as that of a backbone alone."""
    _, height, width, _ = cache.images.shape
    if height != width:
        raise ValueError(
            f"several backbones need square images, but these are {width} x {height} pixels: set "
            "data.size"
        )
    digest, banks = hashlib.sha256(), []
    for part in several.parts():
        named = part.named._asdict()
        model = config.model.model_copy(update={"backbone": named.pop("name"), **named})
        alone = Backbone(part.module, part.n_features, part.mean, part.std, part.interpolation)
        own = config.model_copy(update={"model": model})
        digest.update(_key(cache, alone, own).encode())
        banks.append(open_features(cache, own, alone, directory=directory, **how))
    path = directory / f"features-{digest.hexdigest()[:20]}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _join(banks, several.length, path)
    return np.load(path, mmap_mode="r")


def _rooted(
    cache: ImageCache,
    config: Config,
    backbone: Backbone,
    rooted: Rooted,
    *,
    directory: Path,
    **how: Any,
) -> np.ndarray:
    """The roots of the bank of the backbone alone, which is kept, too."""
    name = config.model.backbone.removesuffix(ROOT)
    own = config.model_copy(update={"model": config.model.model_copy(update={"backbone": name})})
    alone = backbone._replace(module=rooted.module)
    bank = open_features(cache, own, alone, directory=directory, **how)
    path = directory / f"features-{_key(cache, backbone, config)}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _derive(path, bank.shape, lambda view, rows: signed_root(_tensor(bank, view, rows)))
    return np.load(path, mmap_mode="r")


def _join(banks: list[np.ndarray], length: float, path: Path) -> None:
    def joined(view: int, rows: slice) -> Tensor:
        return torch.cat([equal_length(_tensor(bank, view, rows), length) for bank in banks], 1)

    _derive(path, (*banks[0].shape[:2], sum(bank.shape[2] for bank in banks)), joined)


def _tensor(bank: np.ndarray, view: int, rows: slice) -> Tensor:
    return torch.from_numpy(np.array(bank[view, rows]))


def _derive(
    path: Path, shape: tuple[int, ...], features_of: Callable[[int, slice], Tensor]
) -> None:
    """Write a bank whose features, float32 [b, D] of a view's rows, come from other banks."""
    _require_space(path.parent, 4 * int(np.prod(shape)))
    with draft_of(path) as draft:
        derived = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=shape)
        for view in range(shape[0]):
            for row in range(0, shape[1], _DERIVED_ROWS):
                rows = slice(row, row + _DERIVED_ROWS)
                derived[view, rows] = features_of(view, rows).numpy()
        derived.flush()


def _key(cache: ImageCache, backbone: Backbone, config: Config) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    inputs = {
        "images": cache.pixels,
        "model": config.model.model_dump(exclude={"novel_output", "weights"}),
        "views": config.train.views,
        "max_strength": config.max_strength,
        "seed": config.seed,
    }
    if config.train.views:  # each shard has random numbers of its own
        inputs["shard"] = SHARD_IMAGES
    digest.update(json.dumps(inputs, sort_keys=True).encode())
    return digest.hexdigest()[:20]


def _compute(
    cache: ImageCache,
    backbone: Backbone,
    config: Config,
    path: Path,
    device: torch.device,
    workers: int | None,
    progress: Progress | None,
) -> None:
    assert isinstance(cache.images, np.ndarray)  # a configuration with a stream is refused
    settings = _settings(len(cache.images), backbone, config, device)
    shape = len(settings.strengths), settings.n_images, backbone.n_features
    _require_space(path.parent, 4 * int(np.prod(shape)), draft=path.with_suffix(".part"))
    made_by: dict[str, int | str] = {
        "step": settings.step,
        "shard": settings.shard,
        "device": device.type,
    }
    draft = FeatureDraft(path, shape, n_shards(settings), made_by)
    missing = [shard_of(int(number), settings) for number in np.flatnonzero(~draft.done)]
    devices = devices_for(missing, cache.images, device, at_most=workers)
    total = shape[0] * shape[1]
    done = total - sum(shard.n_images for shard in missing)
    if len(devices) == 1:
        module = ready(backbone.module, device)
        written = write_shards(missing, settings, module, cache.images, draft.bank, device)
    else:
        images, name = cast(np.memmap, cache.images), config.model.backbone
        written = write_in_processes(
            missing, settings, backbone.module, name, images, draft.part, devices
        )
    with draft.kept(), closing(written):
        for shard in written:
            draft.keep(shard.number)
            done += shard.n_images
            if progress is not None:
                progress(done, total)
    draft.finish()


def _settings(
    n_images: int, backbone: Backbone, config: Config, device: torch.device
) -> FeatureSettings:
    size = config.model.image_size
    step = images_at_a_time(size, device, most=config.train.eval_batch_size)
    return FeatureSettings(
        n_images=n_images,
        strengths=tuple(view_strengths(config.train.views, config.max_strength).tolist()),
        seed=config.seed,
        step=step,
        shard=shard_size(step),
        image_size=size,
        crop_fraction=config.model.crop_fraction,
        interpolation=backbone.interpolation,
        mean=backbone.mean,
        std=backbone.std,
    )


def _require_space(directory: Path, n_bytes: int, *, draft: Path | None = None) -> None:
    """Refuse a bank that does not fit; the place of a draft of it is its own."""
    free = shutil.disk_usage(directory).free
    if draft is not None and draft.is_file():
        free += draft.stat().st_size
    if free < n_bytes * 1.05:
        raise ValueError(
            f"the features need {n_bytes / 1e9:.1f} GB in {directory}, but {free / 1e9:.1f} GB are "
            "free; lower train.views or set HIERCLF_CACHE to another disk"
        )
