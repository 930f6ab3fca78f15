"""The section `thresholds` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hierclf.config.space import Strict
from hierclf.rules.goals import Goal, Kind
from hierclf.scores import SCORES
from hierclf.scores.renamed import current_names, warn_of_former_names


class ThresholdConfig(Strict):
    """The search for the score and the threshold of each level."""

    scores: tuple[str, ...] = ("msp", "max_logit", "energy", "knn", "mahalanobis")
    """Names of scores to choose among; msp always, since the paper's rule is compared with."""
    trials: Annotated[int, Field(ge=1)] = 200
    """Pairs of thresholds that are tried."""
    sampler: Literal["tpe", "gp"] = "tpe"
    """`gp`, a Gaussian process, takes minutes where `tpe` takes seconds."""
    goal: Kind = "balanced"
    """What thresholds serve; `hierclf thresholds` changes it later."""
    novel_rate: float | None = None
    """With the goal `overall`: share of novel images, in (0, 1)."""
    seen: float | None = None
    """With the goal `seen-at-least`: the seen accuracy to keep, in (0, 1]."""

    @property
    def target(self) -> Goal:
        """The goal with its number."""
        return Goal(self.goal, novel_rate=self.novel_rate, seen=self.seen)

    @model_validator(mode="after")
    def _goal_is_complete(self) -> "ThresholdConfig":
        _ = self.target
        return self

    @field_validator("scores")
    @classmethod
    def _are_known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        warn_of_former_names(given)
        scores = tuple(current_names(name) for name in given)
        if not set(scores) <= set(SCORES) or len(set(scores)) < len(scores) or "msp" not in scores:
            raise ValueError(
                f"scores must be among {', '.join(SCORES)}, each once, with msp, "
                f"but got {list(scores)}"
            )
        return scores
