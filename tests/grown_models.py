"""A model with a frozen backbone, trained without Ray, to which tests add classes."""

from pathlib import Path

import torch

from hierclf.additions.fitted import fit_heads
from hierclf.additions.grow import write_model
from hierclf.config import Config
from hierclf.training.hidden_classes import FIRST_FOLDS
from hierclf.training.prepare import configured_hidden, prepare
from hierclf.training.record import TrainingRecord
from hierclf.training.trained_bundle import bundle_from_run


def train_model(config: Config, out: Path, cache_dir: Path) -> None:
    """Write the model directory of a configuration with a frozen backbone, used as it is."""
    prepared = prepare(config, directory=cache_dir, device=torch.device("cpu"))
    parts = configured_hidden(prepared.cache.hierarchy, config).parts
    chosen_on = [name for name in FIRST_FOLDS if name in prepared.folds]
    fitted = fit_heads(prepared, config, parts, chosen_on)
    content = prepared.cache.content
    record = TrainingRecord(config, content, content, len(prepared.cache.names))
    write_model(out, bundle_from_run(fitted.run, fitted.states), fitted, record)
