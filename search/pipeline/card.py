"""The model card of a run."""

from pathlib import Path

from hierclf.bundle.rule_file import load_rule
from hierclf.reports.model_card import Facts, model_card
from hierclf.reports.promise_table import promise_notes
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
            command="python -m search.predict "
            f"'models:/{run.registered_model}@champion' IMAGES --out predictions.csv",
        )
    )
