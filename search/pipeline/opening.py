"""Opening a run's folder: a new one, or that of a run to resume."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from hierclf.config import Choices, Config, load_config
from hierclf.data.sources import is_demo
from search.pipeline.options import RunOptions
from search.pipeline.run_folder import RunFolder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def new_run(
    config: Config, *, name: str | None, results: Path, options: RunOptions
) -> tuple[RunFolder, Config]:
    """Create the folder of a new run, which stores its configuration and options.

    Args:
        name: of the run; None names it after the current time.
        results: folder of all runs.

    Returns:
        The folder, and the configuration with absolute paths.

    Raises:
        ValueError: the name is no valid name, or taken.
    """
    title = name or datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = _folder(results, title)
    if folder.path.exists():
        raise ValueError(
            f"--name must be new, but {folder.path} exists; resume it with --resume {title}"
        )
    folder.path.mkdir(parents=True)
    config = _absolute(config)
    folder.write_json(folder.options, options.to_dict())
    folder.write_text(
        folder.config, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    )
    return folder, config


def existing_run(
    name: str, *, results: Path, address: str | None
) -> tuple[RunFolder, Config, RunOptions]:
    """Open the folder of a run to resume it, with the configuration and options that it stores.

    Args:
        address: of the Ray cluster; a run may be resumed on another one.

    Raises:
        ValueError: there is no such run, or its files are not those of this version.
    """
    folder = _folder(results, name)
    if not folder.config.is_file():
        raise ValueError(f"--resume must name a run in {results / 'runs'}, but got {name!r}")
    folder.sweep()
    options = replace(RunOptions.read(folder.options), address=address)
    return folder, load_config(folder.config), options


@contextmanager
def removed_on_error(folder: RunFolder) -> Iterator[None]:
    """Delete the folder of a new run that fails before its first stage; its name stays free."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _folder(results: Path, title: str) -> RunFolder:
    if not _NAME.fullmatch(title):
        raise ValueError(
            f"--name takes letters, digits, dot, dash and underscore (64 at most), got {title!r}"
        )
    return RunFolder(results / "runs" / title)


def _absolute(config: Config) -> Config:
    """The same configuration with absolute paths: Ray's workers run in other folders."""
    data, model = config.data, config.model
    if not is_demo(data.path) and Path(data.path).exists():
        data = data.model_copy(update={"path": str(Path(data.path).resolve())})
    model = model.model_copy(update={"weights": _absolute_weights(model.weights)})
    search, space = config.search, dict(config.search.space)
    if isinstance(varied := space.get("model.weights"), Choices):
        space["model.weights"] = Choices(choices=tuple(map(_absolute_weights, varied.choices)))
        search = search.model_copy(update={"space": space})
    return config.model_copy(update={"data": data, "model": model, "search": search})


def _absolute_weights(weights: Any) -> Any:
    if weights in ("default", "none") or not Path(weights).exists():
        return weights
    return str(Path(weights).resolve())
