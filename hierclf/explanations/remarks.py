"""Sentences for what would puzzle a reader: numbers of an answer that seem to contradict it."""

from hierclf.explanations.form import KnownClass
from hierclf.hierarchy import Level
from hierclf.rules.calibrators import NovelCurve
from hierclf.rules.rule import LevelRule

_WHERE_NEAR = ", and a new super-class may be nearer than those hidden from training"


def probability_remark(
    level: Level, rule: LevelRule, score: float, probability: float, curve: NovelCurve
) -> str | None:
    """Why the threshold says one thing and the probability of novelty another.

    Args:
        level: the level.
        rule: of the level.
        score: of the image.
        probability: of novelty.
        curve: that the probability comes from.

    Returns:
        A sentence, or None if the two agree.
    """
    above = score > rule.tau
    if above == (probability > 0.5):
        return None
    side = "above" if above else "not above"
    start = (
        f"The score is {side} the threshold although the probability of novelty is "
        f"{percent(probability)}: "
    )
    if curve.slope == 0.0:
        return start + "the model gives that probability to every image."
    near = _WHERE_NEAR if above and level == "super" else ""
    return start + (
        "the probability assumes that half of all images are novel and passes 50 % at a score of "
        f"{-curve.offset / curve.slope:.4g}, while the threshold of {rule.tau:.4g} was chosen for "
        "a goal (balanced accuracy on known and new classes, unless another was asked for), where "
        f"every new class counts the same{near}."
    )


def implied_remark(rule: LevelRule, score: float) -> str:
    """Why a sub-class is novel whose own score is not above its threshold."""
    return (
        "The sub-class is novel because the super-class is; its own score of "
        f"{score:.4g} is not above its threshold of {rule.tau:.4g}."
    )


def order_remark(super_probability: float, sub_probability: float) -> str | None:
    """Why a novel super-class is likely and a novel sub-class, which it implies, is not.

    Returns:
        A sentence, or None unless 50 % lies between the two.
    """
    if not super_probability > 0.5 >= sub_probability:
        return None
    return (
        f"A novel super-class ({percent(super_probability)}) is more probable than a novel "
        f"sub-class ({percent(sub_probability)}), which it implies: each probability comes from "
        "its own level's score alone."
    )


def elsewhere_remark(best: KnownClass, parent: str, nearest: str) -> str:
    """Why the most probable sub-class is neither the answer nor the nearest known sub-class.

    Args:
        best: the most probable sub-class.
        parent: its super-class.
        nearest: the most probable super-class, another one.
    """
    return (
        f"{best['name']} is the most probable of all sub-classes ({percent(best['probability'])}), "
        f"but belongs to {parent}: a known sub-class is the answer or the nearest one only if it "
        f"belongs to the most probable super-class, {nearest}."
    )


def percent(probability: float) -> str:
    """A probability as text, "97 %"; what is neither 0 nor 1 is not rounded to it."""
    if 0.995 <= probability < 1.0:
        return "over 99 %"
    if 0.0 < probability < 0.005:
        return "under 1 %"
    return f"{100 * probability:.0f} %"
