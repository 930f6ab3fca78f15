"""Time and memory of each stage on large sets, and how both grow with images and with classes.

    python -m tests.benchmarks.large_sets
    python -m tests.benchmarks.large_sets --stages fold promise --rows 10000 100000

Sets are drawn by code: features around a place for each class, score tables, tables of images.
Every stage runs in a process of its own, on one thread, with 100 sub-classes for each number of
rows, then with 100,000 rows for each number of sub-classes; ten sub-classes make a super-class.
Prints a table in Markdown: seconds of CPU and, in brackets, peak memory in GB above that of the
inputs. Other programs make the seconds longer by what they take of caches and memory; the peaks do
not depend on them.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.large_set_stages import STAGES

ROWS = (10_000, 100_000, 1_000_000)
SUBS = (100, 1_000, 10_000)
_ROWS_OF_SUBS = 100_000
_SUBS_OF_ROWS = 100


def measure(stage: str, rows: int, subs: int, *, width: int, limit_gb: int, timeout: int) -> str:
    """One cell of the table."""
    module = "tests.benchmarks.large_set_stages"
    command = [sys.executable, "-m", module, stage, *map(str, (rows, subs, width, limit_gb))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            out, problem = run.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            peak = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{run.pid}/status").read_text())
            run.kill()
            return f"not in {timeout} s ({int(peak[0]) * 1024 / 1e9:.2f} with inputs)"
    if run.returncode:
        return "failed: " + (problem.strip().splitlines() or [f"exit {run.returncode}"])[-1]
    found = json.loads(out.splitlines()[-1])
    if "failed" in found:
        return str(found["failed"])
    text = f"{found['seconds']:.3g} ({found['gb']:.2f})"
    return text if found["page_mb"] is None else f"{text}, {found['page_mb']:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.large_sets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--rows", nargs="*", type=int, default=ROWS, help="default: %(default)s")
    parser.add_argument("--subs", nargs="*", type=int, default=SUBS, help="default: %(default)s")
    parser.add_argument("--width", type=int, default=64, help="of features; default: 64")
    parser.add_argument("--limit-gb", type=int, default=14, help="of a process; default: 14")
    parser.add_argument("--timeout", type=int, default=600, help="seconds a cell; default: 600")
    options = parser.parse_args()
    sizes = {f"{rows:,} rows": (rows, _SUBS_OF_ROWS) for rows in options.rows}
    sizes |= {f"{subs:,} sub-classes": (_ROWS_OF_SUBS, subs) for subs in options.subs}
    print("| stage | " + " | ".join(sizes) + " |")
    print("|---|" + "---:|" * len(sizes), flush=True)
    known: dict[tuple[int, int], str] = {}
    for stage in options.stages:
        known.clear()
        print(f"| `{stage}` |", end="", flush=True)
        for size in sizes.values():
            if size not in known:
                known[size] = measure(
                    stage,
                    *size,
                    width=options.width,
                    limit_gb=options.limit_gb,
                    timeout=options.timeout,
                )
            print(f" {known[size]} |", end="", flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
