"""Claims about a model directory's score table: whole, its model's own, and plain data."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.bundle.directory import save_bundle
from hierclf.bundle.score_table_file import load_score_table, save_score_table
from hierclf.hierarchy import UNLABELLED
from hierclf.rules.score_table import ScoreTable
from tests.tiny_models import HIERARCHY, save_tiny_model, sign, tiny_bundle, tiny_table

PARTS = np.array([0, 1, 0, 1])
Edit = Callable[[pa.Table], pa.Table]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def message(directory: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as caught:
        load_score_table(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_column(name: str, values: Any, kind: pa.DataType | None = None) -> Edit:
    def edit(table: pa.Table) -> pa.Table:
        array = pa.array(values(table[name].to_numpy()), type=kind)
        field = pa.field(name, array.type)
        return table.set_column(table.column_names.index(name), field, array)

    return edit


def first(value: Any) -> Callable[[np.ndarray], list[Any]]:
    """Another value in the first row."""
    return lambda values: [value, *values[1:].tolist()]


def test_what_thresholds_need_survives_the_round_trip(model: Path) -> None:
    table = tiny_table().assign(image="secret.png", super_prob=0.5, sub_energy=1.0)
    report = table["fold"] != "sub0"
    save_score_table(model, ScoreTable(table), PARTS, report=report)
    stored, parts, may_report = load_score_table(model)
    rows = stored.frame
    pd.testing.assert_frame_equal(rows, tiny_table()[list(rows)], check_exact=True)
    assert set(tiny_table()) == set(rows)
    assert parts.tolist() == PARTS.tolist()
    assert may_report.tolist() == report.tolist()
    assert b"secret" not in (model / "score_table.parquet").read_bytes()


def test_classes_of_the_users_own_survive_the_round_trip(model: Path) -> None:
    own = tiny_table().tail(30).assign(fold="reference", sub_known=False, super_known=False)
    own["super_label"] = [UNLABELLED] * 10 + [HIERARCHY.n_super] * 20
    own["sub_label"] = HIERARCHY.n_sub + np.arange(30) // 10
    table = pd.concat([tiny_table(), own], ignore_index=True)
    parts = np.append(PARTS, [1, 1, 1])
    save_score_table(model, ScoreTable(table), parts)
    stored = load_score_table(model)
    columns = ["super_label", "sub_label", "sub_known"]
    pd.testing.assert_frame_equal(stored.table.frame[columns], table[columns])
    assert stored.parts.tolist() == parts.tolist()


def test_every_row_may_report_unless_said_otherwise(model: Path) -> None:
    save_score_table(model, ScoreTable(tiny_table()), PARTS)
    assert load_score_table(model).report.all()


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(), tmp_path)
    assert "score_table.parquet must be there" in message(tmp_path)


def test_a_table_of_another_hierarchy_is_refused(model: Path) -> None:
    text = (model / "bundle.json").read_text()
    (model / "bundle.json").write_text(text.replace('"owl"', '"hawk"'))
    assert "made for another hierarchy" in message(model)


def test_saving_another_network_leaves_no_old_table(model: Path) -> None:
    save_bundle(tiny_bundle(), model)
    assert not (model / "score_table.parquet").exists()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (with_column("super_msp", first(float("nan")), pa.float32()), "'super_msp' has 1 rows"),
        (with_column("super_msp", first(None), pa.float32()), "'super_msp' has 1 empty cells"),
        (with_column("sub_knn", lambda v: v, pa.float64()), "'sub_knn' is double, not float"),
        (with_column("fold", lambda v: [b"x"] * len(v)), "'fold' is binary, not string"),
        (with_column("sub_label", first(4)), "'sub_label' must be in 0..3"),
        (with_column("super_pred", first(-1)), "'super_pred' must be in 0..1"),
        (with_column("part", lambda v: range(len(v))), "a sub-class in two parts"),
        (lambda table: table.drop_columns(["sub_known"]), "has 0 columns 'sub_known'"),
        (lambda table: table.append_column("fold", table["fold"]), "has 2 columns 'fold'"),
        (lambda table: table.slice(0, 0), "has no rows"),
        (lambda table: table.replace_schema_metadata(None), "another hierarchy"),
    ],
)
def test_a_table_of_another_form_is_refused(model: Path, edit: Edit, reason: str) -> None:
    path = model / "score_table.parquet"
    pq.write_table(edit(pq.read_table(path)), path)
    sign(model)
    assert reason in message(model)
    assert str(path) in message(model)


def test_a_damaged_file_is_refused(model: Path) -> None:
    path = model / "score_table.parquet"
    content = path.read_bytes()
    for damaged in (b"", b"PAR1", content[: len(content) // 2], b"x" * len(content)):
        path.write_bytes(damaged)
        assert "must match its checksum" in message(model)
        sign(model)
        assert "must be a score table of its model" in message(model)


def test_an_extension_type_is_refused_and_nothing_is_unpickled(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load_score_table(model)
    path = model / "score_table.parquet"
    table = pq.read_table(path)
    array = pa.array(np.zeros((table.num_rows, 1, 1)).tolist(), pa.list_(pa.list_(pa.float32())))
    flat = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((table.num_rows, 2), np.float32))
    at = table.column_names.index("sub_knn")
    for other in (array, flat):
        pq.write_table(table.set_column(at, pa.field("sub_knn", other.type), other), path)
        sign(model)
        assert "'sub_knn' is " in message(model)


def test_more_rows_than_the_limit_are_not_read(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.bundle.score_table_file._MAX_ROWS", len(tiny_table()) - 1)
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    assert "it has 600 rows, more than 599" in message(model)


def test_a_table_that_does_not_fit_is_not_written(model: Path) -> None:
    before = (model / "score_table.parquet").read_bytes()
    for table, parts, reason in (
        (tiny_table().drop(columns="sub_knn"), PARTS, "needs a column 'sub_knn'"),
        (tiny_table(), PARTS[:2], r"every `sub_label` must be in 0..1, but got 0..3"),
    ):
        with pytest.raises(ValueError, match=reason):
            save_score_table(model, ScoreTable(table), parts)
    assert (model / "score_table.parquet").read_bytes() == before
    assert not [path for path in model.iterdir() if path.name.startswith(".")]
