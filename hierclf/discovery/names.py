"""Names that groups of novel images have until a person names them."""

import re

from hierclf.hierarchy import NOVEL_NAME

_PROPOSED = re.compile(r"new (?:.+ )?[0-9]+")


def proposed_name(superclass: str, number: int) -> str:
    """The name of a group.

    Args:
        superclass: of its images; "novel" for a new one.
        number: of the group within the super-class, from 1.
    """
    return f"new {number}" if superclass == NOVEL_NAME else f"new {superclass} {number}"


def is_proposed(name: str) -> bool:
    """Whether a name is one that `proposed_name` gives, for some super-class."""
    return _PROPOSED.fullmatch(name) is not None
