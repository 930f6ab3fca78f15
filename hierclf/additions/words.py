"""What to say of a model with new classes, beside its table of figures."""

import numpy as np

from hierclf.additions.grow import Grown
from hierclf.counts import counted
from hierclf.rules.promise import Promised
from hierclf.rules.rule import apply_rule


def grown_notes(grown: Grown) -> list[str]:
    """What was added, how its own images do, and what the figures rest on; a sentence a line."""
    notes = [*grown.notes]
    first = grown.hierarchy.n_sub - len(grown.added)
    for number, added in enumerate(grown.added):
        images = counted(added.images, "image")
        notes.append(f"added {added.superclass}/{added.subclass} with {images}")
        notes += _own(grown, first + number, added.subclass)
    notes.append(
        f"before, {_held_out(grown.before)} could be held out to learn from; now "
        f"{_held_out(grown.fitted.promised)}"
    )
    return notes


def _own(grown: Grown, label: int, name: str) -> list[str]:
    """How the folds' networks answer for images of a new class that they were not trained on."""
    table = grown.fitted.table
    decided = apply_rule(table, grown.fitted.rule)
    own, known = table.sub.labels == label, table.sub.known
    right = decided.sub == table.targets.sub
    parts = [
        f"{np.count_nonzero(rows & right)} of {np.count_nonzero(rows)} times {what}"
        for rows, what in (
            (own & known, "right where it was known"),
            (own & ~known, "novel where it was hidden"),
        )
        if rows.any()
    ]
    return [f"  images of {name!r} that a fold kept back: {', '.join(parts)}"] if parts else []


def _held_out(promised: Promised) -> str:
    return (
        f"{counted(promised.hidden_sub, 'sub-class', 'sub-classes')} and "
        f"{counted(promised.hidden_super, 'super-class', 'super-classes')}"
    )
