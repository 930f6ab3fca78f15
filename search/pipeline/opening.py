"""Open the folder of a new run or of a run to resume, for one process at a time."""

import os
import re
import shutil
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from hierclf.config import Choices, Config, load_config
from hierclf.config.backbones import AND
from hierclf.data.sources import absolute
from hierclf.io.locks import lock_now, owner_in
from search.pipeline.options import RunOptions
from search.pipeline.run_folder import RunFolder
from search.tuning.study import absolute_address

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@contextmanager
def new_run(
    config: Config, *, name: str | None, results: Path, options: RunOptions
) -> Iterator[tuple[RunFolder, Config]]:
    """Create the folder of a new run, and store the configuration and options in it.

    Args:
        config: the configuration.
        name: the run's name; None names it after the current time.
        results: the results folder; the runs are in its folder `runs`.
        options: the options to store.

    Yields:
        The folder, locked by this process, and the configuration with absolute paths.

    Raises:
        ValueError: the name is invalid or taken.
    """
    folder = _new_folder(results, name)
    with _owned(folder):
        with removed_on_error(folder):
            config = _absolute(config)
            folder.write_json(folder.options, options.to_dict())
            tree = config.model_dump(mode="json")
            folder.write_text(folder.config, yaml.safe_dump(tree, sort_keys=False))
        yield folder, config


@contextmanager
def existing_run(
    name: str, *, results: Path, address: str | None, take_over: bool
) -> Iterator[tuple[RunFolder, Config, RunOptions]]:
    """Open the folder of a run to resume it.

    Args:
        name: the run's name.
        results: the results folder; the runs are in its folder `runs`.
        address: address of the Ray cluster; it may be another one than before.
        take_over: as in `RunOptions`; True overrides the stored option.

    Yields:
        The folder, locked by this process, and the stored configuration and options.

    Raises:
        ValueError: there is no such run, another process works on it, or another version wrote
            its files.
    """
    folder = _folder(results, name)
    if not folder.config.is_file():
        raise ValueError(f"--resume must name a run in {results / 'runs'}, but got {name!r}")
    with _owned(folder):
        folder.sweep()
        options = RunOptions.read(folder.options)
        options = replace(
            options,
            address=address,
            wait_for_nodes=0.0 if address is None else options.wait_for_nodes,
            take_over=take_over or options.take_over,
        )
        yield folder, load_config(folder.config), options


@contextmanager
def removed_on_error(folder: RunFolder) -> Iterator[None]:
    """Delete the folder of a new run that fails before its first stage, to free its name."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _new_folder(results: Path, name: str | None) -> RunFolder:
    if name is not None:
        folder = _folder(results, name)
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            raise ValueError(
                f"--name must be new, but {folder.path} exists; resume it with --resume {name}"
            ) from None
        return folder
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in count(1):  # several runs may start in the same second
        folder = _folder(results, now if number == 1 else f"{now}-{number}")
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _folder(results: Path, title: str) -> RunFolder:
    if not _NAME.fullmatch(title):
        raise ValueError(
            "--name must consist of letters, digits, dots, dashes and underscores (64 at most), "
            f"but got {title!r}"
        )
    return RunFolder(results / "runs" / title)


@contextmanager
def _owned(folder: RunFolder) -> Iterator[None]:
    """Hold the lock of a run's folder; the system releases it however the process ends."""
    with folder.lock.open("a+") as file:
        try:
            if not lock_now(file):
                raise ValueError(
                    f"one process at a time may work on a run, but {folder.path} is in use by "
                    f"{owner_in(file) or 'another one'}"
                )
        except OSError as error:  # some network file systems have no locks
            warnings.warn(
                f"{folder.path} cannot be locked ({error.strerror}): do not resume this run in a "
                "second process",
                stacklevel=3,
            )
        file.truncate(0)
        since = datetime.now().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file.flush()
        yield


def _absolute(config: Config) -> Config:
    """The same configuration with absolute paths: Ray's workers run in other folders."""
    data, model = config.data, config.model
    data = data.model_copy(update={"path": absolute(data.path)})
    for name in ("novel", "generated", "unlabelled", "hierarchy"):
        path = getattr(data, name)
        if path is not None and Path(path).exists():
            data = data.model_copy(update={name: str(Path(path).resolve())})
    model = model.model_copy(update={"weights": _absolute_weights(model.weights)})
    search, space = config.search, dict(config.search.space)
    if search.study is not None:
        search = search.model_copy(update={"study": absolute_address(search.study)})
    if isinstance(varied := space.get("model.weights"), Choices):
        space["model.weights"] = Choices(choices=tuple(map(_absolute_weights, varied.choices)))
        search = search.model_copy(update={"space": space})
    return config.model_copy(update={"data": data, "model": model, "search": search})


def _absolute_weights(weights: Any) -> Any:
    if isinstance(weights, str) and AND in weights:
        return AND.join(map(_absolute_weights, weights.split(AND)))
    if weights in ("default", "none") or not Path(weights).exists():
        return weights
    return str(Path(weights).resolve())
