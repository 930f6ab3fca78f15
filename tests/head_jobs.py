"""Jobs of trials that train heads on cached features, and such trials without Tune's actor."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from hierclf.config import parse_config
from hierclf.nets.backbones import build_backbone
from hierclf.training.prepare import prepare
from hierclf.training.reopen import files_of
from search.trials.head_trial import RESULT_DUPLICATE, HeadTrial
from search.trials.plan import Job, Plan

FOLDS = ("sub0", "super0")
GOOD = {"train.lr": 3e-3, "train.weight_decay": 1e-4, "train.strength": 0.3}
TIMES = ("epoch_seconds", "should_checkpoint")


def head_job(folder: Path) -> Job:
    """Three epochs of heads on a frozen random smallnet's features of the demo set."""
    torch.manual_seed(0)
    weights = folder / "smallnet.safetensors"
    save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    model = {"backbone": "smallnet", "weights": str(weights), "freeze": "backbone"}
    config = parse_config(
        {
            "model": model | {"image_size": 32, "crop_fraction": 1.0},
            "train": {"epochs": 3, "batch_size": 128, "views": 1},
            "folds": {"sub": 2, "super": 1},
            "thresholds": {"scores": ["msp"]},
        }
    )
    plan = Plan(trials_at_a_time=1, workers=1, use_gpu=False, cpus_per_worker=1, gpus=0)
    prepared = prepare(config, directory=folder / "cache", device=torch.device("cpu"))
    return Job(
        config=config.model_dump(),
        folds=FOLDS,
        epochs=3,
        results=False,
        prepared=files_of([(config, prepared)]),
        cache_dir=str(folder / "cache"),
        plan=plan,
        storage=str(folder),
    )


def begun(job: Job, values: dict[str, float]) -> HeadTrial:
    """A trial as Tune's actor has it after its start, without the actor."""
    trial = HeadTrial.__new__(HeadTrial)
    trial._trial_info = None
    trial.setup(values, job)
    return trial


def to_the_end(trial: HeadTrial) -> list[dict[str, Any]]:
    steps = []
    while RESULT_DUPLICATE not in (metrics := trial.step()):
        steps.append({key: value for key, value in metrics.items() if key not in TIMES})
    return steps
