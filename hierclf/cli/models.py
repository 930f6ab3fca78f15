"""Commands about models and runs: thresholds, app, report, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hierclf.cli.app import Command, Debug, Model, app, say
from hierclf.io.atomic import check_out_file, read_json_object, write_json_object
from hierclf.rules.goals import Goal, Kind

if TYPE_CHECKING:
    from hierclf.commands.thresholds import Choice

PANEL = "Models"


@app.command(cls=Command, rich_help_panel=PANEL)
def thresholds(
    model: Annotated[
        str,
        typer.Argument(
            help="A model directory with a score_table.parquet; with --dry-run, also "
            "hf://OWNER/NAME or an address such as s3://..."
        ),
    ],
    goal: Annotated[
        Literal["balanced", "overall", "seen-at-least"],
        typer.Option(
            metavar="GOAL",  # the names themselves would be broken at 80 columns
            help="What to maximise at both levels. balanced: the harmonic mean of seen and unseen "
            "accuracy; overall: the accuracy at --novel-rate; seen-at-least: unseen accuracy where "
            "seen is at least --seen.",
        ),
    ] = "balanced",
    novel_rate: Annotated[
        float | None,
        typer.Option(help="For overall: the share of novel images, between 0 and 1."),
    ] = None,
    seen: Annotated[
        float | None, typer.Option(help="For seen-at-least: seen accuracy, above 0 and at most 1.")
    ] = None,
    super_tau: Annotated[
        float | None,
        typer.Option(help="With --sub-tau: thresholds of your own, such as from report.html."),
    ] = None,
    sub_tau: Annotated[float | None, typer.Option(help="The threshold of the sub level.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be chosen; write nothing.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back the thresholds before the last change.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write thresholds and expected figures to this file, too."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Choose a model's thresholds again, for another goal or as given.

    Replaces thresholds.json in MODEL, and shows what to expect on classes that did not choose.
    """
    taus = super_tau, sub_tau
    wanted = wanted_goal(goal, novel_rate, seen, taus, undo=undo, dry_run=dry_run)
    if json_file is not None:
        if undo:
            raise ValueError("--undo must be given alone, but got --json beside it")
        check_out_file("--json", json_file, endings=(".json",))
    from hierclf.hub.addresses import is_elsewhere, local_model

    if is_elsewhere(model) and not dry_run:
        what = "thresholds are written into a folder of this machine: copy the model, or give"
        raise ValueError(f"{what} --dry-run, but got {model}")
    directory = local_model(model)
    if wanted is None:
        _undo(directory)
        return
    from hierclf.bundle.rule_file import save_rule
    from hierclf.commands.thresholds import (
        check_not_in_use,
        choose_thresholds,
        move_thresholds,
    )

    if not dry_run:
        check_not_in_use(directory)
    if super_tau is None or sub_tau is None:
        choice = choose_thresholds(directory, wanted)
    else:
        choice = move_thresholds(directory, super_tau, sub_tau)
    if not dry_run:  # before anything is printed: `| head` may end that
        save_rule(directory, choice.rule, choice.calibration)
    if json_file is not None:
        write_json_object(json_file, choice.to_dict())
    print_choice(choice)
    if dry_run:
        print(f"dry run: {model} is as it was")
        return
    print_written(directory)


@app.command("app", cls=Command, rich_help_panel=PANEL)
def show_page(
    model: Model,
    training_images: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the training images are, to show the nearest."),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 7860,
    max_images: Annotated[int, typer.Option(help="Images at a time.")] = 64,
    max_bytes: Annotated[int, typer.Option(help="Bytes of these images.")] = 32 * 2**20,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    debug: Debug = False,
) -> None:
    """Try a model in the browser: drop images, see why, move the thresholds.

    Needs the extra app. There is no password: whoever reaches the port can ask.
    """
    try:
        from hierclf.app.server import serve_page
        from hierclf.serving.limits import Limits
    except ModuleNotFoundError as error:
        what = f"the page needs {error.name}: run pip install 'hierclf[app]'"
        raise ValueError(what) from None
    limits = Limits(max_images=max_images, max_bytes=max_bytes)
    from hierclf.hub.addresses import local_model

    serve_page(
        local_model(model),
        host=host,
        port=port,
        limits=limits,
        training_images=training_images,
        device=device,
    )


@app.command(cls=Command, rich_help_panel=PANEL)
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    debug: Debug = False,
) -> None:
    """Write a run's report.html again, such as after other thresholds.

    Needs the folder only; its pictures are those that the run kept.
    """
    from hierclf.run_report.report import write_report

    print(f"wrote {write_report(run)}: open it in a browser, it needs no network")


@app.command(cls=Command, rich_help_panel=PANEL)
def export(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="Where to write; must not exist.")],
    form: Annotated[
        Literal["onnx", "huggingface"],
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="onnx: to predict without torch. huggingface: a repository of the Hugging Face "
            "Hub, a model directory with a card.",
        ),
    ] = "onnx",
    license: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For huggingface: of the model, such as apache-2.0."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a model for other programs: ONNX and plain arrays, or a Hugging Face repository.

    onnx needs the extra export; `python -m hierclf.runtime` predicts with it.
    """
    from hierclf.bundle.directory import load_bundle
    from hierclf.hub.addresses import local_model

    if form == "huggingface":
        from hierclf.hub.folder import write_folder

        write_folder(load_bundle(local_model(model)), folder, license=license)
        print(f"wrote {folder}; it holds a card, README.md, and no names of training images")
        print("next, after hf auth login:")
        say("hf", "upload", "OWNER/NAME", folder)
        return
    if license is not None:
        raise ValueError(f"--license needs --format huggingface, but got {license} without it")
    try:
        from hierclf.commands.export import export_model
    except ModuleNotFoundError as error:
        what = f"an export needs {error.name}: run pip install 'hierclf[export]'"
        raise ValueError(what) from None

    difference = export_model(load_bundle(local_model(model)), folder)
    print(f"wrote {folder}; its outputs are the model's to {difference:.1g} on random images")
    print("next:")
    say("python", "-m", "hierclf.runtime", folder, "IMAGES")


def wanted_goal(
    goal: Kind,
    novel_rate: float | None,
    seen: float | None,
    taus: tuple[float | None, float | None],
    *,
    undo: bool,
    dry_run: bool,
) -> Goal | None:
    """The goal that the options of `thresholds` name; None for --undo.

    Raises:
        ValueError: options that do not belong together.
    """
    given = goal != "balanced" or {novel_rate, seen, *taus} != {None}
    if undo and (given or dry_run):
        raise ValueError("--undo must be given alone, but got other options beside it")
    wanted = Goal(goal, novel_rate=novel_rate, seen=seen)
    if (taus[0] is None) != (taus[1] is None) or (taus[0] is not None and goal != "balanced"):
        raise ValueError(
            "--super-tau and --sub-tau must be given together and without --goal, but got "
            f"--super-tau {taus[0]}, --sub-tau {taus[1]}, --goal {goal}"
        )
    return None if undo else wanted


def print_choice(choice: "Choice") -> None:
    """Print what to expect of thresholds, and the thresholds themselves."""
    from rich.console import Console

    from hierclf.commands.thresholds import choice_notes
    from hierclf.reports.promise_table import promise_notes, promise_table

    expected = choice.expected
    Console().print(promise_table(expected.figures))
    hidden = expected.hidden_super, expected.hidden_sub
    for note in (*choice_notes(choice), *promise_notes(*hidden)):
        print(note)


def _undo(model: Path) -> None:
    from hierclf.commands.thresholds import check_not_in_use, rule_in_words, undo_thresholds

    check_not_in_use(model)
    print(rule_in_words(undo_thresholds(model)))
    print_written(model)


def print_written(model: Path, *, undo: str = "--undo") -> None:
    """Print what was written, and what to do next."""
    print(f"wrote {model / 'thresholds.json'}; {undo} puts back the former thresholds")
    _print_registration(model)
    print("next:")
    say("hierclf", "predict", model, "IMAGES", "--out", "predictions.csv")


def _print_registration(model: Path) -> None:
    """Print how the MLflow registry follows, where the model is that of a registered run."""
    run = model.resolve().parent
    if model.resolve().name == "model" and (run / "registered.json").is_file():
        version = read_json_object(run / "registered.json").get("version")
        print(f"version {version} in the MLflow registry keeps its thresholds; to register these:")
        results = run.parents[1]
        say("python", "-m", "search.tune", "--resume", run.name, "--results", results)
