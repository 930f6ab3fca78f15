"""Claims about the frame of tests/benchmarks: statistics, order of measuring, files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks.frame import Rounds, Spec, in_turn, summarise, threads
from tests.benchmarks.results_file import circumstances, markdown, update

CPU = torch.device("cpu")


def spec(name: str = "speed", *, more_is_better: bool = False) -> Spec:
    return Spec(name, lambda device: Rounds([], []), "s", more_is_better, "a", "b", "at least 2")


def found(name: str, ours: float) -> dict[str, Any]:
    return summarise(spec(name), Rounds([ours], [2 * ours]), f"run {name}") | circumstances(CPU)


def test_values_are_medians_and_the_spread_is_that_of_single_rounds() -> None:
    rounds = Rounds([1.0, 2.0, 10.0, 2.0, 2.0], [4.0, 6.0, 10.0, 5.0, 6.0])
    result = summarise(spec(), rounds, "command")
    assert (result["ours"], result["theirs"], result["ratio"]) == (2.0, 6.0, 3.0)
    assert (result["low"], result["high"], result["n"]) == (1.0, 4.0, 5)
    assert {"name", "unit", "command"} <= set(result)


def test_a_ratio_above_one_means_better_whatever_the_unit() -> None:
    rounds = Rounds([30.0], [10.0])
    assert summarise(spec(more_is_better=True), rounds, "c")["ratio"] == pytest.approx(3)
    assert summarise(spec(), rounds, "c")["ratio"] == pytest.approx(1 / 3)


def test_without_a_comparison_the_spread_is_that_of_the_value() -> None:
    result = summarise(spec(), Rounds([3.0, 1.0, 2.0], []), "command")
    assert (result["ours"], result["low"], result["high"], result["n"]) == (2.0, 1.0, 3.0, 3)
    assert result["theirs"] is None
    assert result["ratio"] is None


def test_both_are_measured_in_turn_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    rounds = in_turn(lambda: measure("a"), lambda: measure("b"), rounds=3)
    assert order == ["a", "b"] * 4
    assert rounds == Rounds([3.0, 5.0, 7.0], [4.0, 6.0, 8.0])


def test_measuring_one_figure_again_replaces_that_one_only(tmp_path: Path) -> None:
    path, order = tmp_path / "new" / "benchmarks.json", ["a", "b", "c"]
    for name, ours in (("c", 3.0), ("a", 1.0), ("c", 30.0)):
        update(path, found(name, ours), order)
    stored = {item["name"]: item["ours"] for item in json.loads(path.read_text())}
    assert list(stored.items()) == [("a", 1.0), ("c", 30.0)]


def test_the_table_names_every_figure_its_command_versions_and_hardware() -> None:
    text = markdown([found("first", 1.0), found("second", 2.5)])
    assert "| `first` | 1 | 2 | s | 2 | 2 to 2 | 1 | at least 2 |" in text
    assert "`run second`" in text
    assert torch.__version__.partition("+")[0] in text
    assert text.count(" cores of ") == 1, "figures of one machine share a line"


def test_the_number_of_threads_is_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
