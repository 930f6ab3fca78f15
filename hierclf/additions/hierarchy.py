"""The hierarchy of a model with new classes, which keep clear of those that it has."""

from collections.abc import Sequence
from dataclasses import replace

from hierclf.additions.labelled import NewClass
from hierclf.data.alike_names import alike_name
from hierclf.hierarchy import Hierarchy


def check_new(
    hierarchy: Hierarchy, classes: Sequence[NewClass], *, new_super: bool = False
) -> None:
    """Refuse classes that a hierarchy cannot take, and names that were probably meant otherwise.

    Args:
        hierarchy: the known classes.
        classes: in the order of their indices.
        new_super: whether a super-class may be new.

    Raises:
        ValueError: a known sub-class, a name alike, an unknown super-class; one line.
    """
    supers, subs = list(hierarchy.super_names), list(hierarchy.sub_names)
    for superclass, subclass in classes:
        if superclass not in supers:
            _check_super(superclass, supers, new_super=new_super)
            supers.append(superclass)
        other = alike_name(subclass, subs)
        if other == subclass:
            raise ValueError(f"a new sub-class must not be known, but the model knows {subclass!r}")
        if other is not None:
            raise ValueError(
                f"{subclass!r} and {other!r} differ in case, spaces, hyphens or the form of "
                "letters only: give the new sub-class another name"
            )
        subs.append(subclass)


def _check_super(name: str, known: Sequence[str], *, new_super: bool) -> None:
    other = alike_name(name, known)
    if other is not None:
        raise ValueError(
            f"super-class {name!r} is not known, but {other!r} is, which differs in case, spaces, "
            "hyphens or the form of letters only"
        )
    if not new_super:
        listed = ", ".join(map(repr, known[:20])) + (", ..." if len(known) > 20 else "")
        raise ValueError(
            f"super-class {name!r} is not known ({listed}); --new-super makes it a new one"
        )


def grown(hierarchy: Hierarchy, classes: Sequence[NewClass]) -> Hierarchy:
    """The hierarchy with new classes behind the others, whose indices and ids stay.

    New ids lie above all others, the novel ids among them.

    Args:
        hierarchy: the known classes.
        classes: new ones, in the order of their indices; see `check_new`.

    Raises:
        ValueError: a name that no class may have.
    """
    supers = list(dict.fromkeys([*hierarchy.super_names, *(new.superclass for new in classes)]))
    n_new = len(supers) - hierarchy.n_super
    parents = [supers.index(new.superclass) for new in classes]
    super_id = max(*hierarchy.super_ids, hierarchy.novel_super_id) + 1
    sub_id = max(*hierarchy.sub_ids, hierarchy.novel_sub_id) + 1
    return replace(
        hierarchy,
        super_names=tuple(supers),
        sub_names=(*hierarchy.sub_names, *(new.subclass for new in classes)),
        sub_to_super=(*hierarchy.sub_to_super, *parents),
        super_ids=(*hierarchy.super_ids, *range(super_id, super_id + n_new)),
        sub_ids=(*hierarchy.sub_ids, *range(sub_id, sub_id + len(classes))),
    )
