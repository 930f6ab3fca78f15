"""What the registry says of a version of a registered model."""

import json
from typing import NamedTuple

from search.tracking.champion import DATA, OBJECTIVE
from search.tracking.registry import parse_model_uri
from search.tracking.store import connect
from search.tracking.store_errors import plain_errors


class Version(NamedTuple):
    """A version that hierclf registered.

    Attributes:
        name, version: of the registered model, and the version's number.
        run_id: of the MLflow run that it belongs to.
        objective: on held-out classes.
        fingerprint: of its training data.
        data: name of its training data.
        n_images: how many there were; 0 where the run does not say.
    """

    name: str
    version: str
    run_id: str
    objective: float
    fingerprint: str
    data: str
    n_images: int


def find_version(uri: str, model_uri: str) -> Version:
    """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` means.

    Raises:
        ValueError: the URI has another form, there is no such version, hierclf did not register it,
            or the store fails.
    """
    name, alias, number = parse_model_uri(model_uri)
    with plain_errors(uri):
        client = connect(uri)
        if alias:
            number = client.get_model_version_by_alias(name, alias).version
        found = client.get_model_version(name, str(number))
        if not found.run_id or not {OBJECTIVE, DATA} <= set(found.tags):
            raise ValueError(
                f"the version must have been registered by hierclf, but got {model_uri}"
            )
        inputs = client.get_run(found.run_id).inputs
    data, n_images = "data", 0
    if inputs is not None and inputs.dataset_inputs:
        dataset = inputs.dataset_inputs[0].dataset
        data, n_images = dataset.name, int(json.loads(dataset.profile or "{}").get("images", 0))
    return Version(
        name,
        str(found.version),
        found.run_id,
        float(found.tags[OBJECTIVE]),
        found.tags[DATA],
        data,
        n_images,
    )
