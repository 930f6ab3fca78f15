"""The frozen backbone's features of every image, computed once and memory-mapped.

View 0 is the evaluation view; views 1..V are augmented, each stronger than the one before, so that
a trial of strength s draws from the views whose strength is at most s.

Shape legend: N images, V augmented views, D features.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked
from hierclf.nets.backbones import Backbone
from hierclf.nets.inference import fold_batch_norm, images_at_a_time
from hierclf.nets.preprocessing import center_view, normalise
from hierclf.nets.side_by_side import SideBySide, equal_length
from hierclf.progress import Progress
from hierclf.training.augment import augment
from hierclf.training.batch_reader import batch_reader
from hierclf.training.feature_draft import FeatureDraft, Place

Item = TypeVar("Item")
_JOINED_ROWS = 4096


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
    progress: Progress | None = None,
) -> np.ndarray:
    """Memory-map the feature bank, computing it first where it is missing.

    The key holds all that the features depend on: the images' pixels, the weights themselves,
    the input size and the views; so a changed weights file or image makes a new bank, and a copied
    folder or a corrected label does not.

    Args:
        backbone: what `config.model` names, built.

    Returns:
        float32 memory map [V + 1, N, D], read-only.
    """
    if isinstance(backbone.module, SideBySide):
        return _side_by_side(
            cache, config, backbone.module, directory=directory, device=device, progress=progress
        )
    path = directory / f"features-{_key(cache, backbone, config)}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _compute(cache, backbone, config, path, device, progress)
    return np.load(path, mmap_mode="r")


def _side_by_side(
    cache: ImageCache,
    config: Config,
    several: SideBySide,
    *,
    directory: Path,
    device: torch.device,
    progress: Progress | None,
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
        how = part.named._asdict()
        model = config.model.model_copy(update={"backbone": how.pop("name"), **how})
        alone = Backbone(part.module, part.n_features, part.mean, part.std, part.interpolation)
        own = config.model_copy(update={"model": model})
        digest.update(_key(cache, alone, own).encode())
        banks.append(
            open_features(cache, own, alone, directory=directory, device=device, progress=progress)
        )
    path = directory / f"features-{digest.hexdigest()[:20]}.npy"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _join(banks, several.length, path)
    return np.load(path, mmap_mode="r")


def _join(banks: list[np.ndarray], length: float, path: Path) -> None:
    views, n_images, _ = banks[0].shape
    shape = views, n_images, sum(bank.shape[2] for bank in banks)
    _require_space(path.parent, 4 * int(np.prod(shape)))
    with draft_of(path) as draft:
        joined = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=shape)
        for view in range(views):
            for row in range(0, n_images, _JOINED_ROWS):
                rows = slice(row, row + _JOINED_ROWS)
                parts = (torch.from_numpy(np.array(bank[view, rows])) for bank in banks)
                joined[view, rows] = torch.cat([equal_length(p, length) for p in parts], 1).numpy()
        joined.flush()


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
    digest.update(json.dumps(inputs, sort_keys=True).encode())
    return digest.hexdigest()[:20]


def _compute(
    cache: ImageCache,
    backbone: Backbone,
    config: Config,
    path: Path,
    device: torch.device,
    progress: Progress | None,
) -> None:
    strengths = view_strengths(config.train.views, config.max_strength)
    module = fold_batch_norm(backbone.module).to(memory_format=torch.channels_last).to(device)
    assert isinstance(cache.images, np.ndarray)  # a configuration with a stream is refused
    n_images = len(cache.images)
    total = len(strengths) * n_images
    _require_space(path.parent, 4 * total * backbone.n_features)
    step = images_at_a_time(config.model.image_size, device, most=config.train.eval_batch_size)
    made_by: dict[str, int | str] = {"step": step, "device": device.type}
    draft = FeatureDraft(path, (len(strengths), n_images, backbone.n_features), made_by)
    batches = _batches(
        cache.images, backbone, module, config, strengths, device, start=draft.place, step=step
    )
    for view, rows, features, state in _one_behind(batches):
        draft.bank[view, rows] = features.float().cpu().numpy()
        if progress is not None:
            progress(view * n_images + rows.stop, total)
        at_end = rows.stop == n_images
        draft.keep(Place(view + 1, 0, None) if at_end else Place(view, rows.stop, state))
    draft.finish()


def _batches(
    images: np.ndarray,
    backbone: Backbone,
    module: nn.Module,
    config: Config,
    strengths: np.ndarray,
    device: torch.device,
    *,
    start: Place,
    step: int,
) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
    """Each batch from `start`: view, rows, features [B, D], and the generator's state after it."""
    mean = torch.tensor(backbone.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(backbone.std, device=device).view(1, 3, 1, 1)
    size = config.model.image_size
    read = batch_reader(images, device)
    for view in range(start.view, len(strengths)):
        generator = torch.Generator(device).manual_seed(config.seed * 1000 + view)
        first = start.row if view == start.view else 0
        if first and start.state is not None:
            generator.set_state(start.state)
        for row in range(first, len(images), step):
            rows = slice(row, min(row + step, len(images)))
            batch = read(np.arange(rows.start, rows.stop))
            if view == 0:
                pixels = center_view(
                    batch,
                    size=size,
                    crop_fraction=config.model.crop_fraction,
                    interpolation=backbone.interpolation,
                )
            else:
                pixels = augment(
                    batch, size=size, strength=float(strengths[view]), generator=generator
                )
            with torch.inference_mode():
                features = module(normalise(pixels, mean, std))
            yield view, rows, features, generator.get_state()


def _one_behind(items: Iterator[Item]) -> Iterator[Item]:
    """Each item after the next was asked for: a GPU computes that while this one is written."""
    last = next(items)
    for item in items:
        yield last
        last = item
    yield last


def _require_space(directory: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < n_bytes * 1.05:
        raise ValueError(
            f"the features need {n_bytes / 1e9:.1f} GB in {directory}, but {free / 1e9:.1f} GB are "
            "free; lower train.views or set HIERCLF_CACHE to another disk"
        )
