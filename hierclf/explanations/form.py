"""The form of an explanation: dictionaries that JSON can hold, with these keys.

Scores, thresholds and what is computed of them are in the units of the level's score; higher = more
novel. Probabilities lie in [0, 1].
"""

from typing import TypedDict


class Term(TypedDict):
    """One term of a level's score.

    Attributes:
        name: as the rule writes it, "knn" or "super.knn".
        value: the term's own score of the image.
        weight: > 0, by which the value is multiplied.
        added: weight * value; a level's terms add up to its score.
        deviation: standard deviations between the value and the median of images of known classes
            that were held out; None if the model directory has no score table.
        push: how much the term moves the score beyond (> 0) or below (< 0) the threshold; a level's
            terms add up to its margin. It is measured from where the term stands when all terms
            deviate alike and the score equals the threshold. None as `deviation`.
    """

    name: str
    value: float
    weight: float
    added: float
    deviation: float | None
    push: float | None


class KnownClass(TypedDict):
    """A known class of a level.

    Attributes:
        name: of the class.
        index: its id in the data set's mapping file.
        probability: among the level's known classes, calibrated where the model is.
    """

    name: str
    index: int
    probability: float


class LevelExplanation(TypedDict):
    """Why a level's answer is what it is.

    Attributes:
        decision: name of the class, or "novel".
        index: its id in the data set's mapping file.
        score: what the rule compares with the threshold.
        threshold: above it, the image is novel at this level.
        margin: score - threshold.
        terms: of the score; first what pushed most towards the side of the threshold on which the
            score lies, or, without pushes, what added most.
        novel_probability: probability of being novel where half of all images are; None for a model
            without calibration.
        nearest: name of the known class that the answer would be, were it not novel.
        classes: the three most probable known classes, or all if there are fewer.
        remarks: sentences, where probabilities and the decision, or the two levels, disagree.
    """

    decision: str
    index: int
    score: float
    threshold: float
    margin: float
    terms: list[Term]
    novel_probability: float | None
    nearest: str
    classes: list[KnownClass]
    remarks: list[str]


class Neighbour(TypedDict):
    """A training image that is near in the network's features.

    Attributes:
        image: its name in the training data.
        superclass: name of its super-class.
        subclass: name of its sub-class.
        distance: cosine distance, 0 (the same direction) to 2.
    """

    image: str
    superclass: str
    subclass: str
    distance: float


class Explanation(TypedDict):
    """Why an image got its answer.

    Attributes:
        image: its name.
        error: why it could not be read, in which case all else is None; None if it could.
        super: the super level.
        sub: the sub level.
        neighbours: the nearest training images, nearest first; empty if the model directory does
            not name them.
    """

    image: str
    error: str | None
    super: LevelExplanation | None
    sub: LevelExplanation | None
    neighbours: list[Neighbour] | None
