"""A training epoch beside the same number of steps on one batch that is there already."""

from collections.abc import Callable

import torch

from hierclf.config import parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import refit_fold
from hierclf.training.loop import train_step
from hierclf.training.prepare import Prepared
from tests.benchmarks.drawn import image_cache, pixels
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds

_BATCH = 64
_OURS = "training epoch: reading, augmentation, steps"
_THEIRS = "its steps on one resident batch"


def bare_steps(run: FoldRun) -> Callable[[], None]:
    """An epoch's number of steps, all on its first batch."""
    rows = run._batches(1)[0]
    labels = run._labels(rows)
    batch = next(run.inputs.train([rows], torch.Generator(run.device).manual_seed(0)))

    def steps() -> None:
        run.trained.train()
        losses = [
            train_step(
                run.trained,
                batch,
                *labels,
                run.optimisation,
                loss=run.loss,
                config=run.config.train,
                precision=run.precision,
            )
            for _ in range(run.steps)
        ]
        torch.stack(losses).cpu()

    return steps


def _epoch(device: torch.device, backbone: str, size: int, n_images: int) -> Rounds:
    cache = image_cache(pixels(n_images))
    config = parse_config(
        {
            "model": {"backbone": backbone, "weights": "none", "image_size": size},
            "train": {
                "batch_size": _BATCH,
                "precision": "auto" if device.type == "cuda" else "fp32",
            },
        }
    )
    fold = refit_fold(cache.super_labels, cache.sub_labels)
    run = FoldRun(fold, Prepared(cache, {}, None, None), config, device)
    resident = bare_steps(run)

    def rate(seconds_taken: float) -> float:
        return n_images / seconds_taken

    return in_turn(
        lambda: rate(seconds(lambda: run.train_epoch(1), device)),
        lambda: rate(seconds(resident, device)),
    )


@figure(
    "epoch_resnet18_64",
    unit="images/s",
    ours=f"ResNet-18 at 64 px, {_OURS}",
    theirs=_THEIRS,
    aim="ratio 0.95",
    more_is_better=True,
)
def epoch_resnet18_64(device: torch.device) -> Rounds:
    return _epoch(device, "resnet18", 64, 2 * _BATCH if device.type == "cpu" else 100 * _BATCH)


@figure(
    "epoch_lite0_128",
    unit="images/s",
    ours=f"EfficientNet-Lite0 at 128 px, {_OURS}",
    theirs=_THEIRS,
    aim="ratio 0.95",
    more_is_better=True,
)
def epoch_lite0_128(device: torch.device) -> Rounds:
    n_images = 2 * _BATCH if device.type == "cpu" else 100 * _BATCH
    return _epoch(device, "tf_efficientnet_lite0", 128, n_images)
