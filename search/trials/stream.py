"""Row groups of a streamed data set, decoded by Ray Data on all nodes of the cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hierclf.data.stream import Group, Part


def map_on_cluster(
    function: Callable[[Group], Iterator[Part]], groups: Sequence[Group], *, at_a_time: int
) -> Iterator[Part]:
    """The `hierclf.data.stream.MapGroups` of a cluster: a task a row group, which Ray Data spreads.

    Ray must have been started, and every node must see the files. What is decoded ahead of its use
    waits in Ray's object store, in the part of it that Ray Data allows itself, and not in this
    process.

    Args:
        at_a_time: tasks that run at the same time.
    """
    import ray.data  # a set that is not streamed needs none of it

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    items = [group._asdict() for group in groups]
    parts = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _decode,
        fn_args=(function,),
        batch_size=1,
        compute=ray.data.TaskPoolStrategy(size=at_a_time),
        # Trials hold all CPUs, and wait for what is decoded: tasks that asked for a CPU, too, would
        # wait for them. They run on the cores of their own trial, and of nodes without one.
        num_cpus=0,
    )
    yield from parts.iter_batches(batch_size=None, batch_format="numpy")


def _decode(item: dict[str, np.ndarray], function: Callable[..., Any]) -> Iterator[Part]:
    group = Group(
        str(item["file"][0]),
        str(item["column"][0]),
        int(item["group"][0]),
        item["places"][0],
        item["rows"][0],
        bool(item["keep_truncated"][0]),
    )
    yield from function(group)
