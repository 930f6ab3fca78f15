"""Claims about batches read from a resident set, or sent one by one."""

import numpy as np
import pytest
import torch

from hierclf.training import batch_reader as module
from hierclf.training.batch_reader import batch_reader, resident_reader

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 12, 16, 3), dtype=np.uint8)
ROWS = np.array([7, 2, 2, 9])


def test_a_resident_set_gives_the_same_batches() -> None:
    read, expected = (
        resident_reader(IMAGES, CPU),
        batch_reader(IMAGES, CPU),
    )
    for rows in (ROWS, ROWS[:1], ROWS.astype(np.int32)):
        torch.testing.assert_close(read(rows), expected(rows), rtol=0, atol=0)


def test_a_resident_set_is_copied_once_and_freed_with_its_last_reader() -> None:
    images = IMAGES.copy()
    first, second = (
        resident_reader(images, CPU),
        resident_reader(images, CPU),
    )
    copies = [value for key, value in module._RESIDENT.items() if key[0] == id(images)]
    assert len(copies) == 1
    images[:] = 0  # both read the copy
    assert torch.equal(first(ROWS), second(ROWS))
    assert first(ROWS).any()
    key = id(images), "cpu"
    del first, second, copies
    assert key not in module._RESIDENT


@pytest.mark.parametrize(("free", "resident"), [(4 * IMAGES.nbytes, 1), (IMAGES.nbytes, 0)])
def test_a_set_becomes_resident_where_it_takes_a_small_part_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch, free: int, resident: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * free))
    copied: list[np.ndarray] = []
    monkeypatch.setattr(module, "resident_reader", lambda images, device: copied.append(images))
    batch_reader(IMAGES, torch.device("cuda"))
    assert len(copied) == resident


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_ways_to_a_gpu_give_the_same_batches(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(module, "RESIDENT_SHARE", share)
    batch = batch_reader(IMAGES, torch.device("cuda"))(ROWS)
    assert batch.is_cuda
    assert torch.equal(batch.cpu(), torch.from_numpy(IMAGES[ROWS]))
