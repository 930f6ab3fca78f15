"""What `hierclf novel` does: images that a model calls novel, in groups proposed as new classes.

Shape legend: N novel images, D features.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hierclf.bundle.directory import Bundle
from hierclf.counts import counted
from hierclf.data.image_list import ImageFiles
from hierclf.data.thumbnails import data_uri, thumbnail
from hierclf.discovery.groups import ALONE, MAX_IMAGES, Spread, find_groups, learn_spread
from hierclf.discovery.names import proposed_name
from hierclf.discovery.sheet import Group, sheet
from hierclf.explanations.background import BANK, training_images_of
from hierclf.hierarchy import NOVEL_NAME
from hierclf.io.atomic import draft_of
from hierclf.predict import fitted_pixels, predict_batches
from hierclf.progress import Progress
from hierclf.rules.answers import Judged
from hierclf.scores import ScoreInputs

TABLE, SHEET = "novel.csv", "novel.html"


class NovelImages(NamedTuple):
    """The images that a model calls novel.

    Attributes:
        names: N image names.
        superclasses: N names of known super-classes; "novel" for a new one.
        features: float32 [N, D].
        seen: how many images could be read, novel or not.
        unreadable: (name, reason) of each image that could not.
    """

    names: list[str]
    superclasses: list[str]
    features: NDArray[np.float32]
    seen: int
    unreadable: list[tuple[str, str]]


def spread_of(bundle: Bundle) -> Spread:
    """How far images of one class lie apart, learned from the model's training images.

    Raises:
        ValueError: the model directory does not hold what is needed: a kNN score, and the classes
            of its images.
    """
    try:
        labels = training_images_of(bundle).sub_labels
    except ValueError as error:
        raise ValueError(f"groups are learned from training images, but {error}") from None
    parents = np.array(bundle.hierarchy.sub_to_super, dtype=np.int64)
    return learn_spread(bundle.states[BANK], labels, parents)


def find_novel(
    bundle: Bundle,
    images: ImageFiles,
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> NovelImages:
    """Predict all images and keep those that are novel at either level.

    Args:
        bundle: a model with thresholds.
        images: the images.
        batch_size: images per batch.
        device: by default a GPU where there is one.
        progress: called as (done, total).

    Raises:
        ValueError: as `predict_batches`, or no readable image.
    """
    batch: list[NDArray[np.float32]] = []

    def keep(inputs: ScoreInputs, judged: Judged) -> Mapping[str, Any]:
        batch.append(inputs.features)
        return {}

    names: list[str] = []
    superclasses: list[str] = []
    features: list[NDArray[np.float32]] = []
    unreadable: list[tuple[str, str]] = []
    seen = 0
    for table, torn in predict_batches(
        bundle, images, batch_size=batch_size, device=device, skip_unreadable=True, further=keep
    ):
        unreadable += torn
        if len(table):
            novel = (table["subclass"] == NOVEL_NAME).to_numpy()
            names += table["image"][novel].tolist()
            superclasses += table["superclass"][novel].tolist()
            features.append(batch.pop()[novel])
            seen += len(table)
        if progress is not None:
            progress(seen + len(unreadable), len(images))
    if not seen:
        name, reason = unreadable[0]
        raise ValueError(f"at least one image must be readable, but none is; {name}: {reason}")
    return NovelImages(names, superclasses, np.concatenate(features), seen, unreadable)


def propose(novel: NovelImages, spread: Spread) -> list[Group]:
    """Groups within each super-class, the largest first; then the images that are alone.

    Of more than `MAX_IMAGES` images of a super-class, the others are alone.
    """
    groups: list[Group] = []
    for superclass in sorted(set(novel.superclasses), key=lambda name: (name == NOVEL_NAME, name)):
        rows = np.flatnonzero(np.array(novel.superclasses) == superclass)
        found = np.full(len(rows), ALONE)
        found[:MAX_IMAGES] = find_groups(novel.features[rows[:MAX_IMAGES]], spread)
        for number in [*range(found.max() + 1), ALONE]:
            own = [novel.names[row] for row in rows[found == number]]
            if own:
                name = "" if number == ALONE else proposed_name(superclass, number + 1)
                groups.append(Group(superclass, name, own))
    return groups


def write_groups(
    bundle: Bundle, images: ImageFiles, groups: Sequence[Group], folder: Path, notes: Sequence[str]
) -> None:
    """Write `TABLE` and `SHEET`.

    The table has the columns image, superclass and subclass, as `--novel` and `hierclf check` take
    them. A group of a new super-class is proposed as one of its own; images alone have none.

    Args:
        bundle: the model.
        images: where the pictures are read again.
        groups: from `propose`.
        folder: created if missing.
        notes: sentences for the sheet.
    """
    rows = [
        (image, group.name if group.name and new else group.superclass, group.name)
        for group in groups
        for new in [group.superclass == NOVEL_NAME]
        for image in group.images
    ]
    number_of = {name: number for number, name in enumerate(images.names)}

    def picture(name: str) -> str:
        pixels = fitted_pixels(images.read(number_of[name]), bundle.preprocessing)
        return data_uri(thumbnail(pixels))

    page = sheet(groups, picture, notes=notes, table=TABLE)
    folder.mkdir(parents=True, exist_ok=True)
    with draft_of(folder / SHEET) as draft:
        draft.write_text(page, encoding="utf-8")
    table = pd.DataFrame(rows, columns=["image", "superclass", "subclass"])
    with draft_of(folder / TABLE) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")


def group_notes(novel: NovelImages, groups: Sequence[Group], spread: Spread) -> list[str]:
    """What was found, and how far to trust the groups."""
    named = [group for group in groups if group.name]
    alone = sum(len(group.images) for group in groups if not group.name)
    notes = [
        f"{len(novel.names):,} of {counted(novel.seen, 'image')} are novel: "
        f"{counted(len(named), 'group')}, {counted(alone, 'image')} alone"
    ]
    if spread.agreement is not None:
        notes.append(
            "on training images of known sub-classes, such groups agree with the labels to "
            f"{spread.agreement:.2f} (adjusted Rand index: 1 is equal, 0 random)"
        )
    return notes
