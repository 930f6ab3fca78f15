"""The main job as its stages: prepare, search, confirm, thresholds, refit, register."""

import os
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from hierclf.config import Config
from hierclf.config.space import short_names
from hierclf.counts import counted
from hierclf.data.cache import default_cache_dir
from hierclf.training.folds import CALIBRATION
from hierclf.training.prepare import Prepared
from search.pipeline.bucket import Results, bring_here, check_new, copied, results_at
from search.pipeline.card import described
from search.pipeline.confirmation import confirm_stage
from search.pipeline.judged import unjudged_levels
from search.pipeline.opening import existing_run, new_run, removed_on_error
from search.pipeline.options import RunOptions
from search.pipeline.preparation import (
    check_early,
    prepare_images,
    start_cluster,
    with_fittable_scores,
)
from search.pipeline.report_stage import report_stage
from search.pipeline.run import Run, search_folds
from search.pipeline.run_folder import RunFolder
from search.pipeline.summary import print_summary, save_plots, short_path, write_summary
from search.pipeline.threshold_stage import class_parts, threshold_stage
from search.pipeline.training_stages import (
    refit_stage,
    register_stage,
    search_stage,
)
from search.runtime.cluster import ray_left_at_the_end
from search.runtime.progress import console, headline, print_command
from search.runtime.signals import ended_by_signals
from search.tracking import store
from search.tracking.entries import Abandon
from search.tracking.promises import promise_metrics
from search.tracking.store_errors import patiently
from search.tracking.system_metrics import system_metrics
from search.tuning.study import StudyPlace, check_study, study_place

LAST_REPORTS_S = 10.0
"""How long an interrupted run waits for MLflow before it ends."""


def run_job(config: Config, *, name: str | None, results: str | Path, options: RunOptions) -> Path:
    """Run every stage of a new search.

    Args:
        name: of the run and of its folder; None names it after the current time.
        results: folder of all runs and of the local MLflow store, or the address of one.

    Returns:
        The run's folder.

    Raises:
        ValueError: what the user can correct, in one line.
    """
    place = results_at(results)
    check_new(place, name)
    opened = new_run(config, name=name, results=place.folder, options=options)
    with ended_by_signals(), ray_left_at_the_end(), opened as (folder, config):
        with copied(place, folder, new=True):
            _run(folder, config, options, results=place, resumed=False)
        _print_address(place, folder)
    return folder.path


def resume_job(
    name: str, *, results: str | Path, address: str | None = None, take_over: bool = False
) -> Path:
    """Run the stages of a search that are not finished yet, with the run's own options.

    Args:
        name: of the run.
        results: folder of all runs and of the local MLflow store, or the address of one.
        address: of a running Ray cluster; None starts Ray on this machine.
        take_over: take the champion alias from a model on other data, even if the run's options
            leave it.

    Returns:
        The run's folder.

    Raises:
        ValueError: what the user can correct, in one line.
    """
    place = results_at(results)
    bring_here(place, name)
    opened = existing_run(name, results=place.folder, address=address, take_over=take_over)
    with ended_by_signals(), ray_left_at_the_end(), opened as (folder, config, options):
        with copied(place, folder, new=False):
            _run(folder, config, options, results=place, resumed=True)
        _print_address(place, folder)
    return folder.path


def _run(
    folder: RunFolder, config: Config, options: RunOptions, *, results: Results, resumed: bool
) -> None:
    started = time.monotonic()
    title = folder.path.name
    headline("hierclf", f"run {title}: {config.model.backbone} on {config.data.path}")
    with nullcontext() if resumed else removed_on_error(folder), folder.timed("prepare"):
        run = _prepare(folder, config, options, results=results.folder, resumed=resumed)
    try:
        measured = system_metrics(run.mlflow_uri, run.parent_run_id, resumed=resumed)
        with measured if options.system_metrics else nullcontext():
            _run_stages(run, started)
    except BaseException as error:
        _report_interruption(run, results, error)
        raise


def _prepare(
    folder: RunFolder, config: Config, options: RunOptions, *, results: Path, resumed: bool
) -> Run:
    source = check_early(config, folder)
    if config.search.trials:
        check_study(study_place(config, folder.path.name, folder.study), resumed=resumed)
    uri = options.mlflow_uri or store.default_uri(results)
    plan = start_cluster(config, options)
    # Before the images are decoded: an unreachable store is an error at once.
    own = options.mlflow_uri is None
    experiment_id = store.open_store(uri, store.EXPERIMENT, results / "mlartifacts", own=own)
    # Of a stream only tables are kept: in the run's folder, which all nodes see.
    cache_dir = folder.path / "images" if config.data.stream else default_cache_dir()
    prepared, files = prepare_images(source, config, folder, plan, cache_dir)
    config = with_fittable_scores(config, prepared)
    parent = store.start_search(
        uri,
        experiment_id,
        folder.path.name,
        config.model_dump(mode="json"),
        {"data_fingerprint": prepared.cache.content},
        resume=resumed,
    )
    store.log_data(
        uri,
        parent,
        Path(config.data.path).name or "data",
        source=config.data.path,
        fingerprint=prepared.cache.content,
        profile=_profile(prepared),
    )
    run = Run(
        name=folder.path.name,
        folder=folder,
        config=config,
        prepared=prepared,
        files=files,
        plan=plan,
        cache_dir=cache_dir,
        time_budget_s=options.time_budget,
        mlflow_uri=uri,
        experiment_id=experiment_id,
        parent_run_id=parent,
        registered_model=options.registered_model,
        take_over=options.take_over,
    )
    print_unjudged(run)
    return run


def _profile(prepared: Prepared) -> dict[str, int]:
    hierarchy = prepared.cache.hierarchy
    return {
        "images": len(prepared.cache.images),
        "super_classes": hierarchy.n_super,
        "sub_classes": hierarchy.n_sub,
        "unreadable": len(prepared.cache.quarantine),
    }


def print_unjudged(run: Run) -> None:
    """Print before anything is trained which levels the folds cannot judge, and why."""
    chosen_on = search_folds(run)
    cache, folds = run.prepared.cache, run.prepared.folds
    unjudged = unjudged_levels(
        cache, folds, class_parts(run), chosen_on=chosen_on, novel=run.prepared.novel
    )
    for level, reason in unjudged.items():
        console.print(f"  nothing can be promised at {level} level: {reason}")


def show_study(place: StudyPlace) -> None:
    """Print the command to look at the trials with, where Optuna's dashboard is installed."""
    if find_spec("optuna_dashboard") is not None:
        console.print("  watch it with:")
        where = short_path(Path(place.address)) if place.own else place.address
        print_command("optuna-dashboard", where)


def _print_address(results: Results, folder: RunFolder) -> None:
    if results.address is not None:
        console.print(f"all of it is also in {results.run(folder.path.name)}", soft_wrap=True)


def _report_interruption(run: Run, results: Results, error: BaseException) -> None:
    status = "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"
    outbox = run.outbox()
    outbox.put(Abandon(status=status, pid=os.getpid()))
    console.print("  resume it with:")
    place = [] if results.typed == Path("results") else ["--results", results.typed]
    print_command("python", "-m", "search.tune", "--resume", run.name, *place)
    outbox.wait(LAST_REPORTS_S)  # an unreachable MLflow is reported by the next start


def _run_stages(run: Run, started: float) -> None:
    folder = run.folder
    with folder.timed("search"):
        search = run.config.search
        varied = ", ".join(short_names(search.space).values())
        trials = counted(search.trials, "trial")
        headline("search", f"{trials} over {varied}" if search.trials else "none")
        if search.trials:
            show_study(study_place(run.config, run.name, folder.study))
        best = search_stage(run)
    with folder.timed("confirm"):
        chosen = (
            "the configuration as it is"
            if best.objective is None
            else f"the best trial ({100 * best.objective:.1f})"
        )
        n_folds = len(run.prepared.folds) - 3
        headline(
            "confirm",
            f"{chosen} on {counted(n_folds, 'class-holdout fold')} and {len(CALIBRATION)} that "
            f"hide nothing, epochs: {best.epochs}",
        )
        best, table = confirm_stage(run, best)
    with folder.timed("thresholds"):
        headline(
            "thresholds",
            f"{counted(run.config.thresholds.trials, 'trial')} over the scores and taus of both "
            f"heads, on {len(table):,} scored images",
        )
        rule, held_out = threshold_stage(run, table)
    with folder.timed("refit"):
        n_images = len(run.prepared.cache.images)
        headline("refit", f"on all {n_images:,} labelled images")
        refit_stage(run, best, rule)
    with folder.timed("register"):
        headline("register")
        save_plots(folder, run.config.search.space)
        registered = register_stage(run, held_out)
    summary = write_summary(run, best, rule, held_out, seconds=time.monotonic() - started)
    with folder.timed("report"):
        report_stage(run)
    metrics = promise_metrics(held_out.promises["chosen"])
    files = (
        *(folder.config, folder.trials.with_suffix(".csv")),
        *(folder.summary, folder.plots, folder.report),
    )
    kept = [file for file in files if file.exists()]
    patiently(
        store.finish_search,
        run.mlflow_uri,
        run.parent_run_id,
        metrics,
        kept,
        description=described(run, held_out),
    )
    print_summary(run, summary, held_out, registered)
