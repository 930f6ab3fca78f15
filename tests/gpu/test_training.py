"""Claims about training on a GPU. All are skipped where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hierclf.config import parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import refit_fold
from hierclf.training.prepare import Prepared
from hierclf.training.replica import ALONE, Replica
from tests.fold_runs import CACHE, assert_same_state

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = torch.device("cuda")
FOLD = refit_fold(CACHE.super_labels, CACHE.sub_labels)
PRECISIONS = ["fp32", "bf16", "fp16"]
# A GPU rounds a resized image to another of two levels now and then, as for features; convolutions
# in float32 run in TF32, cuDNN's default.
TOLERANCES = {"fp32": 5e-3, "bf16": 0.05, "fp16": 6e-3}


def run_on(device: str, *, replica: Replica = ALONE, **train: Any) -> FoldRun:
    config = parse_config(
        {
            "model": {"backbone": "resnet18", "weights": "none", "image_size": 64},
            "train": {"batch_size": 32, "epochs": 12, "lr": 2e-3, "strength": 0.3} | train,
        }
    )
    prepared = Prepared(CACHE, {}, None, None)
    return FoldRun(FOLD, prepared, config, torch.device(device), replica=replica)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_outputs_equal_those_of_a_cpu_to_the_precision(precision: str) -> None:
    rows = np.arange(24)
    expected = run_on("cpu", precision="fp32").outputs(rows)
    found = run_on("cuda", precision=precision).outputs(rows)
    for name in ("features", "super_logits", "sub_logits"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert np.linalg.norm(ours - theirs) <= TOLERANCES[precision] * np.linalg.norm(theirs)


def test_without_tf32_the_same_input_gives_what_a_cpu_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    pixels = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = (run_on(name).net.eval()(pixels.to(name)) for name in ("cpu", "cuda"))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.linalg.norm(ours.cpu() - theirs) <= 1e-5 * torch.linalg.norm(theirs)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_learns_eager_and_compiled(precision: str, compiled: bool) -> None:
    run = run_on("cuda", precision=precision, compile=compiled)
    losses = [run.train_epoch(epoch) for epoch in range(1, 13)]
    assert losses[-1] < 0.5 * losses[0]
    guesses = run.outputs(FOLD.train).sub_logits.argmax(1)
    assert np.mean(guesses == CACHE.sub_labels[FOLD.train]) > 0.5  # 16 classes


@pytest.mark.parametrize("precision", PRECISIONS)
def test_training_goes_on_after_a_restart_as_if_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    # Without this switch some of cuDNN's sums are taken in another order at each run.
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    straight, stopped, resumed = (run_on("cuda", precision=precision) for _ in range(3))
    for epoch in (1, 2):
        straight.train_epoch(epoch)
    stopped.train_epoch(1)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    resumed.train_epoch(2)
    assert_same_state(resumed, straight)


def test_an_overflow_in_fp16_skips_the_step_and_halves_the_scale() -> None:
    run = run_on("cuda", precision="fp16")
    run.train_epoch(1)
    scaler = run.optimisation.scaler
    parameter = run.net.get_parameter("heads.sub_head.weight")
    weights = parameter.detach().clone()
    before = scaler.get_scale()
    run.optimisation.optimizer.zero_grad()
    scaler.scale((parameter * torch.inf).sum()).backward()
    scaler.step(run.optimisation.optimizer)
    scaler.update()
    assert scaler.get_scale() == before / 2
    assert torch.equal(weights, parameter)


def _replica(rank: int, folder: str) -> None:
    """One of two processes on one GPU: gloo, since NCCL wants a GPU for each."""
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    wrap = Replica(rank, 2, lambda net: DistributedDataParallel(net))
    run = run_on("cuda", replica=wrap, precision="bf16")
    losses = [run.train_epoch(epoch) for epoch in (1, 2, 3, 4)]
    torch.save((losses, _weights(run.net)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _weights(net: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().cpu() for parameter in net.parameters()]


def test_two_processes_on_one_gpu_keep_the_same_weights_and_learn(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_replica, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    assert first[0][-1] < first[0][0]
    assert second[0][-1] < second[0][0]
