"""What the folds hide once classes were added to those of a search.

The classes of the search stay where they are, so that their images are trained, validated and held
out in the same folds as before. Every added class is hidden, too.

Shape legend: N rows, C sub-classes.
"""

import numpy as np

from hierclf.training.hidden_classes import Hidden, sub_fold_masks


def with_added(hidden: Hidden, sub_to_super: np.ndarray, *, super_folds: int) -> Hidden:
    """Let the folds of a search hide the classes that were added to it.

    An added sub-class joins the part with the fewest sub-classes of its super-class, of these
    the one with the fewest in all; part 0, on which the search looked, comes last. It is hidden
    with its super-class, by a fold of its own if the super-class is new and two others remain.

    Args:
        hidden: of the search, whose sub-classes are the first of the C.
        sub_to_super: int64 [C]; new super-classes follow those of the search.
        super_folds: of the configuration; 0 hides no super-class.
    """
    n_known = len(hidden.parts)
    n_super = int(sub_to_super[:n_known].max()) + 1
    parts = _parts(hidden.parts, sub_to_super)
    masks = sub_fold_masks(parts, sub_to_super)
    folds = {}
    for name, mask in hidden.folds.items():
        # What is hidden whole stays so: of a mixed fold, that is its super-class.
        whole = [s for s in range(n_super) if mask[sub_to_super[:n_known] == s].all()]
        added = np.isin(sub_to_super[n_known:], whole)
        folds[name] = masks[name] if name in masks else np.append(mask, added)
    supers = [name for name in folds if name.startswith("super")]
    now = int(sub_to_super.max()) + 1
    if super_folds and now > 2:
        # With two super-classes, the search could hide none.
        first = n_super if supers else 0
        for number, new in enumerate(range(first, now), start=len(supers)):
            folds[f"super{number}"] = sub_to_super == new
    return Hidden(parts, folds)


def _parts(parts: np.ndarray, sub_to_super: np.ndarray) -> np.ndarray:
    """The part of every sub-class, int64 [C]; the first are given."""
    n_parts = int(parts.max()) + 1
    for parent in sub_to_super[len(parts) :]:
        siblings = np.bincount(parts[sub_to_super[: len(parts)] == parent], minlength=n_parts)
        every = np.bincount(parts, minlength=n_parts)
        best = min(range(n_parts), key=lambda i: (siblings[i], i == 0, every[i], i))
        parts = np.append(parts, best)
    return parts


def with_own_novel(parts: np.ndarray, n_classes: int) -> np.ndarray:
    """Deal a user's own novel classes out to all parts but 0, which the search looks at.

    Args:
        parts: int64 [C], of the known sub-classes.
        n_classes: how many novel ones follow.
    """
    return np.append(parts, 1 + np.arange(n_classes) % max(int(parts.max()), 1))


def may_report(folds: np.ndarray, parts: np.ndarray, chosen_on: list[str]) -> np.ndarray:
    """Which rows of a score table figures may be made of, bool [N].

    None whose fold or sub-class had a say in the hyper-parameters: part 0 is what the search's sub
    fold hid.

    Args:
        folds: text [N], the fold of each row.
        parts: int64 [N], the part of each row's sub-class.
        chosen_on: names of the folds that chose the hyper-parameters.
    """
    return ~np.isin(folds, chosen_on) & (parts != 0)
