"""Claims about trials of heads on a GPU. Skipped where there is no GPU, or no Ray."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("ray")

from tests.head_jobs import GOOD, begun, head_job, to_the_end

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_a_trial_with_a_share_of_a_gpu_trains_its_heads_there(tmp_path: Path) -> None:
    job = head_job(tmp_path)
    job = job._replace(plan=job.plan._replace(use_gpu=True, gpus=1))
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    losses = [metrics["loss"] for metrics in to_the_end(begun(job, GOOD))]
    assert torch.cuda.max_memory_allocated() > before
    assert len(losses) == job.epochs
    assert losses[-1] < losses[0]
