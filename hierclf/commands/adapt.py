"""What `hierclf adapt` does: thresholds for the share of novel images at the place of use.

The share is estimated on unlabelled images (see `hierclf.rules.shares`), so the thresholds are
transductive: they are for those images and for others of the same place.

Shape legend: N rows of the score table, U images.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hierclf.bundle.directory import Bundle, load_bundle
from hierclf.bundle.score_table_file import load_score_table
from hierclf.commands.thresholds import Choice, choose_thresholds
from hierclf.counts import counted
from hierclf.data.image_list import ImageFiles
from hierclf.hierarchy import LEVELS, Level
from hierclf.predict import score_batches
from hierclf.progress import Progress
from hierclf.rules.evidence import Evidence
from hierclf.rules.fusion import fused_score
from hierclf.rules.goals import Goal
from hierclf.rules.promise import Mix
from hierclf.rules.rule import Rule, novel_rows
from hierclf.rules.shares import MIN_IMAGES, Shares, novel_shares
from hierclf.scores.sums import sum_columns

_WIDE = 0.3  # an interval of which a user should be warned


class Adapted(NamedTuple):
    """Thresholds for unlabelled images, and what they rest on.

    Attributes:
        shares: of novel images.
        choice: the rule for these shares, and what to expect of it.
        images: how many images could be read.
        unreadable: (name, reason) of each image that could not.
        called_before, called_after: share of the images that the model's rule calls novel at each
            level, and that the chosen one does; `called_before` is empty for a model without a
            rule.
    """

    shares: Shares
    choice: Choice
    images: int
    unreadable: list[tuple[str, str]]
    called_before: dict[Level, float]
    called_after: dict[Level, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: those of `Choice.to_dict`, and the shares; fractions in [0, 1]."""
        shares = {level: getattr(self.shares, level) for level in LEVELS}
        return {
            "transductive": True,
            "images": self.images,
            "unreadable": len(self.unreadable),
            "novel_share": {
                level: None if share is None else share._asdict() for level, share in shares.items()
            },
            "called_novel": {"before": self.called_before, "after": self.called_after},
            **self.choice.to_dict(),
        }


def check_enough(count: int, what: str) -> None:
    """Refuse images that are too few to estimate a share from.

    Args:
        count: how many there are.
        what: the images, as the error names them.

    Raises:
        ValueError: fewer than `MIN_IMAGES`.
    """
    if count < MIN_IMAGES:
        raise ValueError(
            f"the share of novel images is estimated from {MIN_IMAGES} images or more, but got "
            f"{counted(count, 'image')} {what}"
        )


def adapt_thresholds(
    directory: Path,
    images: ImageFiles,
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Adapted:
    """Estimate the share of novel images and choose thresholds for it. Writes nothing.

    Args:
        directory: a model directory with its score table.
        images: of the place of use, without labels.
        batch_size: images per batch.
        device: by default a GPU where there is one.
        progress: called as (done, total).

    Raises:
        ValueError: what `load_bundle`, `load_score_table`, `score_batches` and `novel_shares`
            raise, or too few readable images.
    """
    table = load_score_table(directory).table  # a model without one shows before any prediction
    bundle = load_bundle(directory)
    rows, unreadable = _scores(bundle, images, batch_size, device, progress)
    if not len(rows):
        name, reason = unreadable[0]
        raise ValueError(f"at least one image must be readable, but none is; {name}: {reason}")
    check_enough(len(rows), f"that can be read of {len(images)}")
    texts = {level: fused_score(table, level, bundle.scores) for level in LEVELS}
    shares = novel_shares(
        Evidence.of(table),
        {level: table.score(level, texts[level]) for level in LEVELS},
        {level: sum_columns(rows, level, texts[level]) for level in LEVELS},
    )
    mix = mix_of(shares)
    choice = choose_thresholds(directory, goal_of(shares, len(rows)), mix=mix)
    before = {} if choice.before is None else _called_novel(rows, choice.before)
    return Adapted(shares, choice, len(rows), unreadable, before, _called_novel(rows, choice.rule))


def adaptation_notes(found: Adapted) -> list[str]:
    """How far to trust the shares, and where the thresholds apply."""
    notes = []
    for level in LEVELS:
        share = found.shares.super if level == "super" else found.shares.sub
        if share is not None and share.high - share.low > _WIDE:
            notes.append(
                f"the share at the {level} level is uncertain: if you know it better, give it to "
                "hierclf thresholds --goal overall --novel-rate"
            )
    notes.append(
        f"transductive: the share was estimated on these {found.images:,} images, without their "
        "labels; elsewhere it may be another"
    )
    return notes


def goal_of(shares: Shares, n_images: int) -> Goal:
    """The accuracy at these shares; a share of 0 or 1 is one that half an image would give."""
    least = 0.5 / n_images
    rates = [
        None if share is None else float(np.clip(share.expected, least, 1.0 - least))
        for share in (shares.sub, shares.super)
    ]
    return Goal("overall", novel_rate=rates[0], super_novel_rate=rates[1])


def mix_of(shares: Shares) -> Mix:
    """The images to expect."""
    return Mix(
        near_of_seen=shares.near_of_seen,
        far_of_unseen=shares.far_of_unseen,
        super_novel=0.0 if shares.super is None else shares.super.expected,
        sub_novel=shares.sub.expected,
    )


def _scores(
    bundle: Bundle,
    images: ImageFiles,
    batch_size: int,
    device: torch.device | None,
    progress: Progress | None,
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """All scores of the readable images, and the others."""
    tables: list[pd.DataFrame] = []
    unreadable: list[tuple[str, str]] = []
    done = 0
    for table, torn in score_batches(bundle, images, batch_size=batch_size, device=device):
        tables.append(table.drop(columns="image"))
        unreadable += torn
        done += len(table) + len(torn)
        if progress is not None:
            progress(done, len(images))
    return pd.concat(tables, ignore_index=True), unreadable


def _called_novel(rows: pd.DataFrame, rule: Rule) -> dict[Level, float]:
    scores = {level: sum_columns(rows, level, rule[level].score) for level in LEVELS}
    novel = novel_rows(scores, {level: rule[level].tau for level in LEVELS})
    return {level: float(novel[level].mean()) for level in LEVELS}
