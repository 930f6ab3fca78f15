"""The model registry: register model directories as versions, and make the best the champion."""

import atexit
import base64
import importlib.metadata
import importlib.util
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hierclf.bundle.rule_file import RULE_FILE
from hierclf.io.digest import sha256_of
from search.tracking.address import local_path
from search.tracking.champion import DATA, OBJECTIVE, choose_champion
from search.tracking.store import MlflowClient, connect
from search.tracking.store_errors import plain_errors

# MLflow's pyfunc and models take a second to import: hence the imports inside functions.

_FILES = "mlartifacts"  # folder beside a local store
MODEL_CODE = Path(__file__).with_name("pyfunc_model.py").resolve()
# What hierclf needs to predict. hierclf itself is stored with the model: no package index has it.
_RUNTIME = (
    *("mlflow", "numpy", "pandas", "pillow", "pyarrow", "pydantic", "pyyaml", "safetensors"),
    *("scikit-learn", "scipy", "timm", "torch", "torchvision"),
)
_OUTPUTS = {
    "superclass_index": "long",
    "subclass_index": "long",
    "superclass": "string",
    "subclass": "string",
    "super_prob": "double",
    "sub_prob": "double",
    "super_score": "double",
    "sub_score": "double",
    "super_novel_prob": "double",
    "sub_novel_prob": "double",
    "error": "string",
}


RULE = "rule"
"""Tag of a version with the checksum of its thresholds."""


class Registered(NamedTuple):
    """The outcome of a registration.

    Attributes:
        version: the model's version.
        champion: the version that has the alias now.
        rule: checksum of the version's thresholds.
        message: the outcome in a sentence for the user.
    """

    version: str
    champion: str
    rule: str
    message: str


def register_model(
    uri: str,
    parent_run_id: str,
    model_dir: Path,
    example: bytes,
    *,
    objective: float,
    fingerprint: str,
    description: str = "",
    take_over: bool = False,
    name: str = "hierclf",
    alias: str = "champion",
) -> Registered:
    """Log the model directory under the search's run, register it, and decide on the alias.

    A run has one version for each set of thresholds. If a version with these thresholds exists,
    from an interrupted call, this call continues with it.

    Args:
        uri: address of the store.
        parent_run_id: id of the search's run.
        model_dir: the model directory, with thresholds.
        example: one encoded image, which is stored, and predicted once as a test.
        objective: open-set objective on held-out classes; higher is better.
        fingerprint: fingerprint of the data, `ImageCache.content`.
        description: of the version, in Markdown.
        take_over: take the alias from a champion on other data; see `choose_champion`.
        name: name of the registered model.
        alias: alias of the version to deploy.

    Raises:
        ValueError: the store failed, or the objective is not finite.
    """
    if not math.isfinite(objective):
        raise ValueError(f"a registered model's objective must be finite, but got {objective}")
    rule = sha256_of(model_dir / RULE_FILE)
    tags = {OBJECTIVE: repr(float(objective)), DATA: fingerprint, RULE: rule}
    with plain_errors(uri):
        client = connect(uri)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        new = _version_of(client, name, parent_run_id, rule)
        if new is None:
            with _as_active_run(uri, parent_run_id):
                model_id = _log_model(model_dir, example, name=name)
                source = f"models:/{model_id}"
                version = client.create_model_version(
                    name, source, run_id=parent_run_id, tags=tags, model_id=model_id
                )
            new = str(version.version)
        client.update_model_version(name, new, description)
        champion, message = choose_champion(client, name, alias, new, take_over=take_over)
        client.set_registered_model_alias(name, alias, champion)
    return Registered(new, champion, rule, message)


def _version_of(client: MlflowClient, name: str, run_id: str, rule: str) -> str | None:
    """The version that a run registered with these thresholds, or None."""
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return next((str(v.version) for v in found if v.tags.get(RULE) == rule), None)


def resolve_model(uri: str, model_uri: str) -> Path:
    """Local model directory of `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Files from a server are deleted when the process ends; files on this machine are not copied.

    Raises:
        ValueError: the URI has another form, there is no such version, or the store fails.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    name, alias, version = parse_model_uri(model_uri)
    with plain_errors(uri):
        client = connect(uri)
        if alias:
            version = client.get_model_version_by_alias(name, alias).version
        place = _here(client.get_model_version_download_uri(name, version), uri)
        folder = None
        if not place.startswith(("file:", "/")):
            folder = tempfile.mkdtemp(prefix="hierclf-model-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        local = Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=uri))
        artifacts = Model.load(str(local)).flavors["python_function"].get("artifacts", {})
    if "model" not in artifacts:
        raise ValueError(f"the version must have been registered by hierclf, but got {model_uri}")
    return local / artifacts["model"]["path"]


def _here(place: str, uri: str) -> str:
    """Where a version's files are now; those of a local store that was moved are beside it."""
    path = Path(local_path(place))
    if not uri.startswith("sqlite:") or _FILES not in path.parts:
        return place
    inside = path.parts[len(path.parts) - path.parts[::-1].index(_FILES) :]
    moved = Path(uri.removeprefix("sqlite:///")).parent.joinpath(_FILES, *inside)
    return str(moved) if moved.exists() else place


def parse_model_uri(model_uri: str) -> tuple[str, str, str]:
    """(name, alias, version); one of the last two is empty.

    Raises:
        ValueError: the URI has another form.
    """
    body = model_uri.removeprefix("models:/")
    separator = "@" if "@" in body else "/"
    name, _, rest = body.rpartition(separator)
    if body == model_uri or not name or not rest or (separator == "/" and not rest.isdecimal()):
        raise ValueError(
            f"a model's URI is models:/NAME@ALIAS or models:/NAME/VERSION, but got {model_uri!r}"
        )
    return (name, rest, "") if separator == "@" else (name, "", rest)


def _log_model(model_dir: Path, example: bytes, *, name: str) -> str:
    """Log the directory as a pyfunc model of the active run; return the logged model's id."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    package = importlib.util.find_spec("hierclf")
    assert package is not None
    assert package.submodule_search_locations
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "image")]),
        # For an unreadable image, all columns except the error are empty.
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in _OUTPUTS.items()]),
    )
    info = mlflow.pyfunc.log_model(
        name=name,
        python_model=str(MODEL_CODE),
        artifacts={"model": str(model_dir.resolve())},
        code_paths=[str(Path(place)) for place in package.submodule_search_locations],
        signature=signature,
        input_example=pd.DataFrame({"image": [base64.b64encode(example).decode()]}),
        pip_requirements=_requirements(),
    )
    assert info.model_id is not None
    return info.model_id


def _requirements() -> list[str]:
    """Installed versions of what prediction needs, without local parts such as +cu128."""
    found = []
    for package in _RUNTIME:
        try:
            found.append(f"{package}=={importlib.metadata.version(package).split('+')[0]}")
        except importlib.metadata.PackageNotFoundError:  # an optional one
            continue
    return found


@contextmanager
def _as_active_run(uri: str, run_id: str) -> Iterator[None]:
    """Set the process-wide store and active run; no other function changes process-wide state.

    `log_model` takes its store from there only, and so does a SQLite registry for a new version.

    At the end, this restores the tracking URI, the run's status (`start_run` sets it to RUNNING and
    its end to FINISHED) and sys.path (loading a model adds its code folder, here a temporary one).
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    path = list(sys.path)
    client = connect(uri)
    info = client.get_run(run_id).info
    mlflow.set_tracking_uri(uri)
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:
        sys.path[:] = path
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None is "not set"
        if info.status == "RUNNING":
            client.update_run(run_id, status="RUNNING")
        else:
            client.set_terminated(run_id, info.status, info.end_time)
