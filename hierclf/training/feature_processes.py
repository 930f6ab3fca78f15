"""Shards of a feature bank, computed by several processes of this machine.

Each is a program of its own (`feature_worker`). Processes of `multiprocessing` would run the user's
script again where it has no `if __name__ == "__main__"`, and those of a pool wait for ever when
their parent is killed.
"""

import json
import mmap
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import safetensors.torch
import torch
from torch import nn

import hierclf
from hierclf.training.feature_shards import FeatureSettings, Shard, shard_of

_ERRORS: dict[str, type[Exception]] = {"ValueError": ValueError, "OSError": OSError}
Said = tuple[int, str, str]
"""Number of a process, the first word of its line (`end` for the last), and the rest."""
IMAGES_A_PROCESS = 4096
"""Fewer images, views counted, are not worth a process, which takes seconds to start."""


def devices_for(
    shards: Sequence[Shard], images: np.ndarray, device: torch.device, *, at_most: int | None
) -> list[torch.device]:
    """Where shards are computed: by a process for each device, or, on a single one, by this one.

    Args:
        shards: that are to be computed.
        images: other processes cannot open them unless they are a whole file, mapped.
        device: `cuda` stands for all GPUs that this process sees, `cuda:1` for that one.
        at_most: so many processes; None for as many as there are GPUs. More of them share GPUs, or
            the cores of a CPU.
    """
    every = device.type == "cuda" and device.index is None
    gpus = [torch.device("cuda", i) for i in range(torch.cuda.device_count())] if every else []
    if at_most is None:
        at_most = len(gpus)
    n_images = sum(shard.n_images for shard in shards)
    count = min(at_most, len(shards), n_images // IMAGES_A_PROCESS)
    is_file = isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap)
    if count < 2 or not is_file:
        return [device]
    return [gpus[i % len(gpus)] if gpus else device for i in range(count)]


def write_in_processes(
    shards: Sequence[Shard],
    settings: FeatureSettings,
    module: nn.Module,
    name: str,
    images: np.memmap,
    bank: Path,
    devices: Sequence[torch.device],
) -> Generator[Shard, None, None]:
    """Let a process per device write shards into a bank; each is yielded once it is written.

    The processes end with the generator.

    Args:
        module: the backbone that `name` names.
        images: uint8 [N, H, W, 3], a whole file.
        bank: the file of a float32 array [V + 1, N, D].

    Raises:
        ChildProcessError: a process was killed.
        Exception: what went wrong in a process; ValueError and OSError are such, others are
            RuntimeError.
    """
    weights = _weights(module)
    job = {
        "backbone": name,
        "n_bytes": len(weights),
        "images": str(images.filename),
        "shape": images.shape,
        "bank": str(bank.resolve()),
        "threads": max(1, torch.get_num_threads() // len(devices)),
        "settings": settings._asdict(),
    }
    said: Queue[Said] = Queue()
    started, listeners = [], []
    try:
        for i, device in enumerate(devices):
            begin = json.dumps(job | {"device": str(device)}).encode() + b"\n", weights
            started.append(_start())
            listeners.append(Thread(target=_listen, args=(i, started[i], begin, said), daemon=True))
            listeners[i].start()
        yield from _share_out(shards, settings, started, said)
    finally:
        _end(started, listeners)


def _weights(module: nn.Module) -> bytes:
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    # Copies: safetensors refuses tensors that share memory.
    return safetensors.torch.save({key: value.clone() for key, value in state.items()})


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        # Warnings were shown when this process built the same backbone.
        [sys.executable, "-W", "ignore", "-m", "hierclf.training.feature_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(hierclf.__file__).parents[1],  # Python imports from there, not from user's folders
        start_new_session=True,  # Ctrl-C is for this process, which ends the others
    )


def _end(processes: "Sequence[subprocess.Popen[bytes]]", listeners: Sequence[Thread]) -> None:
    for process in processes:
        process.kill()
    for listener in listeners:
        listener.join()
    for process in processes:
        process.wait()
        assert process.stdin is not None
        with suppress(OSError):  # what it was not told any more
            process.stdin.close()


def _listen(
    i: int, process: "subprocess.Popen[bytes]", begin: Sequence[bytes], said: "Queue[Said]"
) -> None:
    """Tell a process how to begin, and pass on what it says."""
    assert process.stdout is not None
    for part in begin:
        _tell(process, part)
    for line in process.stdout:
        word, _, rest = line.decode(errors="replace").rstrip("\n").partition(" ")
        said.put((i, word, rest))
    process.stdout.close()
    said.put((i, "end", ""))


def _tell(process: "subprocess.Popen[bytes]", what: bytes) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # the process has ended, which its output says, too
        process.stdin.write(what)
        process.stdin.flush()


def _share_out(
    shards: Sequence[Shard],
    settings: FeatureSettings,
    processes: "Sequence[subprocess.Popen[bytes]]",
    said: "Queue[Said]",
) -> Iterator[Shard]:
    """Give a shard to whichever process asks; yield those that are written."""
    todo, left = iter(shards), len(shards)
    while left:
        i, word, rest = said.get()
        if word == "next":
            shard = next(todo, None)
            _tell(processes[i], b"\n" if shard is None else f"{shard.number}\n".encode())
        elif word == "done":
            left -= 1
            yield shard_of(int(rest), settings)
        elif word == "error":
            kind, _, text = rest.partition(" ")
            raise _ERRORS.get(kind, RuntimeError)(text)
        elif code := processes[i].wait():
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise ChildProcessError(
                f"one of {len(processes)} processes that compute features {how}, for want of "
                "memory perhaps; the same command goes on with what was computed"
            )
