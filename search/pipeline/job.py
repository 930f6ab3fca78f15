"""The main job as its stages: prepare, search, confirm, thresholds, refit, register."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from hierclf.config import Config, load_config
from hierclf.data.cache import default_cache_dir
from hierclf.data.sources import open_source
from hierclf.data.stream_open import parquet_of
from hierclf.nets.backbones import build_backbone
from hierclf.training.folds import REFERENCE, REFIT
from hierclf.training.loop import pick_precision
from hierclf.training.prepare import Prepared, prepare
from search.pipeline.run import Run
from search.pipeline.run_folder import RunFolder, read_json
from search.pipeline.summary import print_summary, save_plots, write_summary
from search.pipeline.threshold_stage import threshold_stage
from search.pipeline.training_stages import (
    confirm_stage,
    refit_stage,
    register_stage,
    search_stage,
)
from search.runtime.cluster import plan_resources, start_ray
from search.runtime.progress import Steps, console
from search.runtime.signals import CODES, end_on_signals
from search.tracking import store
from search.trials.plan import Plan
from search.trials.stream import map_on_cluster

EXPERIMENT = "hierclf"
LAST_WORDS_S = 10.0
"""How long a run that is ending waits for MLflow."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def run_job(
    config: Config | None,
    *,
    name: str | None,
    resume: str | None,
    results: Path,
    options: dict[str, Any],
) -> None:
    """Run every stage that is not finished yet.

    Args:
        config: of a new run; None when resuming.
        name: of a new run; None names it after the time.
        resume: name of the run to go on with.
        results: folder of all runs and of the local MLflow store.
        options: how it runs: gpus, gpus_per_trial, time_budget, address, mlflow_uri.

    Raises:
        ValueError: whatever the user can put right, in one line.
    """
    started = time.monotonic()
    end_on_signals()
    folder, config, options = _open_run(config, name, resume, results, options)
    # Of a stream, tables alone are kept: with the run, where all nodes see them.
    cache_dir = folder.path / "images" if config.data.stream else default_cache_dir()
    title = folder.path.name
    console.print(
        f"[bold]hierclf[/bold] run {title}: {config.model.backbone} on {config.data.path}"
    )

    with _undone_on_error(folder, new=resume is None), folder.timed("prepare"):
        _check(config)
        uri = options["mlflow_uri"] or store.default_uri(results)
        plan = _start(config, options)
        # Before the images are decoded: a store that can't be reached is told at once.
        experiment_id = store.open_store(uri, EXPERIMENT, results / "mlartifacts")
        prepared = _prepare(config, folder, plan, cache_dir)
        params = config.model_dump(mode="json")
        tags = {"data_fingerprint": prepared.cache.fingerprint}
        parent = store.start_search(
            uri, experiment_id, title, params, tags, resume=resume is not None
        )
    run = Run(
        title, folder, config, prepared, plan, cache_dir, options["time_budget"], uri,
        experiment_id, parent,
    )  # fmt: skip
    try:
        _run_stages(run, started)
    except BaseException as error:
        _say_how_to_go_on(run, results, error)
        if isinstance(error, SystemExit):
            # Only SIGTERM asks for an end here, and Ray's waiting calls turn its code into 1.
            raise SystemExit(CODES[signal.SIGTERM]) from None
        raise


def _say_how_to_go_on(run: Run, results: Path, error: BaseException) -> None:
    place = "" if results == Path("results") else f" --results {results}"
    console.print(f"  go on later with: python search/tune.py --resume {run.name}{place}")
    status = "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"
    outbox = run.outbox()
    outbox.put({"do": "abandon", "status": status, "pid": os.getpid()})
    outbox.wait(LAST_WORDS_S)  # MLflow may be gone, too: then the next start says it


def _run_stages(run: Run, started: float) -> None:
    folder = run.folder
    with folder.timed("search"):
        console.print(
            f"[bold]search[/bold]  {run.config.search.trials} trials over learning rate, weight "
            "decay and augmentation strength"
        )
        best = search_stage(run)
    with folder.timed("confirm"):
        console.print(
            f"[bold]confirm[/bold]  the best trial ({100 * best.objective:.1f}) on all "
            f"{len(run.prepared.folds) - 2} class-holdout folds, epochs: {best.epochs}"
        )
        table = confirm_stage(run, best)
    with folder.timed("thresholds"):
        console.print(
            f"[bold]thresholds[/bold]  {run.config.thresholds.trials} trials over the scores and "
            f"taus of both heads, on {len(table):,} scored images"
        )
        rule, held_out = threshold_stage(run, table)
    with folder.timed("refit"):
        n_images = len(run.prepared.cache.images)
        console.print(f"[bold]refit[/bold]  on all {n_images:,} labelled images")
        refit_stage(run, best, rule)
    with folder.timed("register"):
        console.print("[bold]register[/bold]")
        save_plots(folder)
        registered = register_stage(run, held_out)
    summary = write_summary(run, best, rule, held_out, seconds=time.monotonic() - started)
    figures = summary["held_out"]["chosen"]
    metrics = {f"held_out.{key}": value for key, value in figures.items() if value is not None}
    kept = [folder.config, folder.trials.with_suffix(".csv"), folder.summary, folder.plots]
    store.patiently(store.finish_search, run.mlflow_uri, run.parent_run_id, metrics, kept)
    print_summary(run, summary, registered)


def _open_run(
    config: Config | None,
    name: str | None,
    resume: str | None,
    results: Path,
    options: dict[str, Any],
) -> tuple[RunFolder, Config, dict[str, Any]]:
    title = resume or name or datetime.now().strftime("%Y%m%d-%H%M%S")
    if not _NAME.fullmatch(title):
        raise ValueError(
            f"--name takes letters, digits, dot, dash and underscore (64 at most), got {title!r}"
        )
    folder = RunFolder(results / "runs" / title)
    if resume is not None:
        if not folder.config.is_file():
            raise ValueError(f"--resume must name a run in {results / 'runs'}, but got {resume!r}")
        folder.sweep()
        kept = read_json(folder.options)
        kept["address"] = options["address"]  # where a run goes on need not be where it began
        return folder, load_config(folder.config), kept
    assert config is not None
    config = _absolute(config)
    if folder.path.exists():
        raise ValueError(
            f"--name must be new, but {folder.path} exists; go on with it by --resume {title}"
        )
    folder.path.mkdir(parents=True)
    folder.write_json(folder.options, options)
    folder.write_text(
        folder.config, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    )
    return folder, config, options


@contextmanager
def _undone_on_error(folder: RunFolder, *, new: bool) -> Iterator[None]:
    """A run that did not get as far as its first stage leaves its name free."""
    try:
        yield
    except BaseException:
        if new:
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _absolute(config: Config) -> Config:
    """The same with absolute paths: Ray's workers run in other folders."""
    tree = config.model_dump()
    words = {"data": ("path", "demo"), "model": ("weights", "default", "none")}
    for section, (key, *reserved) in words.items():
        path = Path(tree[section][key])
        if tree[section][key] not in reserved and path.exists():
            tree[section][key] = str(path.resolve())
    return Config.model_validate(tree)


def _check(config: Config) -> None:
    """Refuse at once what preparation or the first trial would refuse after minutes."""
    source = open_source(config.data.path)
    if config.data.stream:
        parquet_of(source)
    build_backbone(config.model.backbone, config.model.weights)


def _prepare(config: Config, folder: RunFolder, plan: Plan, cache_dir: Path) -> Prepared:
    steps = Steps()
    over = partial(map_on_cluster, at_a_time=plan.cpus)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        prepared = prepare(config, directory=cache_dir, device=device, over=over, progress=steps)
    finally:
        steps.close()
    cache, hierarchy = prepared.cache, prepared.cache.hierarchy
    folder.list_images(cache)
    height, width = cache.images.shape[1:3]
    console.print(
        f"[bold]prepare[/bold]  {len(cache.images):,} images of {width}x{height}, "
        f"{hierarchy.n_super} super-classes, {hierarchy.n_sub} sub-classes"
        + (f", {len(cache.quarantine)} unreadable left out" if len(cache.quarantine) else "")
    )
    names = [name for name in prepared.folds if name not in (REFERENCE, REFIT)]
    n_super, n_mixed = (sum(x.startswith(kind) for x in names) for kind in ("super", "mixed"))
    console.print(
        f"  folds: {len(names) - n_super - n_mixed} hide sub-classes, "
        + (
            f"{n_super} hide a whole super-class"
            if n_super
            else "none hides a super-class (that needs three of them): super_tau stays untested"
        )
        + (f", {n_mixed} hide both" if n_mixed else "")
    )
    return prepared


def _start(config: Config, options: dict[str, Any]) -> Plan:
    import ray  # not before search.runtime.cluster has set what it reads while it is imported

    start_ray(options["address"])
    end_on_signals()  # once more: Ray has put a handler of its own
    capacity = ray.cluster_resources()
    plan = plan_resources(
        cpus=capacity.get("CPU", 0),
        available_gpus=capacity.get("GPU", 0),
        gpus=options["gpus"],
        workers=options["gpus_per_trial"],
        n_trials=config.search.trials,
    )
    if config.train.batch_size < 2 * plan.workers:
        raise ValueError(
            f"train.batch_size must give each of the {plan.workers} workers of a trial 2 images or "
            f"more, but got {config.train.batch_size}"
        )
    precision = config.train.precision
    if precision != "auto":
        pick_precision(precision, torch.device("cuda" if plan.use_gpu else "cpu"))
    waiting = config.search.trials - plan.trials_at_a_time
    console.print(
        f"  resources: {plan.describe()}"
        + (f"; {waiting} more wait{'s' if waiting == 1 else ''}" if waiting > 0 else "")
    )
    return plan
