"""The split that a folder, a file or a cell names: train, val or test."""

import re
from collections import Counter
from collections.abc import Sequence

from hierclf.counts import counted
from hierclf.data.classes import Labelled
from hierclf.data.listing import Problem

TRAIN, VAL, TEST = "train", "val", "test"
_SPLIT_OF = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing", "holdout"), TEST),
}
_SPLIT_NAME = re.compile(r"[\W\d_]*([a-z]+?)[\W_]*(?:set|data|images)?[\W\d_]*")


def split_of(name: str) -> str | None:
    """The split that a name means: `train` for Training, train_set, 01-train-images."""
    found = _SPLIT_NAME.fullmatch(name.lower())
    return _SPLIT_OF.get(found[1]) if found else None


def test_left_out(where: str, count: int) -> Problem:
    """The warning for test images of training data."""
    what = f"{counted(count, 'test image')}, for `hierclf evaluate`; left out"
    return Problem(where, what, False)


def without_test(labelled: Sequence[Labelled], problems: list[Problem]) -> list[Labelled]:
    """The images whose split is not test; no split is left where none of them is for validation.

    Args:
        labelled: what a layout's reader listed.
        problems: the list to add to.
    """
    of = [split_of(image.split or "") for image in labelled]
    if TEST not in of:
        return list(labelled)
    problems.append(test_left_out("split", Counter(of)[TEST]))
    kept = [image for image, split in zip(labelled, of, strict=True) if split != TEST]
    # Train beside test alone: the search divides the images by itself.
    only_train = all(split_of(image.split or "") == TRAIN for image in kept)
    return [image._replace(split=None) for image in kept] if only_train else kept
