"""Options of a run besides what is searched: resources, time, where metrics go."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hierclf.io.atomic import read_json_object

# MLflow itself refuses slashes and colons only, but the name also stands in addresses and commands.
_MODEL_NAME = re.compile(r"[\w .-]{1,100}")

_MOST_WAIT_S = 86_400


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run; its folder stores them as options.json, so that a resumed run keeps them.

    Attributes:
        time_budget: seconds for the search's trials, above 0; None sets no limit.
        gpus: GPUs to use; None uses all that Ray sees, 0 trains on CPUs.
        gpus_per_trial: GPUs per trial, each with one worker; below 1, the fraction of a GPU that
            the trial's one worker uses.
        workers_per_trial: data-parallel workers per trial on CPUs.
        address: a running Ray cluster, such as `auto`; None starts Ray on this machine.
        wait_for_nodes: seconds to wait for nodes of that cluster; 0 takes it as it is.
        mlflow_uri: an MLflow server or database; None uses the SQLite store in the results folder.
        registered_model: name in MLflow's registry.
        take_over: take the champion alias from a model that was trained on other data.
        system_metrics: log the state of this machine to the search's run.

    Raises:
        ValueError: a value breaks its rule.
    """

    time_budget: float | None = None
    gpus: int | None = None
    gpus_per_trial: float = 1.0
    workers_per_trial: int = 1
    address: str | None = None
    wait_for_nodes: float = 0.0
    mlflow_uri: str | None = None
    registered_model: str = "hierclf"
    take_over: bool = False
    system_metrics: bool = False

    def __post_init__(self) -> None:
        budget, gpus = self.time_budget, self.gpus_per_trial
        if budget is not None and not budget > 0:
            raise ValueError(f"--time-budget must be above 0 seconds, but got {budget}")
        if self.gpus is not None and self.gpus < 0:
            raise ValueError(f"--gpus must be at least 0, but got {self.gpus}")
        if not gpus >= 0.05 or (gpus > 1 and gpus != int(gpus)):
            raise ValueError(
                "--gpus-per-trial must be a whole number, or a fraction from 0.05 to 1, "
                f"but got {gpus:g}"
            )
        if self.workers_per_trial < 1:
            raise ValueError(
                f"--workers-per-trial must be at least 1, but got {self.workers_per_trial}"
            )
        if not 0 <= self.wait_for_nodes <= _MOST_WAIT_S:
            raise ValueError(
                f"--wait-for-nodes must be from 0 to {_MOST_WAIT_S} seconds, "
                f"but got {self.wait_for_nodes:g}"
            )
        if self.wait_for_nodes and self.address is None:
            raise ValueError(
                "--wait-for-nodes waits for nodes of a cluster: give its --address, too, but got "
                f"{self.wait_for_nodes:g} without one"
            )
        if not _MODEL_NAME.fullmatch(self.registered_model):
            raise ValueError(
                "--registered-model must be 1 to 100 letters, digits, spaces, dots, hyphens or "
                f"underscores, but got {self.registered_model!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """What options.json holds."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> "RunOptions":
        """Options from an options.json.

        Raises:
            ValueError: no such file, or one that this version cannot have written.
        """
        content = read_json_object(path)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(content) - known):
            raise ValueError(f"{path} must hold {', '.join(sorted(known))} only, but got {unknown}")
        return cls(**content)
