"""Code that runs inside the training workers of a real search, around every epoch of a fold.

Python imports a file named sitecustomize when it starts, in Ray's workers, too.
"""

import os
from pathlib import Path
from typing import NamedTuple

CODE = """
import importlib.util
import os
import pathlib
import sys

LOG = pathlib.Path({log!r})


def before(lr, fold, epoch):
{before}


class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "hierclf.training.fold_run":
            return None
        sys.meta_path.remove(Hook)
        spec = importlib.util.find_spec(name)
        real = spec.loader.exec_module

        def exec_module(module):
            real(module)
            real_epoch = module.FoldRun.train_epoch

            def train_epoch(run, epoch):
                before(round(run.config.train.lr, 6), run.fold.name, epoch)
                loss = real_epoch(run, epoch)
                with LOG.open("a") as log:
                    log.write(f"{{run.config.train.lr:.9g}} {{run.fold.name}} {{epoch}}\\n")
                return loss

            module.FoldRun.train_epoch = train_epoch

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Hook)
"""


class Epoch(NamedTuple):
    """An epoch that was trained to its end."""

    lr: float
    fold: str
    epoch: int


def injected(folder: Path, before: str = "pass") -> dict[str, str]:
    """Variables of a search that keeps a log of its epochs.

    Args:
        before: lines of Python that run before each epoch; they see `lr`, rounded to 6 digits,
            `fold` and `epoch`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    indented = "\n".join(f"    {line}" for line in before.splitlines())
    code = CODE.format(log=str(folder / "epochs.log"), before=indented)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.getenv("PYTHONPATH")]))}


def trained(folder: Path) -> list[Epoch]:
    """The epochs of all folds, in the order in which they ended."""
    log = folder / "epochs.log"
    lines = log.read_text().splitlines() if log.is_file() else []
    words = [line.split() for line in lines]
    return [Epoch(float(lr), fold, int(epoch)) for lr, fold, epoch in words]
