"""Find, before anything is trained, the levels that a plan of folds cannot evaluate."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import NOVEL, Level
from hierclf.training.folds import CALIBRATION, REFIT, Fold
from hierclf.training.novel_images import NovelImages

_REASONS: dict[Level, str] = {
    "super": "no fold is left that hides a super-class: that needs 3 super-classes and folds.super "
    "of 2 or more",
    "sub": "no fold is left in which the same sub-classes are known: that needs folds.sub of 3 or "
    "more, or 3 super-classes and folds.super of 2 or more",
}


def unjudged_levels(
    cache: ImageCache,
    folds: Mapping[str, Fold],
    parts: NDArray[np.int64],
    *,
    chosen_on: Collection[str],
    novel: NovelImages | None = None,
) -> dict[Level, str]:
    """The levels for which no accuracy can be promised, each with the reason.

    To evaluate a level takes images of known and of new classes, from folds and sub-classes that
    did not choose the hyper-parameters; see `threshold_stage.reporting_rows`.

    Args:
        cache: the images.
        folds: the folds by name.
        parts: int64 [C], the part of each sub-class; part 0 chooses the hyper-parameters.
        chosen_on: names of the folds that choose the hyper-parameters.
        novel: the user's own novel images, which do not choose hyper-parameters.
    """
    known = near = far = False
    for name, fold in folds.items():
        if name in chosen_on or name in (*CALIBRATION, REFIT):
            continue
        val, held_out = (
            rows[parts[cache.sub_labels[rows]] != 0] for rows in (fold.val, fold.held_out)
        )
        of_known_super = np.isin(cache.super_labels[held_out], fold.known_super)
        known |= len(val) > 0
        near |= bool(of_known_super.any())
        far |= not of_known_super.all()
    if novel is not None:
        of_own = novel.cache.super_labels[novel.judging]
        near |= bool((of_own != NOVEL).any())
        far |= bool((of_own == NOVEL).any())
    judged: dict[Level, bool] = {
        "super": (known or near) and far,
        "sub": known and (near or far),
    }
    return {level: _REASONS[level] for level, can in judged.items() if not can}
