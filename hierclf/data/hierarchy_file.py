"""The file that gives each sub-class its super-class, for data that name sub-classes only.

`hierarchy.csv` beside the class folders or the table, or any table that an option names, with a
column of sub-classes and one of super-classes (`sub,super`, `subclass,superclass`, ...).
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hierclf.data.columns import SUB, SUPER, listed_columns, role_columns
from hierclf.data.file_names import loose_form
from hierclf.data.listing import Problem
from hierclf.data.table_files import read_table, table_columns
from hierclf.hierarchy import NOVEL_NAME, is_novel_name

HIERARCHY = "hierarchy.csv"


class Parents(NamedTuple):
    """The super-class of each sub-class.

    Attributes:
        name: of the file.
        super_of: by the sub-class's name in `loose_form`: systems write accents differently.
        subs: the names of the sub-classes, by the same.
    """

    name: str
    super_of: dict[str, str]
    subs: dict[str, str]

    def find(self, sub: str) -> str | None:
        """The super-class of a sub-class; None if the file does not name it, novel of novel."""
        return NOVEL_NAME if is_novel_name(sub) else self.super_of.get(loose_form(sub))

    def above(self, sub: str) -> tuple[str, str]:
        """The super-class of a label, empty where there is none, and why the label is refused."""
        name = self.find(sub) or ""
        return name, self.refusal(sub) if sub and not name else ""

    def over(self, others: "Parents") -> "Parents":
        """Both together under the name of the others; these count where they differ."""
        super_of = {**others.super_of, **self.super_of}
        return Parents(others.name, super_of, {**others.subs, **self.subs})

    def alike(self, sub: str) -> str:
        """A question for a name that the file does not hold but for a slip; empty where none is."""
        alike = difflib.get_close_matches(sub, self.subs.values(), n=1)
        return f"; is it {alike[0]!r} there?" if alike else ""

    def refusal(self, sub: str) -> str:
        """Why a label that the file does not name cannot be used."""
        return f"sub-class {sub!r} is not in {self.name}{self.alike(sub)}"

    def unused(self, subs: Iterable[str]) -> list[str]:
        """The sub-classes in the file that are none of the given ones."""
        found = set(map(loose_form, subs))
        return [sub for key, sub in self.subs.items() if key not in found]


def hierarchy_lines(subs: Iterable[str]) -> str:
    """What to write into the file for sub-classes, for messages: its first lines."""
    some = sorted(set(subs))[:2]
    lines = ["sub,super", *(f"{name},ITS SUPER-CLASS" for name in some)]
    return f"with the lines {', '.join(map(repr, lines))}, ..."


def hierarchy_file(root: Path, named: str | None) -> Path | None:
    """The file to read: what the user named, or `hierarchy.csv` in `root` where there is one."""
    if named is not None:
        return Path(named).expanduser()
    return root / HIERARCHY if (root / HIERARCHY).is_file() else None


def read_parents(path: Path, problems: list[Problem]) -> Parents | None:
    """Read a hierarchy file; None after a problem that leaves nothing to read.

    Args:
        path: a CSV, TSV, JSON lines or Parquet file.
        problems: the list to add to: missing columns, empty cells, a sub-class under two
            super-classes.
    """
    if not path.is_file():
        problems.append(Problem(str(path), "no such file; it gives each sub-class its super", True))
        return None
    header = table_columns(path)
    found = [role_columns(header, role) for role in (SUB, SUPER)]
    if any(len(columns) != 1 for columns in found):
        what = "must have one column for sub-classes and one for super-classes, such as sub,super; "
        what += f"its columns are {listed_columns(header)}"
        problems.append(Problem(path.name, what, True))
        return None
    parents = Parents(path.name, {}, {})
    first: dict[str, str] = {}
    columns = [names[0] for names in found]
    before = len(problems)
    for where, (sub, super_name) in read_table(path, columns, problems):
        key = loose_form(sub)
        if not sub or not super_name:
            what = f"the cell of {columns[0] if not sub else columns[1]!r} is empty"
            problems.append(Problem(where, what, True))
        elif parents.super_of.setdefault(key, super_name) != super_name:
            what = f"sub-class {sub!r} is under super-class {super_name!r} here, but under "
            what += f"{parents.super_of[key]!r} in {first[key]}"
            problems.append(Problem(where, what, True))
        else:
            first.setdefault(key, where)
            parents.subs.setdefault(key, sub)
    if not parents.subs and len(problems) == before:
        problems.append(Problem(path.name, "names no sub-class", True))
    return parents
