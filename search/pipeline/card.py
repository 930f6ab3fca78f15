"""The model cards of a run and of a model directory."""

from pathlib import Path

from hierclf.bundle.directory import Bundle
from hierclf.bundle.rule_file import load_rule
from hierclf.reports.model_card import Facts, model_card
from hierclf.reports.promise_table import promise_notes
from hierclf.rules.promise import Promised
from hierclf.rules.rule import Rule
from search.pipeline.run import Run
from search.pipeline.run_folder import read_json
from search.pipeline.threshold_stage import HeldOut


def described(run: Run, held_out: HeldOut) -> str:
    """The run's model in Markdown, with the thresholds that it has now.

    What to expect is known of the thresholds that the search chose only.
    """
    config, hierarchy = run.config, run.prepared.cache.hierarchy
    rule = load_rule(run.folder.model, config.thresholds.scores).rule
    assert rule is not None, "the refit gave the model its thresholds"
    chosen = Rule.from_dict(read_json(run.folder.thresholds)["rule"])
    return model_card(
        Facts(
            data=Path(config.data.path).name,
            n_images=len(run.prepared.cache.images),
            hierarchy=hierarchy,
            network=f"{config.model.backbone} at {config.model.image_size} px",
            rule=rule,
            promise=held_out.promises["chosen"] if rule == chosen else None,
            notes=promise_notes(held_out.hidden_super, held_out.hidden_sub),
            command=_command(run.registered_model),
        )
    )


def described_directory(
    bundle: Bundle, promised: Promised | None, *, data: str, n_images: int, name: str
) -> str:
    """A model directory in Markdown.

    Args:
        bundle: as loaded, with thresholds.
        promised: what to expect of these thresholds; None if it is not known.
        data: name of the training data.
        n_images: how many there were.
        name: of the registered model.
    """
    assert bundle.rule is not None
    return model_card(
        Facts(
            data=data,
            n_images=n_images,
            hierarchy=bundle.hierarchy,
            network=f"{bundle.backbone} at {bundle.preprocessing.image_size} px",
            rule=bundle.rule,
            promise=promised and promised.figures,
            notes=(promised and promise_notes(promised.hidden_super, promised.hidden_sub)) or [],
            command=_command(name),
        )
    )


def _command(name: str) -> str:
    return f"python -m search.predict 'models:/{name}@champion' IMAGES --out predictions.csv"
