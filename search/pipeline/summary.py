"""The results of a run: summary.json, the plots of its trials, and the tables that it prints."""

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hierclf.config import Space
from hierclf.config.space import short_names, shown
from hierclf.data.sources import is_demo
from hierclf.metrics.text import percent
from hierclf.reports import run_plots
from hierclf.reports.parameter_plot import plot_parameters
from hierclf.reports.promise_table import promise_notes, promise_table
from hierclf.rules.comparison import Gain
from hierclf.rules.figures import Promise
from hierclf.rules.rule import PAPER_RULE, Rule
from search.pipeline.confirmation import describe_gain
from search.pipeline.run import Run
from search.pipeline.run_folder import RunFolder, read_json
from search.pipeline.threshold_stage import HeldOut
from search.pipeline.training_stages import Best
from search.runtime.progress import console, duration, print_command
from search.tracking.pages import run_page

_OTHERS = {"paper": "paper 0.7/0.5", "never_novel": "never novel"}
_VERSIONS = ("hierclf", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "pandas")
_DEMO = "demo-set"
_COLUMNS = 4
"""How many searched values the final table shows; trials.csv has all."""


def write_summary(
    run: Run, best: Best, rule: Rule, held_out: HeldOut, *, seconds: float
) -> dict[str, Any]:
    """Write summary.json and return it."""
    summary = {
        "name": run.name,
        "config": run.config.model_dump(mode="json"),
        "deployed": asdict(best),
        "search_gain": read_json(run.folder.gain) if run.folder.gain.is_file() else None,
        "rule": rule.to_dict(),
        "paper_rule": PAPER_RULE.to_dict(),
        "held_out": {rule: _plain(promise) for rule, promise in held_out.promises.items()},
        "held_out_classes": {"super": held_out.hidden_super, "sub": held_out.hidden_sub},
        "seconds": run.folder.timings() | {"this_start": round(seconds, 1)},
        "data_fingerprint": run.prepared.cache.content,
        "images": len(run.prepared.cache.images),
        "unreadable": len(run.prepared.cache.quarantine),
        "plan": run.plan._asdict(),
        "versions": {name: version(name) for name in _VERSIONS},
        "hardware": _hardware(),
    }
    run.folder.write_json(run.folder.summary, summary)
    return summary


def _plain(promise: Promise) -> dict[str, dict[str, float] | None]:
    return {key: None if figure is None else figure._asdict() for key, figure in promise.items()}


def save_plots(folder: RunFolder, space: Space) -> None:
    """Draw the trials' learning curves and parameters, if there was a search."""
    folder.plots.mkdir(exist_ok=True)
    if not folder.trials.is_file():
        return
    run_plots.plot_learning_curves(
        pd.read_parquet(folder.history), folder.plots / "learning_curves.png"
    )
    plot_parameters(pd.read_parquet(folder.trials), space, folder.plots / "parameters.png")


def print_summary(run: Run, summary: dict[str, Any], held_out: HeldOut, registered: str) -> None:
    """Print the best trials, the thresholds, accuracies beside the paper's rule, and next steps."""
    console.print()
    if run.folder.trials.is_file():
        space = run.config.search.space
        console.print(_trials_table(pd.read_parquet(run.folder.trials).head(5), list(space)))
    else:
        console.print("no search: the configuration as it is (search.trials is 0)")
    others = {title: held_out.promises[key] for key, title in _OTHERS.items()}
    console.print(promise_table(held_out.promises["chosen"], others))
    for note in promise_notes(held_out.hidden_super, held_out.hidden_sub):
        console.print(f"  {note}", soft_wrap=False)
    if summary["search_gain"] is not None:
        console.print(describe_gain(Gain(**summary["search_gain"])))
    rule = summary["rule"]
    console.print(
        f"novel super-class: {rule['super_score']} > {rule['super_tau']:.4g}    "
        f"novel sub-class: {rule['sub_score']} > {rule['sub_tau']:.4g} or a novel super-class"
    )
    console.print(registered)
    total = duration(sum(run.folder.timings().values()))
    console.print(f"total {total}; all results are in {short_path(run.folder.path)}")
    if run.folder.report.is_file():
        console.print(f"open in a browser: {short_path(run.folder.report)}")
    console.print("\nnext:")
    _print_next(run)


def _print_next(run: Run) -> None:
    """The pages and commands for what people do with a finished run."""
    uri, model = run.mlflow_uri, short_path(run.folder.model)
    if uri.startswith("sqlite:///"):
        database = short_path(Path(uri.removeprefix("sqlite:///")))
        print_command("mlflow", "ui", "--backend-store-uri", f"sqlite:///{database}")
    console.print(f"  {run_page(*run.place)}", soft_wrap=True)
    images = "IMAGES"
    if is_demo(run.config.data.path):
        _, _, seed = run.config.data.path.partition(":")
        print_command("hierclf", "demo", _DEMO, *(["--seed", seed] if seed else []))
        images = f"{_DEMO}/test_images.zip"
    print_command("hierclf", "predict", model, images, "--out", "predictions.csv")
    if is_demo(run.config.data.path):
        print_command("hierclf", "evaluate", "predictions.csv", f"{_DEMO}/test_labels.csv")
    print_command("hierclf", "thresholds", model, "--dry-run")


def _trials_table(trials: pd.DataFrame, keys: list[str]) -> Table:
    keys = keys[:_COLUMNS]
    table = Table(
        title="best trials (objective on the search's own folds)",
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    names = [name.replace("_", " ") for name in short_names(keys).values()]
    for column in (*names, "epochs", "objective", "status"):
        side: Literal["left", "right"] = "left" if column == "status" else "right"
        table.add_column(column, justify=side, overflow="fold")
    for row in trials.to_dict("records"):
        table.add_row(
            *(shown(row[key]) for key in keys),
            str(row["epochs"]),
            percent(row["objective"]),
            str(row["status"]),
        )
    return table


def short_path(path: Path) -> str:
    """A path relative to the working directory if it is inside, else unchanged."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _hardware() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
