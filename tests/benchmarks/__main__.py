"""Measure figures and put them into results/.

    python -m tests.benchmarks                     every figure
    python -m tests.benchmarks augment_224 ...     some; the others keep what they had
    python -m tests.benchmarks prediction ...      all of a module of this package
    python -m tests.benchmarks --device cuda       on a GPU, into files of their own

HIERCLF_DATA names the real data set, for the figures that want one.
"""

import argparse
import importlib
import os
from pathlib import Path

import torch

from tests.benchmarks import GROUPS
from tests.benchmarks.frame import FIGURES, Skip, summarise
from tests.benchmarks.results_file import circumstances, markdown, update


def _figures_of(name: str) -> list[str]:
    """The figures of a module of this package; another name stands for itself."""
    module = f"tests.benchmarks.{name}"
    own = [figure for figure, spec in FIGURES.items() if spec.measure.__module__ == module]
    return own or [name]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # one command a line
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: every figure")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the command `hierclf` does
    for group in GROUPS:
        try:
            importlib.import_module(f"tests.benchmarks.{group}")
        except ModuleNotFoundError as error:  # the core is measured without the extra `search`
            print(f"{group}: not measured, {error}", flush=True)
    names = [name for given in options.names for name in _figures_of(given)]
    if unknown := sorted(set(names) - set(FIGURES)):
        known = ", ".join((*FIGURES, *GROUPS))
        parser.error(f"the names must be among {known}, but got {unknown[0]}")
    device = torch.device(options.device)
    # A file a kind of device: a GPU's figures stand beside the CPU's and replace none.
    stem = "benchmarks" if device.type == "cpu" else f"benchmarks-{device.type}"
    for name in names or FIGURES:
        command = f"python -m tests.benchmarks {name}"
        if options.device != "cpu":
            command += f" --device {options.device}"
        try:
            rounds = FIGURES[name].measure(device)
        except Skip as reason:
            print(f"{name}: not measured, {reason}", flush=True)
            continue
        found = summarise(FIGURES[name], rounds, command) | circumstances(device)
        figures = update(options.results / f"{stem}.json", found, list(FIGURES))
        (options.results / f"{stem}.md").write_text(markdown(figures), encoding="utf-8")
        print(
            f"{name}: {found['ours']:.4g} against {found['theirs']} {found['unit']}, ratio "
            f"{found['ratio']} ({found['low']:.3g} to {found['high']:.3g}); {found['aim']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
