"""Register a model directory that no search registers, such as one with added classes."""

import io
from pathlib import Path

from PIL import Image

from hierclf.bundle.directory import Bundle, load_bundle, load_card
from hierclf.bundle.rule_file import FORMER_RULE_FILE
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.weights_check import WEIGHTS
from hierclf.io.digest import sha256_of
from hierclf.rules.goals import Goal
from hierclf.rules.promise import Promised, cross_fitted_promise
from hierclf.training.record import TrainingRecord, load_record
from search.pipeline.card import described_directory
from search.tracking import store
from search.tracking.promises import promise_metrics, promised_value
from search.tracking.registry import Registered, register_model
from search.tracking.store_errors import patiently


def register_directory(
    uri: str,
    model: Path,
    *,
    results: Path,
    own: bool,
    name: str = "hierclf",
    take_over: bool = False,
) -> Registered:
    """Register a model directory that no search registers, such as one with added classes.

    It gets a run of its own, by the checksum of its network; a second call finds both again.

    Args:
        uri: address of the store.
        model: a model directory with thresholds, a score table and its record of training.
        results: folder of a local store's files.
        own: whether the store belongs to that folder.
        name: of the registered model.
        take_over: as in `choose_champion`.

    Raises:
        ValueError: not such a model directory, or the store failed.
    """
    record, bundle = load_record(model), load_bundle(model)
    promised = expected_of(model, record.config.thresholds.target)
    changed = (model / FORMER_RULE_FILE).is_file()  # by `hierclf thresholds`, to another goal's
    experiment = store.open_store(uri, store.EXPERIMENT, results / "mlartifacts", own=own)
    run_id = patiently(_run_of, uri, experiment, model, record, bundle)
    data = _data_name(record)
    card = described_directory(
        bundle, None if changed else promised, data=data, n_images=record.n_images, name=name
    )
    registered = patiently(
        register_model,
        uri,
        run_id,
        model,
        example_image(bundle),
        objective=promised_value(promised.figures),
        fingerprint=record.fingerprint,
        description=card,
        name=name,
        take_over=take_over,
    )
    metrics = promise_metrics(promised.figures)
    patiently(store.finish_search, uri, run_id, metrics, [], description=card)
    return registered


def _run_of(uri: str, experiment: str, model: Path, record: TrainingRecord, bundle: Bundle) -> str:
    """The id of the model's run, with its configuration and its data."""
    run_id = store.start_search(
        uri,
        experiment,
        f"{model.resolve().name} {sha256_of(model / WEIGHTS)[:8]}",
        record.config.model_dump(mode="json"),
        {"data_fingerprint": record.fingerprint},
        resume=True,
        kind="model",
    )
    profile = {
        "images": record.n_images,
        "super_classes": bundle.hierarchy.n_super,
        "sub_classes": bundle.hierarchy.n_sub,
    }
    store.log_data(
        uri,
        run_id,
        _data_name(record),
        source=record.config.data.path,
        fingerprint=record.fingerprint,
        profile=profile,
    )
    return run_id


def _data_name(record: TrainingRecord) -> str:
    return Path(record.config.data.path).name or "data"


def expected_of(model: Path, goal: Goal) -> Promised:
    """What to expect of the thresholds that a goal chooses for a model directory.

    Raises:
        ValueError: not a model directory, or one without a score table.
    """
    table, parts, report = load_score_table(model)
    return cross_fitted_promise(table, parts, report, load_card(model).scores, goal=goal)


def example_image(bundle: Bundle) -> bytes:
    """A grey image as the bytes of a PNG file: training images stay where they are."""
    how, buffer = bundle.preprocessing, io.BytesIO()
    Image.new("RGB", (how.width, how.height), (128, 128, 128)).save(buffer, format="PNG")
    return buffer.getvalue()
