"""Explanations as text, at most 80 columns wide."""

import math
import textwrap
from collections.abc import Iterator, Sequence

from hierclf.errors import visible
from hierclf.explanations.form import Explanation, LevelExplanation, Term
from hierclf.explanations.remarks import percent

WIDTH = 80
_TERMS = 5
"""Terms that are shown one by one; the others are added up in a line."""


def explanation_text(explanation: Explanation) -> str:
    """A readable image's explanation, in lines of at most `WIDTH` characters but for names."""
    name, sup, sub = explanation["image"], explanation["super"], explanation["sub"]
    assert sup is not None
    assert sub is not None
    lines = [f"{name}: {sup['decision']} / {sub['decision']}"]
    for title, level in (("super-class", sup), ("sub-class", sub)):
        lines += ["", *_level(title, level)]
    if neighbours := explanation["neighbours"]:
        lines += ["", "  nearest training images, by cosine distance"]
        for near in neighbours:
            classes = f"{near['superclass']} / {near['subclass']}"
            lines.append(f"    {near['distance']:.3f}  {near['image']}: {classes}")
    return "\n".join(visible(line) for line in lines)


def _level(title: str, level: LevelExplanation) -> Iterator[str]:
    places = _places(level)
    margin, chance = level["margin"], level["novel_probability"]
    side, says = ("above", "novel") if margin > 0.0 else ("below", "known")
    if says == "known" and level["decision"] != level["nearest"]:
        says = "known by itself"
    yield f"  {title}: {level['decision']}"
    yield (
        f"    score {level['score']:.{places}f}, {abs(margin):.{places}f} {side} the threshold "
        f"{level['threshold']:.{places}f}: {says}"
    )
    if chance is not None:
        yield f"    probability of novelty {percent(chance)}, if half of all images are novel"
    classes = [f"{c['name']} {percent(c['probability'])}" for c in level["classes"]]
    yield from _wrapped(f"among known classes: {'; '.join(classes)}")
    if level["decision"] != level["nearest"]:
        yield from _wrapped(f"nearest known {title}: {level['nearest']}")
    yield from _terms(level["terms"], level, places)
    for remark in level["remarks"]:
        yield from _wrapped(remark)


def _terms(terms: Sequence[Term], level: LevelExplanation, places: int) -> Iterator[str]:
    """A table of what the terms add, and how far they push across the threshold."""
    pushes = [term["push"] for term in terms if term["push"] is not None]
    heading = f"    {'term':28}{'adds':>10}"
    if pushes:
        heading += f"{'pushes':>10}  beside known images"
    yield heading
    shown = terms if len(terms) <= _TERMS + 1 else terms[:_TERMS]
    for term in shown:
        line = f"    {term['name']:28}{term['added']:>10.{places}f}"
        if term["push"] is not None and term["deviation"] is not None:
            line += f"{term['push']:>+10.{places}f}  {_deviation(term['deviation'])}"
        yield line
    if rest := terms[len(shown) :]:
        line = f"    {f'{len(rest)} others':28}{sum(t['added'] for t in rest):>10.{places}f}"
        if pushes:
            line += f"{sum(pushes[len(shown) :]):>+10.{places}f}"
        yield line
    line = f"    {'score':28}{level['score']:>10.{places}f}"
    if pushes:
        line += f"{level['margin']:>+10.{places}f}  from the threshold"
    yield line


def _deviation(deviation: float) -> str:
    """Standard deviations from the median, in words."""
    if abs(deviation) < 0.05:
        return "as the median"
    return f"{abs(deviation):.1f} sd {'above' if deviation > 0.0 else 'below'} the median"


def _places(level: LevelExplanation) -> int:
    """Decimals that show three digits of the largest term, and the margin's first."""
    largest = max(abs(term["added"]) for term in level["terms"])
    wanted = 2 - _magnitude(max(largest, abs(level["threshold"])))
    return min(max(wanted, -_magnitude(level["margin"]), 0), 8)


def _magnitude(number: float) -> int:
    """The power of ten of a number's first digit; 0 for 0."""
    return math.floor(math.log10(abs(number))) if number else 0


def _wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(
        text.replace(" %", "\xa0%"),  # a number and its unit stay together
        WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 6,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]
