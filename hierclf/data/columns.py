"""Which column of a table holds what: as the user names it, or by a name that means one thing only.

A role is what a column is for: image, super, sub, group or split.
"""

from collections.abc import Mapping, Sequence

from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.listing import Problem

IMAGE, SUPER, SUB = "image", "super", "sub"
ROLES = (IMAGE, SUPER, SUB, GROUP, SPLIT)
OPTION = "--columns image=COLUMN,super=COLUMN,sub=COLUMN"
_MEANT = {IMAGE: "the image's file", SUPER: "the super-class", SUB: "the sub-class"}
# Names by role. Those of one line mean the same, so that two of them in one table are ambiguous; a
# line is looked at only where the table has none of the lines above.
_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    IMAGE: (
        ("image", "file_name", "filename", "image_path", "image_name", "image_file", "img"),
        ("file_path", "filepath", "img_path", "path", "file"),
    ),
    SUPER: (
        ("superclass", "super", "super_class", "superclass_name", "coarse_label", "supercategory"),
        ("superclass_index",),
    ),
    SUB: (
        ("subclass", "sub", "sub_class", "subclass_name", "fine_label"),
        ("subclass_index",),
        ("class", "class_name", "label", "category"),
        ("cls",),
    ),
    GROUP: ((GROUP,),),
    SPLIT: ((SPLIT,),),
}
_SHOWN = 12


def parse_columns(text: str | None) -> dict[str, str]:
    """The column of each role that a text like "image=file,super=genus,sub=species" names.

    None names no column.

    Raises:
        ValueError: another form, an unknown role, or a role twice.
    """
    found: dict[str, str] = {}
    if text is None:
        return found
    for part in text.split(","):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or role not in ROLES or role in found:
            raise ValueError(
                f"--columns must be like {OPTION.split()[1]} (also {GROUP}= and {SPLIT}=), "
                f"each once, but got {part.strip()!r}"
            )
        found[role] = column.lower()
    return found


def find_columns(
    header: Sequence[str],
    named: Mapping[str, str],
    problems: list[Problem],
    *,
    where: str,
    needs_super: bool = True,
) -> dict[str, str] | None:
    """The column of each role; None after problems that say which cannot be told.

    Args:
        header: the table's columns, in lower case.
        named: the columns that the user named, by role.
        problems: the list to add to.
        where: the table, for messages.
        needs_super: False if something else gives the super-class of each sub-class.
    """
    found: dict[str, str] = {}
    unknown: list[str] = []
    before = len(problems)
    there = f"its columns are {listed_columns(header)}"
    for role in ROLES:
        if role in named:
            if named[role] in header:
                found[role] = named[role]
            else:
                problems.append(Problem(where, f"column {named[role]!r} is missing; {there}", True))
            continue
        alike = role_columns(header, role)
        if len(alike) == 1:
            found[role] = alike[0]
        elif alike:
            what = f"{' and '.join(map(repr, alike[:2]))} could each be {_MEANT[role]}; "
            what += f"name one, such as --columns {role}={alike[0]}"
            problems.append(Problem(where, what, True))
        elif role in (IMAGE, SUB) or (role == SUPER and needs_super):
            unknown.append(role)
    if unknown:
        option = ",".join(f"{role}=COLUMN" for role in unknown)
        what = f"no column is known to hold {' or '.join(_MEANT[role] for role in unknown)}; "
        what += f"{there}; name it with --columns {option}"
        if SUPER in unknown:
            what += ", or give each sub-class its super-class in a file hierarchy.csv (sub,super)"
        problems.append(Problem(where, what, True))
    return found if len(problems) == before else None


def role_columns(header: Sequence[str], role: str) -> list[str]:
    """The columns whose names mean a role: several where it cannot be told which."""
    forms = {name: name.replace(" ", "_").replace("-", "_") for name in header}
    for names in _NAMES[role]:
        if alike := [name for name, form in forms.items() if form in names]:
            return alike
    return []


def tells_columns(
    header: Sequence[str], named: Mapping[str, str], *, needs_super: bool = True
) -> bool:
    """Whether a table's columns hold the images and their classes; arguments as `find_columns`."""
    return find_columns(header, named, [], where="", needs_super=needs_super) is not None


def listed_columns(header: Sequence[str]) -> str:
    """The names of columns on one line, the first of many."""
    names = [" ".join(name.split()) or "(no name)" for name in header]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more or "none"
