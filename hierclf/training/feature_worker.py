"""A process that computes shards of a feature bank for another one (`feature_processes`).

It is told what to do on its standard input: a line of JSON, the network's weights as safetensors,
and then a shard's number on a line whenever it says `next`; an empty line ends it. It says, a line
each: `next`, `done NUMBER` once a shard is written, or `error TYPE TEXT`. When the input ends, so
does the process, at once: nobody waits for it any more.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread
from typing import IO, Any, NoReturn

import numpy as np
import torch
from safetensors.torch import load

from hierclf.errors import one_line
from hierclf.nets.backbones import build_backbone
from hierclf.training.feature_shards import FeatureSettings, Shard, ready, shard_of, write_shards


def main() -> NoReturn:
    """Do what the standard input says."""
    say = _only_answers()
    job = json.loads(sys.stdin.buffer.readline())
    weights = sys.stdin.buffer.read(job["n_bytes"])
    numbers: Queue[str] = Queue()
    Thread(target=_receive, args=(sys.stdin.buffer, numbers), daemon=True).start()

    def asked(settings: FeatureSettings) -> Iterator[Shard]:
        say("next")
        while number := numbers.get():
            yield shard_of(int(number), settings)
            say("next")

    code = 0
    try:
        for shard in _written(job, weights, asked):
            say(f"done {shard.number}")
    except Exception as error:  # whatever it is, the parent tells it
        say(f"error {type(error).__name__} {one_line(error)}")
        code = 1
    os._exit(code)  # the thread still reads, which would disturb an orderly end


def _only_answers() -> Callable[[str], None]:
    """The function that answers; what libraries print goes to the standard error instead."""
    answers = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        try:
            os.write(answers, f"{line}\n".encode())
        except OSError:  # the parent has ended
            os._exit(1)

    return say


def _receive(stdin: IO[bytes], numbers: "Queue[str]") -> None:
    for line in stdin:
        numbers.put(line.decode().strip())
    os._exit(1)


def _written(
    job: dict[str, Any], weights: bytes, asked: Callable[[FeatureSettings], Iterator[Shard]]
) -> Iterator[Shard]:
    """Each shard once it is written into the bank."""
    torch.set_num_threads(job["threads"])
    device = torch.device(job["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)  # pinned memory would wake up the first GPU otherwise
    module = build_backbone(job["backbone"], "none").module
    module.load_state_dict(load(weights))
    images = np.memmap(job["images"], np.uint8, mode="r", shape=tuple(job["shape"]))
    bank = np.lib.format.open_memmap(job["bank"], mode="r+")
    settings = FeatureSettings(**job["settings"])
    yield from write_shards(asked(settings), settings, ready(module, device), images, bank, device)


if __name__ == "__main__":
    main()
