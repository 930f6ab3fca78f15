"""Claims about tables of image files and labels, by names or ids, in every format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hierclf.config import Config, load_config
from hierclf.data.sources import inspect_source, open_source
from hierclf.training.prepare import configured_source
from tests.layouts import SUBS, SUPERS, write_csv
from tests.named_tables import ENDINGS, IMAGES, NAMES, SUB, SUPER, check_is_the_usual_set, table


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_table_of_names_needs_no_mapping(tmp_path: Path, ending: str, as_folder: bool) -> None:
    path = table(tmp_path / f"labels.{ending}", NAMES)
    check_is_the_usual_set(open_source(str(tmp_path if as_folder else path)))


@pytest.mark.parametrize(
    "header",
    [
        ("file_name", "super", "sub"),
        ("Image Path", "Super-Class", "Sub-Class"),
        ("path", "superclass", "label"),
        ("filename", "coarse_label", "fine_label"),
    ],
)
def test_columns_of_obvious_names_are_recognised(tmp_path: Path, header: Sequence[str]) -> None:
    columns = dict(zip(header, NAMES.values(), strict=True)) | {"camera": ["x"] * 6}
    check_is_the_usual_set(open_source(str(table(tmp_path / "photos.csv", columns).parent)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_of_other_names_are_given(tmp_path: Path, ending: str) -> None:
    columns = {"photo": IMAGES, "Genus": SUPER, "species": SUB}
    path = table(tmp_path / f"labels.{ending}", columns)
    given = "image=photo, super=genus, sub=species"
    check_is_the_usual_set(open_source(str(path), columns=given))
    check_is_the_usual_set(open_source(str(tmp_path), columns=given))


def test_columns_that_are_not_given_are_known_by_name(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {"image": IMAGES, "superclass": SUPER, "kind": SUB})
    check_is_the_usual_set(open_source(str(path), columns="sub=kind"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_ids_are_their_own_names(tmp_path: Path, ending: str) -> None:
    columns: dict[str, Sequence[Any]]
    columns = {"image": IMAGES, "super": [4, 4, 4, 4, 2, 2], "sub": [10, 10, 9, 9, 3, 3]}
    known = open_source(str(table(tmp_path / f"a.{ending}", columns))).hierarchy
    assert known.super_names == ("2", "4")
    assert known.sub_ids == (3, 9, 10)
    assert (known.novel_super_id, known.novel_sub_id) == (5, 11)


@pytest.mark.parametrize("by_name", [False, True])
def test_mappings_beside_a_table_give_names_and_ids(tmp_path: Path, by_name: bool) -> None:
    write_csv(tmp_path / "superclass_mapping.csv", ("index", "class"), SUPERS)
    write_csv(tmp_path / "subclass_mapping.csv", ("index", "class"), SUBS)
    sub: list[Any] = ["owl, great"] * 2 + ["hen"] * 2 + ["pug"] * 2
    sub = sub if by_name else [0, 0, 2, 2, 7, 7]
    source = open_source(str(table(tmp_path / "a.jsonl", NAMES | {"subclass": sub})))
    assert source.hierarchy.sub_names == ("owl, great", "hen", "pug")
    assert source.hierarchy.sub_ids == (0, 2, 7)
    assert (source.hierarchy.novel_super_id, source.hierarchy.novel_sub_id) == (5, 3)
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_groups_and_validation_images_work_as_in_a_release(tmp_path: Path) -> None:
    columns = {"group": list("abcadc"), "split": ["train", "val"] * 3}
    source = open_source(str(table(tmp_path / "a.tsv", NAMES | columns)))
    assert source.groups is not None
    assert source.groups.tolist() == [0, 1, 2, 0, 3, 2]
    assert source.is_val is not None
    assert source.is_val.tolist() == [False, True] * 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_test_rows_are_left_out_whatever_their_labels(tmp_path: Path, ending: str) -> None:
    columns = NAMES | {"split": ["train"] * 6}
    more = {"image": "t.png", "superclass": "novel", "subclass": "", "split": "test"}
    columns = {name: [*cells, more[name]] for name, cells in columns.items()}
    source = open_source(str(table(tmp_path / f"a.{ending}", columns)))
    assert source.images == IMAGES
    assert source.is_val is None  # train beside test alone: the run divides
    assert [p.what for p in source.problems] == ["1 test image, for `hierclf evaluate`; left out"]


def test_a_table_for_each_split_is_read(tmp_path: Path) -> None:
    for name, rows in (("train", (0, 2, 4)), ("val", (1, 3, 5))):
        table(
            tmp_path / f"{name}.csv",
            {column: [cells[i] for i in rows] for column, cells in NAMES.items()},
        )
    (tmp_path / "test.csv").write_text("image,superclass,subclass\nx.png,?,?\n")
    source, problems = inspect_source(str(tmp_path))
    assert source is not None
    assert source.is_val is not None
    assert dict(zip(source.images, source.is_val.tolist(), strict=True)) == {
        image: i % 2 == 1 for i, image in enumerate(IMAGES)
    }
    assert [p.where for p in problems] == ["test.csv"]


def test_a_configuration_names_the_columns_for_a_search(tmp_path: Path) -> None:
    path = table(tmp_path / "labels.jsonl", {"photo": IMAGES, "genus": SUPER, "species": SUB})
    columns = "data.columns=image=photo,super=genus,sub=species"
    config = load_config("demo", [f"data.path={path}", columns])
    check_is_the_usual_set(configured_source(config))
    # A resumed run reads what it stored.
    stored = Config.model_validate(config.model_dump(mode="json"))
    check_is_the_usual_set(configured_source(stored))
