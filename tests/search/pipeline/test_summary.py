"""The tables at the end of a run, as a person sees them in a terminal of 80 columns."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from hierclf.config import Config
from hierclf.rules.figures import Figure, Promise
from search.pipeline import summary
from search.pipeline.run_folder import RunFolder
from search.pipeline.threshold_stage import HeldOut
from search.runtime import progress

KEYS = [
    f"{level}_{part}"
    for level in ("super", "sub")
    for part in ("overall", "seen", "unseen", "harmonic")
]
KEYS += ["super_seen_known", "super_seen_near", "sub_unseen_near", "sub_unseen_far"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    console = Console(file=text, width=80, highlight=False, soft_wrap=True)
    monkeypatch.setattr(summary, "console", console)
    monkeypatch.setattr(progress, "console", console)
    return text


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A finished run with figures as wide as they get."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "results" / "runs" / "one")
    folder.path.mkdir(parents=True)
    row: dict[str, Any] = {
        "train.lr": 1.234e-05,
        "train.weight_decay": 1.234e-06,
        "train.strength": 2.345,
    }
    row |= {"epochs": 10_000}
    status = ["finished", "stopped early", "failed", "finished", "finished", "finished"]
    objective = [1.0, 0.5, None, 0.25, 0.125, 0.0625]
    trials = pd.DataFrame(
        [row | {"status": s, "objective": o} for s, o in zip(status, objective, strict=True)]
    )
    trials.to_parquet(folder.trials)
    folder.write_json(folder.path / "timings.json", {"search": 3600.0, "refit": 65.0})
    uri = f"sqlite:///{tmp_path}/results/mlflow.db"
    return SimpleNamespace(folder=folder, config=Config(), mlflow_uri=uri, place=(uri, "1", "abc"))


RULE = {"super_score": "max_logit", "super_tau": -12.3456789}
RULE |= {"sub_score": "energy", "sub_tau": 0.000123456}
FOUND = {"rule": RULE, "search_gain": None}


def held_out(**given: Figure | None) -> HeldOut:
    promise: Promise = dict.fromkeys(KEYS, Figure(1.0, 0.999, 1.0))
    promises = {"chosen": promise | given, "paper": promise, "never_novel": promise}
    return HeldOut(promises, pd.DataFrame(), hidden_super=3, hidden_sub=80)


def test_the_tables_fit_80_columns_without_wrapping(run: Any, screen: io.StringIO) -> None:
    summary.print_summary(run, FOUND, held_out(), "version 1 is the first champion")
    lines = screen.getvalue().splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if "could be held out" in line)]
    assert max(map(len, table)) <= 80
    rows = [line for line in table if line.rstrip().endswith("100.0  100.0".rstrip())]
    assert len([line for line in table if "100 to 100" in line]) == 8
    assert rows or all("100.0" in line for line in table if "100 to 100" in line)
    trials = [line.split() for line in table if line.strip().startswith("1.23e-05")]
    assert len(trials) == 5
    assert trials[0] == ["1.23e-05", "1.23e-06", "2.35", "10000", "100.0", "finished"]
    assert trials[1][-2:] == ["stopped", "early"]


def test_what_was_not_measured_is_a_dash(run: Any, screen: io.StringIO) -> None:
    given = held_out(super_unseen=None, super_harmonic=None)
    summary.print_summary(run, FOUND, given, "registered")
    text = screen.getvalue()
    assert "nan" not in text.lower()
    assert "None" not in text
    (line,) = (x for x in text.splitlines() if x.strip().startswith("new super-class: novel"))
    assert line.split()[-4:] == ["-", "-", "100.0", "100.0"]
    (failed,) = (line for line in text.splitlines() if "failed" in line)
    assert failed.split()[-2] == "-"


def test_the_end_is_the_commands_to_type_next(run: Any, screen: io.StringIO) -> None:
    run.config = Config.model_validate({"data": {"path": "pets"}})
    summary.print_summary(run, FOUND, held_out(), "registered")
    lines = screen.getvalue().splitlines()
    assert lines[-5:] == [
        "next:",
        "  mlflow ui --backend-store-uri sqlite:///results/mlflow.db",
        "  http://127.0.0.1:5000/#/experiments/1/runs/abc",
        "  hierclf predict results/runs/one/model IMAGES --out predictions.csv",
        "  hierclf thresholds results/runs/one/model --dry-run",
    ]
    assert "total 1 h 1 min; all results are in results/runs/one" in lines
    assert "registered" in lines


def test_after_the_demo_come_the_commands_for_its_test_images(
    run: Any, screen: io.StringIO
) -> None:
    run.config = Config.model_validate({"data": {"path": "demo:7"}})
    summary.print_summary(run, FOUND, held_out(), "registered")
    assert screen.getvalue().splitlines()[-4:-1] == [
        "  hierclf demo demo-set --seed 7",
        "  hierclf predict results/runs/one/model demo-set/test_images.zip --out predictions.csv",
        "  hierclf evaluate predictions.csv demo-set/test_labels.csv",
    ]


def test_a_server_of_the_users_own_is_named_and_no_other_started(
    run: Any, screen: io.StringIO
) -> None:
    run.mlflow_uri = "http://mlflow.example:80/"
    run.place = (run.mlflow_uri, "1", "abc")
    summary.print_summary(run, FOUND, held_out(), "registered")
    assert "  http://mlflow.example:80/#/experiments/1/runs/abc" in screen.getvalue().splitlines()
    assert "mlflow ui" not in screen.getvalue()
