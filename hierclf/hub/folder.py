"""The files of a repository: those of a model directory, a README.md and a config.json.

So a repository is a model directory. What may be private stays behind: names of training images,
and the record of training with its paths.
"""

from pathlib import Path
from typing import Any

from hierclf.bundle.directory import SCORE_TABLE, Bundle, save_bundle
from hierclf.bundle.score_table_file import load_score_table, save_score_table
from hierclf.hub.card import Listed, hub_card
from hierclf.io.atomic import draft_of, read_json_object, write_json_object
from hierclf.reports.model_card import Facts
from hierclf.reports.promise_table import promise_notes
from hierclf.rules.figures import Promise
from hierclf.rules.movable import movable_rule

CARD = "README.md"
CONFIG = "config.json"


def write_folder(
    bundle: Bundle, folder: Path, *, license: str | None = None, repo_id: str | None = None
) -> None:
    """Write a repository's files; a model loaded from them predicts the same, to the bit.

    Args:
        bundle: a model with thresholds.
        folder: must not exist.
        license: of the model, an identifier of the Hub such as "apache-2.0".
        repo_id: OWNER/NAME that it will have, for the command in its card.

    Raises:
        ValueError: no thresholds, or a folder that exists.
    """
    if bundle.rule is None:
        raise ValueError("the model directory must hold thresholds.json, but has none")
    if folder.exists():
        raise ValueError(f"the folder to write must not exist, but {folder} does")
    facts, dataset = _facts(bundle, repo_id)
    name = repo_id.partition("/")[2] if repo_id else folder.name
    with draft_of(folder) as draft:
        save_bundle(bundle, draft)
        if _has_table(bundle):
            assert bundle.directory is not None
            stored = load_score_table(bundle.directory)
            save_score_table(draft, stored.table, stored.parts, report=stored.report)
        (draft / CARD).write_text(hub_card(facts, Listed(name, license, dataset)), encoding="utf-8")
        write_json_object(draft / CONFIG, _config(bundle))


def _has_table(bundle: Bundle) -> bool:
    return bundle.directory is not None and (bundle.directory / SCORE_TABLE).is_file()


def _config(bundle: Bundle) -> dict[str, Any]:
    """What the Hub shows and counts downloads by; bundle.json is what is loaded."""
    names = bundle.hierarchy
    return {
        "model_type": "hierclf",
        "backbone": bundle.backbone,
        "image_size": bundle.preprocessing.image_size,
        "superclasses": list(names.super_names),
        "subclasses": [
            {"superclass": names.super_names[parent], "subclass": sub}
            for sub, parent in zip(names.sub_names, names.sub_to_super, strict=True)
        ],
    }


def _facts(bundle: Bundle, repo_id: str | None) -> tuple[Facts, str | None]:
    """What the card says, and the name of the data set if the model is in its run's folder."""
    assert bundle.rule is not None
    dataset, n_images = _trained_on(bundle)
    promise, notes = _promise(bundle)
    where = f"hf://{repo_id}" if repo_id else "FOLDER"
    facts = Facts(
        data=dataset,
        n_images=n_images,
        hierarchy=bundle.hierarchy,
        network=f"{bundle.backbone} at {bundle.preprocessing.image_size} px",
        rule=bundle.rule,
        promise=promise,
        notes=notes,
        command=f"hierclf predict {where} IMAGES --out predictions.csv",
    )
    return facts, dataset


def _promise(bundle: Bundle) -> tuple[Promise | None, list[str]]:
    """What to expect of the thresholds, from the held-out scores, and why."""
    assert bundle.rule is not None
    if not _has_table(bundle):
        return None, []
    assert bundle.directory is not None
    table, parts, report = load_score_table(bundle.directory)
    try:
        movable = movable_rule(table, parts, report, bundle.scores)
    except ValueError:  # too little was held out to judge by
        return None, []
    if not movable.has_scores_of(bundle.rule):
        return None, []
    notes = promise_notes(movable.fitted.hidden_super, movable.fitted.hidden_sub)
    return movable.promise(bundle.rule), notes


def _trained_on(bundle: Bundle) -> tuple[str | None, int | None]:
    """The data set's name and the number of its images, if summary.json is beside the model."""
    if bundle.directory is None:
        return None, None
    path = bundle.directory.resolve().parent / "summary.json"
    try:
        summary = read_json_object(path)
        return Path(summary["config"]["data"]["path"]).name, int(summary["images"])
    except (OSError, KeyError, TypeError, ValueError):
        return None, None
