"""The command `hierclf`: check, demo, predict, evaluate, thresholds, report."""

import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from hierclf.errors import one_line_errors, output_errors, visible
from hierclf.io.atomic import TABLE_ENDINGS, check_out_file, draft_of, read_json_object
from hierclf.version import package_version

# Slow imports (torch above all) stand inside the commands, so that help is fast.


class _Command(TyperCommand):
    """Reports a user's mistake in one line; with --debug, here or before the command, in full."""

    def invoke(self, ctx: Any) -> Any:
        debug = ctx.params["debug"] or ctx.parent.params["debug"]
        with one_line_errors("hierclf", debug=debug):
            return super().invoke(ctx)


Truncated = Annotated[
    Literal["refuse", "keep"],
    typer.Option(help="JPEG files that end early: keep fills what is missing with grey."),
]
ZipEncoding = Annotated[
    str | None, typer.Option(help="Of names in zips that are not marked as UTF-8, such as cp932.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show errors with their traceback.")]
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The console script."""
    # Huge pages for torch's large CPU tensors: it asks for fresh memory for each, and first writes
    # to small pages take as long as much of the arithmetic. Read when the first tensor is made.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with output_errors("hierclf"):
        app(prog_name="hierclf")


def _print_version(value: bool) -> None:
    if value:
        print(f"hierclf {package_version('hierclf')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Debug = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Two-level image classification that knows what it does not know."""


@app.command(cls=_Command)
def check(
    path: Annotated[str, typer.Argument(help="A folder, a .parquet file, or demo.")],
    read_images: Annotated[
        bool, typer.Option("--read-images", help="Decode every image, too.")
    ] = False,
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Show classes, counts and every problem of a labelled data set.

    Exit code 1 when something keeps it from being used.
    """
    from hierclf.commands.check import format_check, read_problems
    from hierclf.data.sources import inspect_source
    from hierclf.progress import progress

    source, problems = inspect_source(path, zip_encoding=zip_encoding)
    if source is not None and read_images:
        with progress("reading images") as report:
            problems = [*problems, *read_problems(source, progress=report)]
    print(format_check(source, problems))
    if any(problem.fatal for problem in problems):
        raise typer.Exit(1)


@app.command(cls=_Command)
def demo(
    directory: Annotated[Path, typer.Argument(help="Where to write; created where missing.")],
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    debug: Debug = False,
) -> None:
    """Write the built-in demo set as files: training data, and test images with their labels.

    Files of the same names are replaced.
    """
    from hierclf.data.demo import write_demo

    write_demo(directory, seed)
    print(f"wrote the demo set (seed {seed}) to {directory}\nnext:")
    _say("hierclf", "check", directory)
    _say("python", "-m", "search.tune", "--config", "demo", "--data", directory)


@app.command(cls=_Command)
def predict(
    model: Annotated[Path, typer.Argument(help="A model directory.")],
    images: Annotated[str, typer.Argument(help="A file, folder, .zip, 'pattern' or .parquet.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")],
    form: Annotated[
        Literal["table", "submission"],
        typer.Option("--format", help="All columns, or just image and the two indices."),
    ] = "table",
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Classify images; every answer may be "novel".

    Images that cannot be read are listed and left out of the file.
    """
    from hierclf.data.image_files import list_images
    from hierclf.progress import progress

    check_out_file("--out", out, endings=TABLE_ENDINGS)
    # Before torch is imported: a wrong path shows at once.
    keep = truncated == "keep"
    files = list_images(images, zip_encoding=zip_encoding, keep_truncated=keep)
    from hierclf.bundle.directory import load_bundle
    from hierclf.commands.predict_files import predict_to_file
    from hierclf.commands.tally import print_tally
    from hierclf.nets.inference import pick_device

    bundle = load_bundle(model)
    with progress("predicting") as report:
        tally = predict_to_file(
            bundle,
            files,
            out,
            form=form,
            batch_size=batch_size,
            device=pick_device(device),
            progress=report,
        )
    print_tally(tally, out)
    print("next, where the labels are known:")
    _say("hierclf", "evaluate", out, "LABELS.csv", "--model", model)


@app.command(cls=_Command)
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="What `hierclf predict` wrote.")],
    labels: Annotated[
        Path, typer.Argument(help="A table of image, superclass_index, subclass_index.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file, too.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Take classes and novel ids from this model directory; otherwise from "
            "superclass_mapping.csv and subclass_mapping.csv beside LABELS."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Compare predictions with labels: accuracy of known (seen) and novel (unseen) classes."""
    from rich.console import Console

    from hierclf.commands.evaluate import evaluate
    from hierclf.commands.evaluation_table import evaluation_notes, evaluation_table

    if json_file is not None:
        check_out_file("--json", json_file, endings=(".json",))
    result = evaluate(predictions, labels, model=model)
    if json_file is not None:  # before anything is printed: `| head` may end that
        with draft_of(json_file) as draft:
            draft.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    Console().print(evaluation_table(result))
    for note in evaluation_notes(result):
        print(visible(note))


@app.command(cls=_Command)
def thresholds(
    model: Annotated[Path, typer.Argument(help="A model directory with a score_table.parquet.")],
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
    debug: Debug = False,
) -> None:
    """Choose a model's thresholds again, for another goal or as given.

    Replaces thresholds.json in MODEL, and shows what to expect on classes that did not choose.
    """
    from hierclf.rules.goals import Goal

    wanted = Goal(goal, novel_rate=novel_rate, seen=seen)  # before torch is imported
    if (super_tau is None) != (sub_tau is None) or (super_tau is not None and goal != "balanced"):
        raise ValueError(
            "--super-tau and --sub-tau must be given together and without --goal, but got "
            f"--super-tau {super_tau}, --sub-tau {sub_tau}, --goal {goal}"
        )
    from rich.console import Console

    from hierclf.bundle.rule_file import save_rule
    from hierclf.commands.thresholds import (
        check_not_in_use,
        choice_notes,
        choose_thresholds,
        move_thresholds,
    )
    from hierclf.reports.promise_table import promise_notes, promise_table

    if not dry_run:
        check_not_in_use(model)
    if super_tau is None or sub_tau is None:
        choice = choose_thresholds(model, wanted)
    else:
        choice = move_thresholds(model, super_tau, sub_tau)
    if not dry_run:  # before anything is printed: `| head` may end that
        save_rule(model, choice.rule, choice.calibration)
    expected = choice.expected
    Console().print(promise_table(expected.figures))
    hidden = expected.hidden_super, expected.hidden_sub
    for note in (*choice_notes(choice), *promise_notes(*hidden)):
        print(note)
    if dry_run:
        print(f"dry run: {model / 'thresholds.json'} is as it was")
        return
    print(f"wrote {model / 'thresholds.json'}")
    _print_registration(model)
    print("next:")
    _say("hierclf", "predict", model, "IMAGES", "--out", "predictions.csv")


@app.command(cls=_Command)
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    debug: Debug = False,
) -> None:
    """Write a run's report.html again, such as after other thresholds.

    Needs the folder only; its pictures are those that the run kept.
    """
    from hierclf.run_report.report import write_report

    print(f"wrote {write_report(run)}: open it in a browser, it needs no network")


@app.command(cls=_Command)
def export(
    model: Annotated[Path, typer.Argument(help="A model directory.")],
    folder: Annotated[Path, typer.Argument(help="Where to write; must not exist.")],
    debug: Debug = False,
) -> None:
    """Write a model as ONNX and plain arrays, to predict without torch.

    Needs the extra export. Predict with `python -m hierclf.runtime`: NumPy, onnxruntime and Pillow.
    """
    try:
        from hierclf.commands.export import export_model
    except ModuleNotFoundError as error:
        what = f"an export needs {error.name}: run pip install 'hierclf[export]'"
        raise ValueError(what) from None
    from hierclf.bundle.directory import load_bundle

    difference = export_model(load_bundle(model), folder)
    print(f"wrote {folder}; its outputs are the model's to {difference:.1g} on random images")
    print("next:")
    _say("python", "-m", "hierclf.runtime", folder, "IMAGES")


def _print_registration(model: Path) -> None:
    """Print how the MLflow registry follows, where the model is that of a registered run."""
    run = model.resolve().parent
    if (run / "registered.json").is_file():
        version = read_json_object(run / "registered.json").get("version")
        print(f"version {version} in the MLflow registry keeps its thresholds; to register these:")
        results = run.parents[1]
        _say("python", "-m", "search.tune", "--resume", run.name, "--results", results)


def _say(*words: object) -> None:
    """A command to type next, quoted for the shell."""
    print("  " + shlex.join(map(str, words)))


if __name__ == "__main__":
    main()
