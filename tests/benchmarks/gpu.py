"""What a GPU gives: whole epochs beside the bare step, input beside the step, features.

    python -m tests.benchmarks --device cuda gpu

All are skipped on a CPU. Images are drawn at 64 px and augmented by the paper's recipe; the network
is the paper's, at 224 px with random weights, which cost what others do.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hierclf.config import Config, parse_config
from hierclf.data.cache import ImageCache
from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import fold_batch_norm
from hierclf.nets.preprocessing import normalise
from hierclf.training import batch_reader
from hierclf.training.features import open_features
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import refit_fold
from hierclf.training.prepare import Prepared
from tests.benchmarks.drawn import image_cache, pixels
from tests.benchmarks.epochs import bare_steps
from tests.benchmarks.frame import Rounds, Skip, figure, in_turn, seconds

_N_IMAGES = 6400
_EPOCH = "ResNet-50 at 224 px, training epoch with the paper's augmentation"
_BARE = "its steps on one resident batch of floats"


def _cache(device: torch.device) -> ImageCache:
    if device.type != "cuda":
        raise Skip("it needs --device cuda")
    return image_cache(pixels(_N_IMAGES))


def _run(cache: ImageCache, device: torch.device, **train: Any) -> FoldRun:
    config = parse_config(
        {
            "model": {"backbone": "resnet50", "weights": "none", "novel_output": True},
            "train": {"precision": "bf16", "batch_size": 64} | train,
        }
    )
    fold = refit_fold(cache.super_labels, cache.sub_labels)
    return FoldRun(fold, Prepared(cache, {}, None, None), config, device)


def _epoch(device: torch.device, *, resident: bool = True, **train: Any) -> Rounds:
    """Images per second of a training epoch, and of as many steps on one batch."""
    cache = _cache(device)
    share = batch_reader.RESIDENT_SHARE
    batch_reader.RESIDENT_SHARE = share if resident else 0.0
    try:
        run = _run(cache, device, **train)
    finally:
        batch_reader.RESIDENT_SHARE = share
    rows = run._batches(1)[0]
    bare = bare_steps(run)
    torch.cuda.reset_peak_memory_stats(device)
    rounds = in_turn(
        lambda: _N_IMAGES / seconds(lambda: run.train_epoch(1), device),
        lambda: _N_IMAGES / seconds(bare, device),
        rounds=3,
    )
    memory = torch.cuda.max_memory_allocated(device) / 1e9
    return Rounds(*rounds[:2], f"at most {memory:.1f} GB of GPU memory; batches of {len(rows)}")


# Each way of training: its words, its settings, and what is wanted beside a ratio of 0.95.
_WAYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "bf16": ("bf16, batches of 64", {}, ", and 2,500 images/s on an H100"),
    "bf16_256": (
        "bf16, batches of 256",
        {"batch_size": 256},
        ", and 2,500 images/s on an H100",
    ),
    "fp16": ("fp16 with loss scaling, batches of 64", {"precision": "fp16"}, ""),
    "fp32": ("fp32, batches of 64", {"precision": "fp32"}, ""),
    "compiled": ("bf16, batches of 64, train.compile: true", {"compile": True}, ""),
    "pinned": (
        "bf16, batches of 64 from pinned memory instead of a resident set",
        {"resident": False},
        "",
    ),
}


def _register(name: str, words: str, settings: dict[str, Any], wanted: str) -> None:
    @figure(
        f"gpu_train_{name}",
        unit="images/s",
        ours=f"{_EPOCH}, {words}",
        theirs=_BARE,
        aim=f"ratio 0.95{wanted}",
        more_is_better=True,
    )
    def measure(device: torch.device) -> Rounds:
        return _epoch(device, **settings)


for _name, _way in _WAYS.items():
    _register(_name, *_way)


@figure(
    "gpu_input_ms",
    unit="ms a batch",
    ours="reading and augmenting a batch of 64, resident set, 64 px to 224 px",
    theirs="a training step of ResNet-50 on it, bf16",
    aim="ratio 20: 5 % of a step",
)
def gpu_input_ms(device: torch.device) -> Rounds:
    run = _run(_cache(device), device)
    batches = run._batches(1)
    generator = torch.Generator(device).manual_seed(0)

    def read() -> None:
        for _ in run.inputs.train(batches, generator):
            pass

    steps = bare_steps(run)
    return in_turn(
        lambda: 1000 * seconds(read, device) / len(batches),
        lambda: 1000 * seconds(steps, device) / len(batches),
        rounds=3,
    )


@figure(
    "gpu_features",
    unit="images/s",
    ours="features of a frozen ConvNeXt-Base at 224 px, one view, images to a file",
    theirs="the forward pass alone, batches of 128 that are there already",
    aim="ratio 0.9",
    more_is_better=True,
)
def gpu_features(device: torch.device) -> Rounds:
    cache = _cache(device)
    backbone = build_backbone("convnext_base", "none")
    # A frozen backbone needs weights; these are the random ones, given to `open_features` itself.
    config: Config = parse_config(
        {
            "model": {"backbone": "convnext_base", "freeze": "backbone", "image_size": 224},
            "train": {"views": 0},
        }
    )
    net = fold_batch_norm(backbone.module).to(memory_format=torch.channels_last).to(device)
    size = config.train.eval_batch_size
    batch = torch.rand(size, 3, 224, 224).to(device, memory_format=torch.channels_last)
    mean, std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1)
        for values in (backbone.mean, backbone.std)
    )

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            bank = open_features(cache, config, backbone, directory=Path(folder), device=device)
            assert np.isfinite(bank).all()

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(_N_IMAGES // size):
            net(normalise(batch, mean, std))

    return in_turn(
        lambda: _N_IMAGES / seconds(ours, device),
        lambda: _N_IMAGES / seconds(bare, device),
        rounds=3,
    )
