"""Claims about class names that Hugging Face's `datasets` writes into Parquet files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.class_labels import class_names
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import fatal, png, red_values, tree, write_csv

# What `Dataset.to_parquet` of datasets 5.2 writes, for these features.
METADATA = (
    '{"info": {"features": {"img": {"_type": "Image"}, "fine_label": {"names": ["owl", "hen", '
    '"pug"], "_type": "ClassLabel"}, "coarse_label": {"names": ["bird", "dog"], "_type": '
    '"ClassLabel"}, "split_no": {"dtype": "int64", "_type": "Value"}}}}'
)
FINE = [0, 0, 1, 1, 2, 2]


def hub_file(path: Path, metadata: str = METADATA, **changes: Any) -> Path:
    images = [{"bytes": png(i), "path": None} for i in range(6)]
    columns = {"img": images, "fine_label": FINE, "coarse_label": [0, 0, 0, 0, 1, 1]}
    columns |= {"split_no": [0] * 6} | changes
    columns = {name: cells for name, cells in columns.items() if cells is not None}
    table = pa.table(columns).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, path, row_group_size=4)
    return path


def test_ids_become_the_names_that_the_file_gives_them(tmp_path: Path) -> None:
    source = open_source(str(hub_file(tmp_path / "a.parquet")))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert red_values(source) == list(range(6))


def test_names_of_the_file_are_those_of_the_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    hub_file(tmp_path / "data" / "train-00000-of-00001.parquet", coarse_label=None)
    rows = [("owl", "bird"), ("hen", "bird"), ("pug", "dog")]
    write_csv(tmp_path / "hierarchy.csv", ("sub", "super"), rows)
    source = open_source(str(tmp_path))
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_files_of_one_set_may_number_the_classes_differently(tmp_path: Path) -> None:
    other = METADATA.replace('"owl", "hen"', '"hen", "owl"')
    hub_file(tmp_path / "train-0.parquet")
    hub_file(tmp_path / "train-1.parquet", other, fine_label=[1, 1, 0, 0, 2, 2])
    source = open_source(str(tmp_path))
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2] * 2


def test_the_usual_columns_of_ids_may_be_named_by_the_file(tmp_path: Path) -> None:
    names = {"superclass_index": {"names": ["bird", "dog"]}}
    names |= {"subclass_index": {"names": ["owl", "hen", "pug"]}}
    metadata = json.dumps({"info": {"features": names}})
    images = [png(i) for i in range(6)]
    columns = {"image": images, "superclass_index": [0, 0, 0, 0, 1, 1], "subclass_index": FINE}
    table = pa.table(columns).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert open_source(str(tmp_path / "a.parquet")).hierarchy.sub_names == ("hen", "owl", "pug")


def test_ids_without_a_name_are_listed_with_their_rows(tmp_path: Path) -> None:
    path = hub_file(tmp_path / "a.parquet", fine_label=[0, 3, 1, 1, -7, 2])
    assert [(problem.where, problem.what) for problem in fatal(path)] == [
        ("a.parquet row 1", "fine_label 3 is not one of the ids 0 to 2 that the file names"),
        ("a.parquet row 4", "fine_label -7 is not one of the ids 0 to 2 that the file names"),
    ]


@pytest.mark.parametrize("id_of_none", [-1, None])
def test_images_without_a_label_are_listed_with_their_rows(
    tmp_path: Path, id_of_none: int | None
) -> None:
    path = hub_file(tmp_path / "a.parquet", fine_label=[0, 0, 1, 1, 2, id_of_none])
    where, what = next((p.where, p.what) for p in fatal(path))
    assert (where, what) == ("a.parquet row 5", "the subclass label is empty")


@pytest.mark.parametrize(
    "metadata",
    [
        *("", "[]", "7", '{"info": 1}', '{"info": {"features": []}}', "[" * 100_000),
        '{"info": {"features": {"fine_label": 1, "coarse_label": {"names": 3}}}}',
        '{"info": {"features": {"fine_label": {"names": ["owl", 1, ""]}}}}',
    ],
)
def test_metadata_of_another_form_leave_the_ids_as_they_are(tmp_path: Path, metadata: str) -> None:
    source = open_source(str(hub_file(tmp_path / "a.parquet", metadata)))
    assert source.hierarchy.sub_names == ("0", "1", "2")


def test_names_are_for_columns_of_integers(tmp_path: Path) -> None:
    path = hub_file(tmp_path / "a.parquet", fine_label=["a", "a", "b", "b", "c", "c"])
    assert class_names(pq.read_schema(path)) == {"coarse_label": ["bird", "dog"]}
    assert open_source(str(path)).hierarchy.sub_names == ("a", "b", "c")


def test_a_table_of_image_files_takes_the_names_of_its_file(tmp_path: Path) -> None:
    tree(tmp_path, [f"{i}.png" for i in range(6)])
    names = [f"{i}.png" for i in range(6)]
    path = hub_file(tmp_path / "labels.parquet", img=None, file_name=names)
    source = open_source(str(path))
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    hub_file(tmp_path / "labels.parquet", img=None, file_name=names, fine_label=[9, 0, 1, 1, 2, 2])
    _, problems = inspect_source(str(path))
    assert "labels.parquet row 0" in {problem.where for problem in problems if problem.fatal}
