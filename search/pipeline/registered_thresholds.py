"""Other thresholds for a registered model: another version, under the run of the former one."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from hierclf.bundle.directory import load_bundle
from hierclf.bundle.rule_file import FORMER_RULE_FILE, save_rule
from hierclf.cli.models import print_choice
from hierclf.commands.thresholds import (
    choose_thresholds,
    move_thresholds,
    rule_in_words,
    undo_thresholds,
)
from hierclf.rules.goals import Goal
from hierclf.rules.promise import Promised
from search.pipeline.card import described_directory
from search.pipeline.registering import example_image
from search.tracking.registry import Registered, register_model, resolve_model
from search.tracking.store_errors import patiently
from search.tracking.versions import Version, find_version


class Change(NamedTuple):
    """What thresholds to choose.

    Attributes:
        goal: what they serve; None for the former ones again.
        taus: of the super and the sub level, instead of the goal's; None beside a goal.
        dry_run: print, and register nothing.
    """

    goal: Goal | None
    taus: tuple[float | None, float | None] = (None, None)
    dry_run: bool = False


def change_thresholds(
    uri: str, model_uri: str, change: Change, *, take_over: bool = False
) -> Registered | None:
    """Choose thresholds, print what to expect, and register them; the former version stays.

    Args:
        uri: address of the store.
        model_uri: models:/NAME@ALIAS or models:/NAME/VERSION.
        change: what to choose.
        take_over: take the champion alias from a model on other data; see `choose_champion`.

    Returns:
        The outcome; None of a dry run.

    Raises:
        ValueError: no such version, no thresholds to undo, what `choose_thresholds` raises, or the
            store failed.
    """
    version = find_version(uri, model_uri)
    with tempfile.TemporaryDirectory(prefix="hierclf-model-") as folder:
        model = Path(folder) / "model"  # a copy: the store's own files stay
        shutil.copytree(resolve_model(uri, f"models:/{version.name}/{version.version}"), model)
        promised = None
        if change.goal is None:
            _undo(version, model)
        else:
            promised = _choose(model, change.goal, change.taus)
        if change.dry_run:
            print(f"dry run: version {version.version} of {version.name} is as it was")
            return None
        registered = _register(uri, version, model, promised, take_over=take_over)
    print(registered.message)
    if registered.version != version.version:
        here = f"models:/{version.name}/"
        kept, new = f"{here}{version.version}", f"{here}{registered.version}"
        print(f"{kept} keeps its thresholds; {new} has these")
    return registered


def _undo(version: Version, model: Path) -> None:
    if not (model / FORMER_RULE_FILE).is_file():
        raise ValueError(
            f"--undo needs the thresholds before the last change, but version {version.version} of "
            f"{version.name} has none: they were never changed"
        )
    print(rule_in_words(undo_thresholds(model)))


def _choose(model: Path, goal: Goal, taus: tuple[float | None, float | None]) -> Promised:
    """Give the copy its thresholds, and print what to expect."""
    super_tau, sub_tau = taus
    if super_tau is None or sub_tau is None:
        choice = choose_thresholds(model, goal)
    else:
        choice = move_thresholds(model, super_tau, sub_tau)
    save_rule(model, choice.rule, choice.calibration)
    print_choice(choice)
    return choice.expected


def _register(
    uri: str, version: Version, model: Path, promised: Promised | None, *, take_over: bool
) -> Registered:
    """Register the copy; a version of the run that has these thresholds already is taken."""
    bundle = load_bundle(model)
    return patiently(
        register_model,
        uri,
        version.run_id,
        model,
        example_image(bundle),
        objective=version.objective,
        fingerprint=version.fingerprint,
        description=described_directory(
            bundle, promised, data=version.data, n_images=version.n_images, name=version.name
        ),
        name=version.name,
        take_over=take_over,
    )
