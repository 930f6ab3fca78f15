"""The command that makes a model of class names alone."""

from pathlib import Path
from typing import Annotated

import typer

from hierclf.cli.app import Command, Debug, app, say
from hierclf.cli.models import PANEL


@app.command("zeroshot", cls=Command, rich_help_panel=PANEL)
def zero_shot(
    data: Annotated[
        str,
        typer.Argument(help="Labelled images: their classes' names, and images for thresholds."),
    ],
    model: Annotated[
        str, typer.Option("--model", help="A CLIP model, as open_clip names it.")
    ] = "ViT-B-32",
    weights: Annotated[
        str,
        typer.Option(help="One of open_clip's tags, downloaded once, or a .safetensors file."),
    ] = "laion2b_s34b_b79k",
    names: Annotated[
        Path | None,
        typer.Option(help="A CSV class,name with further names of classes; a row for each."),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(help="A text file of prompts, one a line, with {} where the name stands."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a model directory; must not exist.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a value of data, folds, thresholds or seed, as a search."),
    ] = None,
    device: Annotated[str, typer.Option(help="For features: cpu, cuda, cuda:1, ...")] = "auto",
    debug: Debug = False,
) -> None:
    """Classify by class names alone, with CLIP: nothing is trained, images choose thresholds.

    Needs the extra clip. Shows what to expect on new images and new classes.
    """
    from rich.console import Console

    from hierclf.additions.grow import write_model
    from hierclf.commands.thresholds import rule_in_words
    from hierclf.data.cache import default_cache_dir
    from hierclf.nets.inference import pick_device
    from hierclf.progress import stages
    from hierclf.reports.promise_table import promise_notes, promise_table
    from hierclf.zeroshot.fit import Words, base_config, open_clip_on
    from hierclf.zeroshot.fit import zero_shot as fit

    if out is not None and out.exists():
        raise ValueError(f"--out must not exist, but {out} does")
    base = base_config(data, overrides or [])
    with stages() as report:
        clip = open_clip_on(
            base,
            model,
            weights,
            Words(names, templates),
            directory=default_cache_dir(),
            device=pick_device(device),
            progress=report,
        )
        found = fit(clip, report)
    if out is not None:  # before anything is printed: `| head` may end that
        write_model(out, found.bundle, found.fitted, None)
    promised = found.fitted.promised
    Console().print(promise_table(promised.figures))
    for note in promise_notes(promised.hidden_super, promised.hidden_sub):
        print(note)
    print(rule_in_words(found.fitted.rule))
    if out is None:
        print("nothing was written; --out writes a model directory to predict with")
        return
    print(f"wrote {out}")
    print("next:")
    say("hierclf", "predict", out, "IMAGES", "--out", "predictions.csv")
