"""The README.md of a repository: a model card whose first lines the Hub reads as YAML."""

import re
from typing import Any, NamedTuple

import yaml

from hierclf.reports.model_card import Facts, model_card
from hierclf.reports.promise_table import PROMISE_ROWS
from hierclf.rules.figures import Promise

_TAGS = (
    *("hierclf", "image-classification", "hierarchical-classification"),
    *("open-set-recognition", "novelty-detection"),
)


class Listed(NamedTuple):
    """What the Hub lists a model under.

    Attributes:
        name: of the model.
        license: an identifier of the Hub, such as "apache-2.0"; None leaves it open.
        dataset: name of the training data; None if it is not known.
    """

    name: str
    license: str | None
    dataset: str | None


def hub_card(facts: Facts, listed: Listed) -> str:
    """The README.md."""
    head: dict[str, Any] = {
        "library_name": "hierclf",
        "pipeline_tag": "image-classification",
        "tags": list(_TAGS),
    }
    if listed.license is not None:
        head["license"] = listed.license
    if facts.promise is not None:
        head["metrics"] = ["accuracy"]
        head["model-index"] = [_index(facts.promise, listed)]
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n{model_card(facts)}"


def _index(promise: Promise, listed: Listed) -> dict[str, Any]:
    """Promised accuracies as the Hub's results; the Hub wants a data set with every figure."""
    group, metrics = "", []
    for key, title in PROMISE_ROWS.items():
        group = group if title.startswith(" ") else title.partition(",")[0]
        name = f"{group}: {title.strip()}" if title.startswith(" ") else title
        figure = promise[key]
        if figure is not None:
            interval = f"90 % interval {100 * figure.low:.0f} to {100 * figure.high:.0f}"
            value = round(100 * figure.expected, 1)
            metrics.append(
                {"type": "accuracy", "value": value, "name": f"{name}, expected, %; {interval}"}
            )
    data = listed.dataset or "held-out classes of the training data"
    dataset = {"name": data, "type": re.sub(r"[^a-z0-9]+", "-", data.lower()).strip("-") or "data"}
    task = {"type": "image-classification", "name": "open-set image classification"}
    return {
        "name": listed.name,
        "results": [{"task": task, "dataset": dataset, "metrics": metrics}],
    }
