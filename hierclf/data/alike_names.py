"""Classes whose names differ in nothing that a person would see as a difference.

Names are alike where they are equal but for case, spaces, hyphens and underscores for them,
characters of no width, full-width letters and how accents are composed. A word that mixes alphabets
is alike to those that look the same: a keyboard that was switched wrote it.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from hierclf.data.listing import ClassNames, Listing, Problem, Row

_SPACES = str.maketrans("-_\u2010\u2011\u2012\u2013", "      ")  # hyphens of several kinds
# Cyrillic and Greek letters, small here, that are drawn like Latin ones, small or capital. Without
# mu, since micrometres are no millimetres.
_DRAWN_ALIKE = str.maketrans("авекмнорстухіјѕһԁαβεζηικνορτυχ", "abekmhopctyxijshdabezhiknoptyx")


def settle_alike(listing: Listing, problems: list[Problem], *, merge: bool) -> Listing:
    """Warn of classes with names alike, or make them one.

    Sub-classes count where their super-classes are the same, or alike.

    Args:
        listing: what was read.
        problems: the list to add to.
        merge: make them one class, which keeps the id and the name of the one with most images.
    """
    rows = listing.rows
    supers, super_of = listing.super_level, {row.sub_id: row.super_id for row in rows}
    super_keys = _keys({i: supers.names[i] for i in super_of.values()})
    keys = _keys({i: listing.sub_level.names[i] for i in super_of})
    sub_keys = {i: (super_keys[parent], keys[i]) for i, parent in super_of.items()}
    super_level, super_ids = _settle_level(
        "super", supers, super_keys, Counter(row.super_id for row in rows), problems, merge
    )
    sub_level, sub_ids = _settle_level(
        "sub", listing.sub_level, sub_keys, Counter(row.sub_id for row in rows), problems, merge
    )

    def settled(row: Row) -> Row:
        return row._replace(super_id=super_ids[row.super_id], sub_id=sub_ids[row.sub_id])

    rows = [settled(row) for row in rows] if merge else rows
    return replace(listing, rows=rows, super_level=super_level, sub_level=sub_level)


def alike_name(name: str, others: Sequence[str]) -> str | None:
    """The first of other names that is alike, or equal; None without one."""
    keys = _keys(dict(enumerate([name, *others])))
    return next((other for i, other in enumerate(others, start=1) if keys[i] == keys[0]), None)


def _settle_level(
    level: str,
    names: ClassNames,
    keys: Mapping[int, Hashable],
    n_images: Counter[int],
    problems: list[Problem],
    merge: bool,
) -> tuple[ClassNames, dict[int, int]]:
    """The level's classes, and the id that stands for each id."""
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for class_id in sorted(keys):
        alike[keys[class_id]].append(class_id)
    kept = dict(names.names)
    stands_for: dict[int, int] = {}
    for ids in alike.values():
        first = max(ids, key=lambda i: n_images[i])
        stands_for |= dict.fromkeys(ids, first)
        if len(ids) == 1:
            continue
        listed = ", ".join(_shown(names.names[i]) for i in ids)
        what = f"{listed} differ in case, spaces, hyphens or the form of letters only; "
        if merge:
            what += f"read as one, {names.names[first]!r}"
            for other in set(ids) - {first}:
                del kept[other]
        else:
            what += "data.normalise_names=true makes them one"
        problems.append(Problem(f"{level}-classes", what, False))
    return replace(names, names=kept), stands_for


def _keys(names: Mapping[int, str]) -> dict[int, str]:
    """Equal for names alike."""
    keys = {i: _key(name) for i, name in names.items()}
    drawn = {i: key.translate(_DRAWN_ALIKE) for i, key in keys.items()}
    mixed = {drawn[i] for i, name in names.items() if _foreign_letters(name)}
    return {i: drawn[i] if drawn[i] in mixed else key for i, key in keys.items()}


def _foreign_letters(name: str) -> list[str]:
    """The Cyrillic and Greek letters of words that have Latin ones, too."""
    if name.isascii():
        return []
    found = []
    for word in re.findall(r"[^\W\d_]+", name):
        alphabets = [unicodedata.name(letter, "").split(" ")[0] for letter in word]
        if "LATIN" in alphabets:
            pairs = zip(word, alphabets, strict=True)
            found += [letter for letter, of in pairs if of in ("CYRILLIC", "GREEK")]
    return found


def _shown(name: str) -> str:
    """A name in quotes, with the first of its letters that only look like those beside them."""
    letters = _foreign_letters(name)
    return repr(name) + (f" (with {unicodedata.name(letters[0])})" if letters else "")


def _key(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    seen = "".join(c for c in folded if unicodedata.category(c) != "Cf")  # no zero-width space
    # A name of nothing else stays itself.
    return " ".join(seen.translate(_SPACES).split()) or folded
