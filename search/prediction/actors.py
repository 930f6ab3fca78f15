"""Share shards out among Ray's actors: few at a time each, and again where one is lost."""

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError

from hierclf.errors import one_line
from hierclf.storage.remote_reader import UnreachableError
from search.prediction.job import Shard

AT_A_TIME = 2
"""Shards that a worker has: one to predict, and the next one, so that it does not wait."""
_LOSSES = 3
_CORES = 4  # per worker without a GPU; further cores speed up one network less and less


class Workers(NamedTuple):
    """The number of workers, and what each of them takes."""

    number: int
    cpus: int
    gpus: float

    @property
    def resources(self) -> dict[str, float]:
        """What Ray is asked for."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def plan_workers(
    nodes: Sequence[Mapping[str, float]], *, gpus_per_worker: float | None, n_shards: int
) -> Workers:
    """As many workers as the nodes take, each on a GPU or a part of one if there are GPUs.

    Args:
        nodes: resources of each.
        gpus_per_worker: at most 1, a fraction lets workers share a GPU, 0 leaves GPUs alone; None
            is 1 if there are GPUs.
        n_shards: there is no use for more workers.

    Raises:
        ValueError: GPUs are asked for and there are none, or there is no core.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if gpus_per_worker is None:
        gpus_per_worker = 1.0 if sum(gpus) else 0.0
    if gpus_per_worker:
        a_gpu = int(1 / gpus_per_worker + 1e-9)  # 1 / 0.05 is a little less than 20
        most = sum(
            min(n * a_gpu, int(node.get("CPU", 0))) for n, node in zip(gpus, nodes, strict=True)
        )
        if not most:
            raise ValueError(
                f"--gpus-per-worker {gpus_per_worker:g} needs a node with a GPU and a CPU core, "
                "but the cluster has none"
            )
        return Workers(min(most, n_shards), 1, gpus_per_worker)
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if not cpus:
        raise ValueError("the cluster must have a CPU core, but has none")
    cores = min(_CORES, *cpus)
    return Workers(min(sum(n // cores for n in cpus), n_shards), cores, 0.0)


def results_of(
    shards: Iterable[Shard],
    start: Callable[[], Any],
    submit: Callable[[Any, Shard], Any],
    n_workers: int,
) -> Iterator[tuple[Shard, Any]]:
    """What workers make of shards, as it comes.

    `AT_A_TIME` shards a worker, and one, are the most that are taken from `shards` and whose
    results are not taken yet.

    Args:
        shards: may be made as they are taken.
        start: starts an actor with a method `ready`, which raises what keeps it from working.
        submit: gives an actor a shard; returns Ray's reference to the result.
        n_workers: actors at a time. One that is lost, with its process or node, is replaced once
            the cluster has room; its shards go to the others.

    Raises:
        ValueError: a store, a disk or the model fails in a worker, or a shard ends its process
            again and again; one line.
    """
    pool = _Pool(iter(shards), start, submit)
    try:
        for _ in range(n_workers):
            pool.add()
        while pool.has_work():
            if (result := pool.next()) is not None:
                yield result
    finally:
        pool.end()


class _Pool:
    def __init__(
        self,
        shards: Iterator[Shard],
        start: Callable[[], Any],
        submit: Callable[[Any, Shard], Any],
    ) -> None:
        self._shards, self._start, self._submit = shards, start, submit
        self._again: deque[Shard] = deque()
        self._losses: Counter[Shard | None] = Counter()
        self._workers: dict[int, Any] = {}
        self._ready: set[int] = set()
        self._waiting: dict[Any, tuple[int, Shard | None]] = {}
        self._started = 0

    def add(self) -> None:
        self._started += 1
        worker = self._workers[self._started] = self._start()
        self._waiting[worker.ready.remote()] = self._started, None

    def has_work(self) -> bool:
        """Whether a shard is at a worker, or one can be given to one; gives what it can."""
        self._give()
        if any(shard is not None for _, shard in self._waiting.values()):
            return True
        if not self._again and (first := next(self._shards, None)) is not None:
            self._again.append(first)
        return bool(self._again)

    def next(self) -> tuple[Shard, Any] | None:
        """A result; None if a worker got ready or was lost."""
        (reference,), _ = ray.wait(list(self._waiting), num_returns=1)
        number, shard = self._waiting.pop(reference)
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            raise _told(error.cause, shard) from None
        except RayError as error:  # its process or its node is gone, or its result with it
            self._lose(number, shard, error)
            return None
        if shard is None:
            self._losses[None] = 0
            self._ready.add(number)
            return None
        return shard, result

    def end(self) -> None:
        for worker in self._workers.values():
            ray.kill(worker)

    def _give(self) -> None:
        loads = Counter(number for number, _ in self._waiting.values())
        for load in range(AT_A_TIME):  # one each, before a second one
            for number in sorted(self._ready):
                if loads[number] > load:
                    continue
                shard = self._again.popleft() if self._again else next(self._shards, None)
                if shard is None:
                    return
                self._waiting[self._submit(self._workers[number], shard)] = number, shard
                loads[number] += 1

    def _lose(self, number: int, shard: Shard | None, error: RayError) -> None:
        self._losses[shard] += 1
        if self._losses[shard] >= _LOSSES:
            what = "a worker's process" if shard is None else f"the process for {_images(shard)}"
            raise ValueError(
                f"{what} was lost {_LOSSES} times, for want of memory perhaps (a smaller "
                f"--batch-size takes less): {one_line(error)[:300]}"
            )
        if number not in self._workers:  # the second shard of a worker that is lost already
            assert shard is not None
            self._again.append(shard)
            return
        warnings.warn("a worker was lost; its images are predicted again", stacklevel=2)
        ray.kill(self._workers.pop(number))
        self._ready.discard(number)
        if shard is not None:
            self._again.append(shard)
        self.add()


def _told(cause: Exception, shard: Shard | None) -> Exception:
    """What is not a mistake of this program becomes one line."""
    if not isinstance(cause, ValueError | OSError | UnreachableError):
        return cause
    where = "" if shard is None else f"{_images(shard)}: "
    return ValueError(f"{where}{one_line(cause)}; the same command goes on from here")


def _images(shard: Shard) -> str:
    return f"images {shard.start + 1:,} to {shard.stop:,}"
