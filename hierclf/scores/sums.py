"""Weighted sums of novelty scores as text: "0.52*energy + 0.31*super.knn".

A term is a score's name with an optional weight. `super.NAME` and `sub.NAME` name a level's column;
NAME alone is the column of the level that the sum is for, so that a level can use the other level's
scores too. A single name is the sum of that one score.

The text is the definition: values are computed from the weights as written.

Shape legend: N images.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS, Level

if TYPE_CHECKING:
    import pandas as pd

_LEVEL_OF: dict[str, Level] = {level: level for level in LEVELS}
_MAX_LENGTH = 2000
_WEIGHT = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?)"
_TERM = re.compile(
    rf"\s*(?:(?P<weight>{_WEIGHT})\s*\*\s*)?(?P<name>(?:(?:super|sub)\.)?[A-Za-z_]\w*)\s*"
)


def parse_score(text: str) -> tuple[tuple[float, str], ...]:
    """Parse a score's text.

    Args:
        text: such as "knn" or "0.52*energy + 0.31*super.knn"; at most 2,000 characters.

    Returns:
        (weight, name) of each term in order; the default weight is 1, and a name may begin with
        `super.` or `sub.`.

    Raises:
        ValueError: malformed or too long text, a weight that is not finite and > 0, or a repeated
            term.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"a score must be a name or a weighted sum of names, but got {text!r}")
    if len(text) > _MAX_LENGTH:
        raise ValueError(
            f"a score's text must have at most {_MAX_LENGTH} characters, got {len(text)}"
        )
    terms: list[tuple[float, str]] = []
    at = 0
    while True:
        found = _TERM.match(text, at)
        # A term is followed by a plus or the end.
        if found is None or text[found.end() : found.end() + 1] not in ("", "+"):
            raise ValueError(
                "a score must be a name or a sum such as '0.5*energy + 2*sub.knn', "
                f"but got {text!r}"
            )
        weight, name = float(found["weight"] or 1.0), found["name"]
        if not (math.isfinite(weight) and weight > 0.0):
            raise ValueError(
                f"a weight must be finite and > 0, but got {found['weight']}*{name} in {text!r}"
            )
        if name in (other for _, other in terms):
            raise ValueError(
                f"a score must name each term once, but got {name!r} twice in {text!r}"
            )
        terms.append((weight, name))
        at = found.end() + 1
        if found.end() == len(text):
            return tuple(terms)


def format_score(terms: Sequence[tuple[float, str]]) -> str:
    """Format a weighted sum as text, weights rounded to 6 significant digits.

    A single term of weight 1 is the name alone.

    Args:
        terms: (weight, name), as `parse_score` returns them.

    Raises:
        ValueError: no terms, and what `parse_score` raises.
    """
    written = [(f"{weight:.6g}", name) for weight, name in terms]
    if len(written) == 1 and written[0][0] == "1":
        text = written[0][1]
    else:
        text = " + ".join(f"{weight}*{name}" for weight, name in written)
    parse_score(text)
    return text


def score_terms(text: str, level: Level) -> list[tuple[float, Level, str]]:
    """Parse a score's text and resolve the level of each term.

    Args:
        text: as for `parse_score`.
        level: the level that uses the score.

    Returns:
        (weight, level, name) of each term; its column is `LEVEL_NAME`.

    Raises:
        ValueError: what `parse_score` raises, or a column named twice, with and without its level.
    """
    terms: list[tuple[float, Level, str]] = []
    for weight, name in parse_score(text):
        prefix, dot, rest = name.partition(".")
        terms.append((weight, _LEVEL_OF[prefix], rest) if dot else (weight, level, name))
    columns = [f"{own}_{name}" for _, own, name in terms]
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError(
                f"a score must name each term once, but got column {column!r} twice in {text!r}"
            )
    return terms


def sum_columns(
    columns: "Mapping[str, Any] | pd.DataFrame", level: Level, text: str
) -> NDArray[np.float64]:
    """Compute a score given as text.

    Args:
        columns: float [N] by name, `super_NAME` or `sub_NAME`.
        level: the level that uses the score.
        text: as for `parse_score`.

    Returns:
        float64 [N].

    Raises:
        ValueError: a missing column, and what `score_terms` raises.
    """
    names = {f"{own}_{name}": weight for weight, own, name in score_terms(text, level)}
    for name in names:
        if name not in columns:
            there = ", ".join(map(str, columns)) or "no column"
            raise ValueError(f"the score table needs a column {name!r}, but got {there}")
    # Starting from the first term, a name alone gives exactly its column.
    first, *others = (
        weight * np.asarray(columns[name], dtype=np.float64) for name, weight in names.items()
    )
    for values in others:
        first = first + values
    return first
