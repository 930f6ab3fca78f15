"""The section `search` of the configuration."""

import warnings
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hierclf.config.space import DEFAULT_SPACE, Space, Strict

Sampler = Literal["tpe", "gp", "cmaes", "random", "qmc"]
Scheduler = Literal["asha", "median", "none"]
Named = Annotated[str, Field(min_length=1, max_length=500)]

# Keys of `search` before there was `search.space`, and whether they were searched in log.
_OLD_SPACE = {"lr": True, "weight_decay": True, "strength": False}


class SearchConfig(Strict):
    """The hyper-parameter search."""

    trials: Annotated[int, Field(ge=0)] = 20
    """0 skips the search: the configuration is taken as it is."""
    space: Space = DEFAULT_SPACE
    """What a trial varies: values of `model` and `train` by their dotted keys."""
    sampler: Sampler = "tpe"
    """What suggests values: `tpe`, a Gaussian process (`gp`), CMA-ES (`cmaes`, which needs the
    package of that name), `random`, or a quasi-random sequence (`qmc`). `cmaes` and `qmc` draw
    choices at random."""
    scheduler: Scheduler = "asha"
    """What ends trials early: successive halving (`asha`), below the median of the running means of
    other trials (`median`), or nothing (`none`)."""
    grace_epochs: Annotated[int, Field(ge=1)] = 3
    """Epochs that every trial runs before early stopping may end it."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """`asha` keeps about one trial in this many at each of its steps."""
    study: Named | None = None
    """Where Optuna's study is stored: the address of a database, such as `sqlite:///optuna.db` or
    `postgresql+psycopg://USER@HOST/NAME`, or a journal file; None for study.log in the run's
    folder."""
    study_name: Named | None = None
    """A study in `study` that searches share, made by the first; None for the run's own."""

    @model_validator(mode="after")
    def _shared_study_has_a_place(self) -> "SearchConfig":
        if self.study_name is not None and self.study is None:
            raise ValueError(
                f"study_name names a study of search.study, which must be given, too, but got "
                f"study_name={self.study_name}"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_old_keys(cls, tree: Any) -> Any:
        old = [key for key in _OLD_SPACE if isinstance(tree, dict) and key in tree]
        if not old:
            return tree
        if "space" in tree:
            raise ValueError(f"give train.{old[0]} in search.space, but not search.{old[0]} too")
        rest = {key: value for key, value in tree.items() if key not in old}
        space: dict[str, Any] = dict(DEFAULT_SPACE)
        for key in old:
            interval = tree[key]
            space[f"train.{key}"] = (
                {**interval, "log": _OLD_SPACE[key]} if isinstance(interval, dict) else interval
            )
        names = ", ".join(f"search.{key}" for key in old)
        warnings.warn(
            f"{names}: now an entry of search.space, such as "
            f"train.{old[0]}: {{low: ..., high: ..., log: {str(_OLD_SPACE[old[0]]).lower()}}}",
            FutureWarning,
            stacklevel=2,
        )
        return {**rest, "space": space}
