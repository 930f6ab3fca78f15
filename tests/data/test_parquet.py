"""Claims about labelled images in Parquet files."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.sources import open_source
from tests.layouts import (
    ROWS,
    SUBS,
    SUPERS,
    fatal,
    id_columns,
    only_fatal,
    parquet,
    png,
    red_values,
    text_columns,
    write_csv,
)


def test_parquet_with_text_labels_is_read(tmp_path: Path) -> None:
    source = open_source(str(parquet(tmp_path / "a.parquet", text_columns())))
    assert source.images == [str(i) for i in range(6)]
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert (source.hierarchy.novel_super_id, source.hierarchy.novel_sub_id) == (2, 3)
    assert red_values(source) == list(range(6))


def test_parquet_with_categories_and_a_struct_of_bytes_is_read(tmp_path: Path) -> None:
    columns = text_columns()
    columns["image"] = [{"bytes": png(i), "path": "x.png"} for i in range(6)]
    columns["superclass"] = pa.array(columns["superclass"]).dictionary_encode()
    source = open_source(str(parquet(tmp_path / "a.parquet", columns)))
    assert red_values(source) == list(range(6))
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_parquet_with_ids_names_classes_by_id(tmp_path: Path) -> None:
    source = open_source(str(parquet(tmp_path / "a.parquet", id_columns())))
    assert source.hierarchy.sub_names == ("0", "2", "7")
    assert source.hierarchy.novel_sub_id == 8
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_folder_of_parquet_files_takes_its_mappings_and_train_files(tmp_path: Path) -> None:
    write_csv(tmp_path / "superclass_mapping.csv", ("index", "class"), SUPERS)
    write_csv(tmp_path / "subclass_mapping.csv", ("index", "class"), SUBS)
    columns = id_columns() | {"image_name": [str(row[0]) for row in ROWS]}
    for part in range(2):
        cut = {name: values[3 * part : 3 * part + 3] for name, values in columns.items()}
        parquet(tmp_path / f"train-{part}.parquet", cut)
    parquet(tmp_path / "test-0.parquet", columns)
    source = open_source(str(tmp_path))
    assert source.images == [row[0] for row in ROWS]
    assert source.hierarchy.sub_names == ("owl, great", "hen", "pug")
    assert source.hierarchy.novel_sub_id == 3
    assert red_values(source) == list(range(6))
    assert [problem.where for problem in source.problems] == ["test-0.parquet"]


def test_repeated_names_give_way_to_row_numbers(tmp_path: Path) -> None:
    columns = text_columns() | {"path": ["same.png"] * 6}
    source = open_source(str(parquet(tmp_path / "a.parquet", columns)))
    assert source.images == [str(i) for i in range(6)]
    assert len(source.problems) == 1


def test_a_row_without_bytes_fails_alone(tmp_path: Path) -> None:
    columns = text_columns()
    columns["image"][3] = None
    source = open_source(str(parquet(tmp_path / "a.parquet", columns)))
    with pytest.raises(ValueError, match="no image bytes"):
        source.read(3)
    assert source.read(2) == png(2)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.uint8()),
        pa.large_list(pa.uint8()),
        pa.large_binary(),
        pa.binary_view(),
        pa.struct([("bytes", pa.list_(pa.uint8())), ("path", pa.string())]),
    ],
)
def test_bytes_may_be_of_any_type(tmp_path: Path, kind: Any) -> None:
    def cell(data: bytes) -> Any:
        inner = kind.field("bytes").type if pa.types.is_struct(kind) else kind
        value: Any = (
            list(data) if pa.types.is_list(inner) or pa.types.is_large_list(inner) else data
        )
        return {"bytes": value, "path": "x"} if pa.types.is_struct(kind) else value

    columns = text_columns()
    columns["image"] = pa.array([cell(data) for data in columns["image"]], type=kind)
    columns["superclass"] = pa.array(columns["superclass"], type=pa.string_view())
    columns["subclass"] = pa.array(columns["subclass"]).cast(pa.large_string())
    try:
        file = parquet(tmp_path / "a.parquet", columns)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"this pyarrow cannot write it: {error}")
    source = open_source(str(file))
    assert red_values(source) == list(range(6))
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")


def test_fixed_size_bytes_are_read(tmp_path: Path) -> None:
    data = [png(i) for i in range(6)]
    size = max(map(len, data))
    padded = [item.ljust(size, b"\0") for item in data]
    columns = text_columns() | {"image": pa.array(padded, type=pa.binary(size))}
    assert red_values(open_source(str(parquet(tmp_path / "a.parquet", columns)))) == list(range(6))


def test_ids_may_be_floats_as_after_a_join(tmp_path: Path) -> None:
    columns = id_columns()
    columns["superclass_index"] = [float(i) for i in columns["superclass_index"]]
    path = parquet(tmp_path / "a.parquet", columns)
    assert open_source(str(path)).hierarchy.super_ids == (0, 1)
    columns["superclass_index"] = [0.0, 0.0, 0.0, 0.5, 1.0, float("nan")]
    where = [(p.where, p.what) for p in fatal(parquet(tmp_path / "b.parquet", columns))]
    assert where[:2] == [
        ("b.parquet row 3", "superclass label '0.5' is not an integer"),
        ("b.parquet row 5", "the superclass label is empty"),
    ]


def test_files_in_a_data_folder_are_read_as_the_hub_has_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", text_columns())
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", text_columns())
    source = open_source(str(tmp_path))
    assert len(source.images) == 6
    assert [problem.where for problem in source.problems] == ["test-00000-of-00001.parquet"]


def test_hive_folders_are_columns(tmp_path: Path) -> None:
    columns = text_columns()
    for parent in ("bird", "dog"):
        for split in ("train", "val"):
            folder = tmp_path / f"superclass={parent}" / f"split={split}"
            folder.mkdir(parents=True)
            of = [i for i in range(6) if columns["superclass"][i] == parent]
            chosen = of if split == "train" else of[:2]
            names = ("image", "subclass")
            parquet(folder / "part-0.parquet", {n: [columns[n][i] for i in chosen] for n in names})
    source = open_source(str(tmp_path))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.is_val is not None
    assert source.is_val.tolist() == [False] * 4 + [True] * 2 + [False] * 2 + [True] * 2
    assert red_values(source) == [0, 1, 2, 3, 0, 1, 4, 5, 4, 5]


def test_a_column_in_some_files_only_is_named(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", text_columns())
    parquet(tmp_path / "b.parquet", text_columns() | {"group": list("abcdef")})
    assert "column 'group' is in some of its files only" in only_fatal(tmp_path).what


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"subclass": ["owl", None, "hen", "hen", "pug", "pug"]}, "subclass label is empty"),
        ({"subclass": ["owl", "owl", "hen", "hen", "pug", "Novel"]}, "is 'novel'"),
        ({"subclass": ["owl", "owl", "hen", "owl", "owl", "pug"]}, "'owl' is under super-class"),
        ({"subclass": [0, 0, 1, 1, 2, 2]}, "column 'subclass' must hold text, but holds int64"),
        ({"image": ["text"] * 6}, "named images cannot be found"),
        ({"image": [b"x"] * 6, "superclass": ["bird"] * 6}, "the super head needs at least 2"),
    ],
)
def test_bad_parquet_content_is_named(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    path = parquet(tmp_path / "a.parquet", text_columns() | changes)
    assert any(what in problem.what for problem in fatal(path))


def test_parquet_rows_are_named_by_number(tmp_path: Path) -> None:
    columns = text_columns()
    columns["subclass"][1] = ""
    assert fatal(parquet(tmp_path / "a.parquet", columns))[0].where == "a.parquet row 1"


def test_missing_label_columns_are_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"image": [b"x"], "label": ["a"]})
    problem = only_fatal(path)
    assert problem.where == "a.parquet"
    assert "to hold the super-class; its columns are image, label" in problem.what


@pytest.mark.parametrize("as_folder", [False, True])
def test_label_columns_of_other_names_are_given_or_known(tmp_path: Path, as_folder: bool) -> None:
    texts = text_columns()
    jpg = [{"bytes": data, "path": None} for data in texts["image"]]
    columns = {"JPG": jpg, "Genus": texts["superclass"], "species": texts["subclass"]}
    path = parquet(tmp_path / "a.parquet", columns)
    place = str(tmp_path if as_folder else path)
    source = open_source(place, columns="image=jpg,super=genus,sub=species")
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert red_values(source) == list(range(6))
    path.unlink()
    columns = {"image": jpg, "coarse_label": [0] * 4 + [1] * 2, "fine_label": [4, 4, 3, 3, 9, 9]}
    parquet(path, columns)
    source = open_source(place)
    assert source.hierarchy.sub_ids == (3, 4, 9)
    assert source.hierarchy.novel_sub_id == 10
    assert red_values(source) == list(range(6))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no, not really PAR1")
    assert "cannot be read as Parquet" in only_fatal(path).what


def test_parquet_bytes_come_by_row_group_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "a.parquet", text_columns())
    groups: list[int] = []
    original = pq.ParquetFile.read_row_group

    def record(self: Any, group: int, **options: Any) -> Any:
        groups.append(group)
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", record)
    source = open_source(str(path))
    assert groups == []
    assert red_values(source) == list(range(6))
    assert groups == [0, 1, 2]


def test_files_of_sub_classes_take_their_super_classes_from_a_hierarchy(tmp_path: Path) -> None:
    columns = {"image": text_columns()["image"], "label": text_columns()["subclass"]}
    write_csv(tmp_path / "hierarchy.csv", ("sub", "super"), [("owl", "bird"), ("hen", "bird")])
    path = parquet(tmp_path / "a.parquet", columns)
    found = [(p.where, p.what) for p in fatal(path)]
    assert found[:2] == [
        (f"a.parquet row {row}", "sub-class 'pug' is not in hierarchy.csv") for row in (4, 5)
    ]
    with (tmp_path / "hierarchy.csv").open("a") as file:
        file.write("pug,dog\n")
    for place in (path, tmp_path):
        source = open_source(str(place))
        assert source.hierarchy.super_names == ("bird", "dog")
        assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
