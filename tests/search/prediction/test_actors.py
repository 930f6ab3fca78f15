"""Claims about how many workers there are, and about what is said of progress."""

import pytest

from search.prediction.actors import plan_workers
from search.prediction.progress import Done, described

CPUS = [{"CPU": 8.0}, {"CPU": 6.0}, {"GPU": 0.0}]
GPUS = [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 64.0}]


@pytest.mark.parametrize(
    ("nodes", "gpus_per_worker", "n_shards", "expected"),
    [
        (CPUS, None, 99, (3, 4, 0)),  # four cores each: two on the first node, one on the second
        (CPUS, None, 2, (2, 4, 0)),  # no more than there are shards
        ([{"CPU": 1.0}, {"CPU": 8.0}], None, 99, (9, 1, 0)),
        (GPUS, None, 99, (6, 1, 1)),  # one a GPU, where there is a core for it
        (GPUS, 0.5, 99, (10, 1, 0.5)),
        ([{"CPU": 64.0, "GPU": 1.0}], 0.05, 99, (20, 1, 0.05)),
        (GPUS, 0.0, 99, (41, 2, 0)),
    ],
)
def test_there_are_as_many_workers_as_nodes_take(
    nodes: list[dict[str, float]],
    gpus_per_worker: float | None,
    n_shards: int,
    expected: tuple[int, int, float],
) -> None:
    found = plan_workers(nodes, gpus_per_worker=gpus_per_worker, n_shards=n_shards)
    assert found == expected


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--gpus-per-worker 0.5 needs a node with a GPU"):
        plan_workers(CPUS, gpus_per_worker=0.5, n_shards=9)
    with pytest.raises(ValueError, match="must have a CPU core"):
        plan_workers([{"GPU": 1.0}], gpus_per_worker=0.0, n_shards=9)


def test_the_time_left_comes_from_what_this_start_has_predicted() -> None:
    assert described(Done(3, 12, 24_576, 98_304, 8_192), 32.0) == (
        "3 of 12 shards, 24,576 of 98,304 images, 512 images/s, about 144 s left"
    )
    assert described(Done(1, 12, 8_192, 98_304, 8_192), 9.0) == (
        "1 of 12 shards, 8,192 of 98,304 images"
    )
