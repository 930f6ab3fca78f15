"""What a report reads from the folder of a finished run.

Shape legend: N rows of the score table, C sub-classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.bundle.directory import load_card
from hierclf.bundle.score_table_file import load_score_table
from hierclf.config import Config, load_config
from hierclf.errors import one_line
from hierclf.hierarchy import Hierarchy, Level
from hierclf.io.atomic import read_json_object
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import ScoreTable


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A finished run, read.

    Attributes:
        folder: of the run.
        summary: content of summary.json.
        config: as resolved.
        rule: what the threshold search chose.
        deployed: the rule in the model directory now; another one after `hierclf thresholds`.
        hierarchy: the known classes.
        table: N rows, with `image`, `split` and calibrated probabilities.
        parts: int64 [C], the part of each sub-class.
        report: bool [N], rows whose fold and class had no say in hyper-parameters.
        trials: one row per trial; None without a search.
        novel_names: the user's own novel classes, by the label that the table gives them.
    """

    folder: Path
    summary: dict[str, Any]
    config: Config
    rule: Rule
    deployed: Rule
    hierarchy: Hierarchy
    table: ScoreTable
    parts: NDArray[np.int64]
    report: NDArray[np.bool_]
    trials: pd.DataFrame | None
    novel_names: dict[int, str]

    def class_name(self, level: Level, label: int) -> str:
        """The name of a class, by its label in the score table."""
        names = self.hierarchy.super_names if level == "super" else self.hierarchy.sub_names
        if 0 <= label < len(names):
            return names[label]
        return self.novel_names.get(label, "new") if level == "sub" and label >= 0 else "new"


def read_run(folder: Path) -> RunFiles:
    """Read the folder of a finished run.

    Raises:
        ValueError: a file is missing or damaged; one line.
    """
    try:
        return _read(folder)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder} must be the folder of a finished run, but {one_line(error)[:300]}"
        ) from None


def _read(folder: Path) -> RunFiles:
    summary = read_json_object(folder / "summary.json")
    card, stored = load_card(folder / "model"), load_score_table(folder / "model")
    table = ScoreTable(pd.read_parquet(folder / "scores.parquet"))
    if not np.array_equal(table.sub.labels, stored.table.sub.labels):
        raise ValueError("model/score_table.parquet has other rows than scores.parquet")
    rule = Rule.from_dict(read_json_object(folder / "thresholds.json")["rule"])
    now = card.rule or rule
    same = now.super.score == rule.super.score and now.sub.score == rule.sub.score
    trials = folder / "trials.parquet"
    return RunFiles(
        folder=folder,
        summary=summary,
        config=load_config(folder / "config.yaml"),
        rule=rule,
        deployed=now if same else rule,
        hierarchy=card.hierarchy,
        table=table,
        parts=stored.parts,
        report=stored.report,
        trials=pd.read_parquet(trials) if trials.is_file() else None,
        novel_names=_novel_names(folder, table, card.hierarchy.n_sub),
    )


def _novel_names(folder: Path, table: ScoreTable, n_sub: int) -> dict[int, str]:
    """Names by label of the user's own novel classes, which are numbered on from the known ones."""
    own = table.sub.labels >= n_sub
    if not own.any() or not (folder / "novel.parquet").is_file():
        return {}
    named = pd.read_parquet(folder / "novel.parquet").set_index("image")["class"].to_dict()
    images = table.column("image")[own]
    return {
        int(label): str(named.get(image, "new"))
        for label, image in zip(table.sub.labels[own], images, strict=True)
    }
