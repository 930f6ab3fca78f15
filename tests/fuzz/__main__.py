"""Fuzz what reads strangers' files: `python -m tests.fuzz --target images --minutes 10`.

Every input comes from a seed, so that a finding can be made again. An input may be accepted, or
refused by a ValueError of one line; all else is a finding, and is kept: another exception, more
than 2 GiB of memory, more than a minute, a crash. Exit code 1 if there are any.
"""

import argparse
import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEMORY = 2 * 2**30
SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("images", "models", "tables"), required=True)
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--inputs", type=int, default=10**9, help="stop after as many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of the first input; the next is +1")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where findings go")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    return _child(options) if options.child else _parent(options)


def _parent(options: argparse.Namespace) -> int:
    """Run the inputs in a process that may crash or be killed; start another one after that."""
    seconds = float("inf") if options.minutes is None else 60 * options.minutes
    deadline = time.monotonic() + seconds
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    seed, findings, accepted, slowest, peak = options.seed, 0, 0, 0.0, 0
    end = options.seed + options.inputs
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        while seed < end and time.monotonic() < deadline:
            arguments = [
                "--child",
                "--target",
                options.target,
                "--keep",
                str(options.keep.absolute()),
            ]
            arguments += ["--seed", str(seed), "--inputs", str(end - seed)]
            if seconds < float("inf"):
                arguments += ["--minutes", str((deadline - time.monotonic()) / 60)]
            program = [sys.executable, "-m", "tests.fuzz", *arguments]
            # The child works in a folder of its own, where `tests` would not be found.
            done = subprocess.run(program, cwd=folder, env=environment, check=False)
            said = json.loads(report.read_text())
            if done.returncode:
                findings += 1
                kept = options.keep.absolute() / f"{options.target}-{said['seed']}"
                shutil.copytree(Path(folder) / "input", kept, dirs_exist_ok=True)
                print(f"seed {said['seed']}: the process ended with {done.returncode}; {kept}")
            seed = said["seed"] + 1
            findings, accepted = findings + said["findings"], accepted + said["accepted"]
            slowest, peak = max(slowest, said["slowest"]), max(peak, said["peak"])
    tried = seed - options.seed
    print(
        f"{options.target}: corpus {said['corpus']}, {tried} inputs (seeds {options.seed} to "
        f"{seed - 1}), {accepted} accepted, {findings} findings; slowest {slowest:.2f} s, "
        f"memory at most {peak >> 20} MiB above the start"
    )
    return 1 if findings else 0


def _child(options: argparse.Namespace) -> int:
    from tests.fuzz.targets import TARGETS  # imports torch, which the parent does without

    here = Path.cwd()
    (here / "input").mkdir(exist_ok=True)
    target = TARGETS[options.target](here)
    _limit_memory()
    start = _peak_memory()
    said = {"corpus": target.corpus, "findings": 0, "accepted": 0, "slowest": 0.0, "peak": 0}
    deadline = time.monotonic() + 60 * (options.minutes or 10**6)
    for seed in range(options.seed, options.seed + options.inputs):
        if time.monotonic() > deadline:
            break
        target.make(np.random.default_rng(seed), here / "input")
        said["seed"] = seed
        (here / "report.json").write_text(json.dumps(said))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        began = time.monotonic()
        try:
            said["accepted"] += target.take(here / "input")
        except ValueError as error:
            # The image reader turns whatever a decoder raises into a reason.
            if "\n" in str(error) or "MemoryError" in str(error):
                _keep(options, said, error)
        except Exception as error:
            _keep(options, said, error)
        said["slowest"] = max(said["slowest"], time.monotonic() - began)
        said["peak"] = _peak_memory() - start
    faulthandler.cancel_dump_traceback_later()
    (here / "report.json").write_text(json.dumps(said))
    return 0


def _keep(options: argparse.Namespace, said: dict, error: Exception) -> None:
    said["findings"] += 1
    kept = options.keep / f"{options.target}-{said['seed']}"
    shutil.copytree("input", kept, dirs_exist_ok=True)
    print(f"seed {said['seed']}: {type(error).__name__}: {error}; {kept}")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _peak_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.exit(main())
