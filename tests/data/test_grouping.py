"""Claims about the columns `group` and `split`, and about groups taken from image names."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hierclf.data.cache import open_cache
from hierclf.data.grouping import groups_by_name
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import ROWS, id_columns, only_fatal, parquet, release

HEADER = ("image", "superclass_index", "subclass_index")


def with_columns(root: Path, **columns: list[str]) -> Path:
    rows = [[*row, *cells] for row, *cells in zip(ROWS, *columns.values(), strict=True)]
    return release(root, rows, header=[*HEADER, *columns])


def same_group(groups: np.ndarray | None) -> set[tuple[int, int]]:
    """The pairs of images that are in one group."""
    assert groups is not None
    return {(i, j) for i in range(len(groups)) for j in range(i) if groups[i] == groups[j]}


def test_a_csv_names_groups_and_validation_images(tmp_path: Path) -> None:
    data = with_columns(
        tmp_path,
        group=["cam 1", "cam 2", "cam 2", "cam 3", "cam 1", "cam 4"],
        split=["train", "val", "Train", "val", "training", "validation"],
    )
    source = open_source(str(data))
    assert same_group(source.groups) == {(2, 1), (4, 0)}
    assert source.is_val is not None
    assert source.is_val.tolist() == [False, True, False, True, False, True]
    assert [p.what for p in source.problems] == [
        "1 group has images in train and in val, which flatters accuracy"
    ]


def test_parquet_names_them_too_by_text_or_by_number(tmp_path: Path) -> None:
    columns: dict[str, Any] = id_columns() | {"group": [7, 8, 7, 9, 10, 11], "split": ["train"] * 6}
    columns["split"] = ["train", "val"] * 3
    source = open_source(str(parquet(tmp_path / "a.parquet", columns)))
    assert same_group(source.groups) == {(2, 0)}
    assert source.is_val is not None
    assert source.is_val.tolist() == [False, True] * 3


def test_a_set_without_these_columns_has_neither(tmp_path: Path) -> None:
    source = open_source(str(release(tmp_path)))
    assert source.groups is None
    assert source.is_val is None


def test_the_cache_keeps_both_on_disk_and_in_a_pickle(tmp_path: Path) -> None:
    data = with_columns(tmp_path / "d", group=list("abcadc"), split=["train", "val"] * 3)
    for _ in range(2):
        cache = open_cache(open_source(str(data)), size=None, directory=tmp_path / "cache")
        for found in (cache, pickle.loads(pickle.dumps(cache))):
            assert same_group(found.groups) == {(3, 0), (5, 2)}
            assert found.is_val is not None
            assert found.is_val.tolist() == [False, True] * 3


def test_other_groups_are_other_data_and_no_groups_are_the_same_as_ever(tmp_path: Path) -> None:
    prints = []
    for name, columns in (
        ("a", {"group": list("abcdef")}),
        ("b", {"group": list("abcdea")}),
        ("c", {"split": ["train", "val"] * 3}),
        ("d", {}),
    ):
        (tmp_path / name).mkdir()
        prints.append(open_source(str(with_columns(tmp_path / name, **columns))).fingerprint)
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("columns", "where", "what"),
    [
        (
            {"group": ["a", "", "b", " ", "c", "d"]},
            "column 'group'",
            "2 cells are empty (first: train_data.csv row 3); every image needs a group",
        ),
        (
            {"group": ["a", "a", "b", "c", "d", "e"]},
            "sub-class 'owl, great'",
            "all its images are in one group, which leaves nothing to validate on",
        ),
        (
            {"split": ["train", "odd", "train", "val", "", "val"]},
            "column 'split'",
            "every cell must be train, val or test, but train_data.csv row 3 holds 'odd' "
            "(and 1 more is neither)",
        ),
        (
            {"split": ["train", "val", "val", "val", "train", "val"]},
            "sub-class 'hen'",
            "the split column leaves it without training images",
        ),
    ],
)
def test_what_cannot_be_divided_is_one_error(
    tmp_path: Path, columns: dict[str, list[str]], where: str, what: str
) -> None:
    assert only_fatal(with_columns(tmp_path, **columns)) == (where, what, True)


def test_sub_classes_without_a_validation_image_are_warned_of(tmp_path: Path) -> None:
    split = ["train", "train", "train", "val", "train", "train"]
    source, problems = inspect_source(str(with_columns(tmp_path, split=split)))
    assert source is not None
    (problem,) = problems
    assert problem.what.startswith("2 sub-classes have no val image")
    assert problem.what.endswith("(first: 'owl, great')")


@pytest.mark.parametrize(
    ("pattern", "pairs"),
    [
        (r"^([a-z]+)_", {(1, 0), (2, 1), (2, 0)}),  # the first capture group
        (r"burst\d", {(1, 0), (3, 2)}),  # without one, the whole match
        (r"burst1|(burst2)", {(3, 2)}),  # a capture group that takes no part names no group
        (r".+", set()),
    ],
)
def test_a_pattern_on_names_gives_groups(pattern: str, pairs: set[tuple[int, int]]) -> None:
    names = ["cat_burst1_a", "cat_burst1_b", "cat_burst2_a", "dog_burst2_b"]
    assert same_group(groups_by_name(names, pattern)) == pairs


def test_a_name_that_the_pattern_does_not_match_is_named() -> None:
    with pytest.raises(ValueError, match=r"2 of 3 do not match \(first: 'b'\)"):
        groups_by_name(["a1", "b", "c"], r"\d")
