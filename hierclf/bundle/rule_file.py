"""`thresholds.json` of a model directory: a rule and its calibration.

{"super_score": ..., "super_tau": ..., "sub_score": ..., "sub_tau": ..., "calibration": {...}}
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hierclf.bundle.checksums import replaced
from hierclf.hierarchy import LEVELS
from hierclf.io.atomic import draft_of, read_json_object, write_json_object
from hierclf.rules.calibration import Calibration
from hierclf.rules.rule import Rule
from hierclf.scores.renamed import current_names
from hierclf.scores.sums import score_terms

RULE_FILE = "thresholds.json"
FORMER_RULE_FILE = "thresholds.former.json"
"""The thresholds before the last change; nothing but an undo reads them."""


class RuleFile(NamedTuple):
    """Content of `thresholds.json`; None for a missing part."""

    rule: Rule | None
    calibration: Calibration | None


def save_rule(directory: Path, rule: Rule, calibration: Calibration | None = None) -> None:
    """Write or replace the thresholds of a model directory, atomically; the former ones are kept.

    Args:
        directory: a model directory.
        rule: scores and thresholds.
        calibration: of probabilities, if there is one.

    Raises:
        ValueError: not a model directory.
    """
    if (directory / RULE_FILE).is_file():
        with draft_of(directory / FORMER_RULE_FILE) as draft:
            shutil.copy(directory / RULE_FILE, draft)
    extra = {} if calibration is None else {"calibration": calibration.to_dict()}
    with replaced(directory, RULE_FILE) as temporary:
        write_json_object(temporary, {**rule.to_dict(), **extra})


def load_rule(directory: Path, scores: Sequence[str], *, name: str = RULE_FILE) -> RuleFile:
    """Read `thresholds.json`, if there is one.

    Args:
        directory: a model directory.
        scores: names of the model's scores.
        name: of the file, `FORMER_RULE_FILE` for the thresholds before the last change.

    Raises:
        ValueError: a malformed file, or a score that is not among `scores`.
    """
    path = directory / name
    if not path.is_file():
        return RuleFile(None, None)
    content = read_json_object(path)
    calibration = content.pop("calibration", None)
    rule = Rule.from_dict(
        {key: current_names(x) if isinstance(x, str) else x for key, x in content.items()}
    )
    for level in LEVELS:
        for _, _, name in score_terms(rule[level].score, level):
            if name not in scores:
                raise ValueError(
                    f"a score of {path.name} must be among {list(scores)}, not {name!r}"
                )
    return RuleFile(rule, None if calibration is None else Calibration.from_dict(calibration))
