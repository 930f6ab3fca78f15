"""The main job from Python; the command line is a thin layer over these two functions.

Ray, MLflow and torch take seconds to import: they are imported after the arguments were checked.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierclf.config import Config, load_config
from hierclf.data.sources import is_demo
from search.pipeline.options import RunOptions
from search.runtime.installed import require_search_packages

if TYPE_CHECKING:
    from hierclf.rules.figures import Promise


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        name: of the run.
        folder: everything that the run wrote, RESULTS/runs/NAME.
        model: the model directory, for `hierclf.load`.
        promise: what to expect on new images and new classes, with 90 % intervals; see
            `hierclf.rules.promise.promise`.
        summary: the content of summary.json in the folder.
    """

    name: str
    folder: Path
    model: Path
    promise: "Promise"
    summary: dict[str, Any]


def run(
    data: str | Path | None = None,
    *,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    columns: str | None = None,
    hierarchy: str | Path | None = None,
    group_by: str | None = None,
    novel: str | Path | None = None,
    generated: str | Path | None = None,
    study: str | None = None,
    study_name: str | None = None,
    time_budget: float | None = None,
    gpus: int | None = None,
    gpus_per_trial: float = 1.0,
    workers_per_trial: int = 1,
    address: str | None = None,
    wait_for_nodes: float = 0.0,
    mlflow_uri: str | None = None,
    registered_model: str = "hierclf",
    results: str | Path = "results",
    take_over: bool = False,
    system_metrics: bool = False,
) -> RunResult:
    """Search hyper-parameters and thresholds, and register the best model.

    The same as `python search/tune.py`. It prints its progress, starts or joins Ray and leaves it
    at the end, and handles SIGINT and SIGTERM meanwhile.

    Args:
        data: a folder, a table (CSV, TSV, JSON lines or Parquet), or "demo"; None takes
            the configuration's.
        config: a YAML file or the name of a recipe; None takes `default_recipe`.
        overrides: changes to the configuration, each as "section.key=value".
        name: of the run and of its folder; None names it after the current time.
        trials: number of trials of the search; None takes the configuration's.
        seed: None takes the configuration's.
        columns: the columns of a table of image files, such as
            "image=file,super=genus,sub=species"; those that are not given are known by
            their names. None takes the configuration's.
        hierarchy: a table that gives each sub-class its super-class, for data that name
            sub-classes only; None takes the configuration's, or hierarchy.csv beside the data.
        group_by: a regular expression; images whose names share what its first group matches (or
            all of it) stay on one side of every split. None takes the configuration's.
        novel: images of classes that are not known, to choose and judge thresholds by: a folder, a
            CSV or a Parquet file, labelled at either level or not at all. None takes the
            configuration's.
        generated: synthetic images of no known class, in the same forms, which train with
            `train.outlier`. None takes the configuration's.
        study: where Optuna's study is stored, a database's address or a journal file; None takes
            the configuration's, or study.log in the run's folder.
        study_name: a study there that searches share; None takes the configuration's, or makes one
            of the run's own.
        time_budget: seconds for the search's trials; None sets no limit.
        gpus: GPUs to use; None uses all that Ray sees, 0 trains on CPUs.
        gpus_per_trial: GPUs per trial, each with one worker; below 1, the fraction of a GPU that
            the trial's one worker uses.
        workers_per_trial: data-parallel workers per trial on CPUs.
        address: a running Ray cluster, such as "auto"; None starts Ray on this machine.
        wait_for_nodes: seconds to wait until that cluster has the GPUs or cores that one trial
            takes, or all `gpus`; an autoscaler is asked for them.
        mlflow_uri: an MLflow server or database; None uses an SQLite store in `results`.
        registered_model: name of the model in MLflow's registry; the best version is its champion.
        results: folder of all runs and of the local MLflow store; or an address, such as
            "s3://BUCKET/results", that everything but the store is copied to while a folder of
            this machine's cache is worked in.
        take_over: let the new model take the champion alias from one on other data.
        system_metrics: log CPU, memory, disk, network and GPUs of this machine to the search's run.

    Raises:
        ValueError: what the user can correct, in one line.

    Example::

        result = search.run("demo", trials=2, gpus=0)
        model = hierclf.load(result.model)
    """
    settings, options = _resolved(
        data,
        config=config,
        overrides=overrides,
        trials=trials,
        seed=seed,
        columns=columns,
        hierarchy=hierarchy,
        group_by=group_by,
        novel=novel,
        generated=generated,
        study=study,
        study_name=study_name,
        time_budget=time_budget,
        gpus=gpus,
        gpus_per_trial=gpus_per_trial,
        workers_per_trial=workers_per_trial,
        address=address,
        wait_for_nodes=wait_for_nodes,
        mlflow_uri=mlflow_uri,
        registered_model=registered_model,
        take_over=take_over,
        system_metrics=system_metrics,
    )
    from search.pipeline.job import run_job

    folder = run_job(settings, name=name, results=results, options=options)
    return _result(folder)


def dry_run(data: str | Path | None = None, **arguments: Any) -> None:
    """Print what `run` would do: resources, images, folds, time to train, the configuration.

    Nothing is trained but a few batches, and no run is made. Decoded images and features are kept
    for the search.

    Args:
        data: as for `run`.
        arguments: as for `run`, without `name` and `results`.

    Raises:
        ValueError: what `run` would refuse before its first trial.
    """
    settings, options = _resolved(data, **arguments)
    from search.pipeline.dry_run import dry_run

    dry_run(settings, options)


def _resolved(
    data: str | Path | None = None,
    *,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    trials: int | None = None,
    seed: int | None = None,
    columns: str | None = None,
    hierarchy: str | Path | None = None,
    group_by: str | None = None,
    novel: str | Path | None = None,
    generated: str | Path | None = None,
    study: str | None = None,
    study_name: str | None = None,
    gpus: int | None = None,
    address: str | None = None,
    **options: Any,
) -> tuple[Config, RunOptions]:
    """The configuration and the options that the arguments of `run` give."""
    _check_process()
    run_options = RunOptions(gpus=gpus, address=address, **options)
    given = {
        "data.path": None if data is None else str(data),
        "search.trials": trials,
        "seed": seed,
        "data.columns": columns,
        "data.hierarchy": None if hierarchy is None else str(hierarchy),
        "data.group_by": group_by,
        "data.novel": None if novel is None else str(novel),
        "data.generated": None if generated is None else str(generated),
        "search.study": study,
        "search.study_name": study_name,
    }
    chosen = default_recipe(data, gpus=gpus, address=address) if config is None else config
    values = {key: value for key, value in given.items() if value is not None}
    settings = load_config(chosen, overrides, values=values)
    if config is None and chosen == "cpu":
        print("no GPU: --config cpu, a frozen backbone; --config paper trains the whole network")
    return settings, run_options


def default_recipe(data: str | Path | None, *, gpus: int | None, address: str | None) -> str:
    """The recipe that suits data and machine: demo for the demo set, paper or cpu for others.

    On a cluster, which may have GPUs where this machine has none, it is paper unless `gpus` is 0.

    Args:
        data: as for `run`.
        gpus: as for `run`.
        address: as for `run`.
    """
    if data is None or is_demo(str(data)):
        return "demo"
    if gpus is None and address is None:
        import torch

        gpus = torch.cuda.device_count()
    return "cpu" if gpus == 0 else "paper"


def resume(
    name: str,
    *,
    address: str | None = None,
    results: str | Path = "results",
    take_over: bool = False,
) -> RunResult:
    """Run the stages of an interrupted run that are not finished, with the run's own options.

    Args:
        name: of the run.
        address: a running Ray cluster; None starts Ray on this machine.
        results: folder of all runs and of the local MLflow store, or the address given to `run`.
        take_over: let the model take the champion alias from one on other data.

    Raises:
        ValueError: there is no such run, or what the user can correct, in one line.
    """
    _check_process()
    from search.pipeline.job import resume_job

    folder = resume_job(name, results=results, address=address, take_over=take_over)
    return _result(folder)


def _check_process() -> None:
    require_search_packages()
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        raise ValueError(
            "a search handles signals and must run in the main thread, "
            f"but got the thread {thread.name!r}"
        )


def _result(folder: Path) -> RunResult:
    from hierclf.rules.figures import Figure
    from search.pipeline.run_folder import RunFolder, read_json

    run = RunFolder(folder)
    summary = read_json(run.summary)
    promise = {
        key: None if figure is None else Figure(**figure)
        for key, figure in summary["held_out"]["chosen"].items()
    }
    return RunResult(run.path.name, run.path, run.model, promise, summary)
