"""Claims about the class hierarchy and its two numberings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hierclf.hierarchy import NOVEL, Hierarchy, is_novel_name


@pytest.fixture
def hierarchy() -> Hierarchy:
    # The novel ids stand in the middle of the ids: nothing may assume that they come last.
    return Hierarchy(
        super_names=("bird", "dog"),
        sub_names=("hen, biddy", "owl", "pug"),
        sub_to_super=(0, 0, 1),
        super_ids=(7, 2),
        sub_ids=(10, 40, 20),
        novel_super_id=5,
        novel_sub_id=30,
    )


def test_encode_maps_ids_to_indices_and_novel_ids_to_minus_one(hierarchy: Hierarchy) -> None:
    supers, subs = hierarchy.encode([7, 2, 5], [40, 20, 30])
    assert supers.tolist() == [0, 1, NOVEL]
    assert subs.tolist() == [1, 2, NOVEL]
    assert supers.dtype == subs.dtype == np.int64


def test_decode_is_the_inverse_of_encode(hierarchy: Hierarchy) -> None:
    super_ids, sub_ids = hierarchy.decode([0, 1, -1, 0], [0, 2, -1, -1])
    assert super_ids.tolist() == [7, 2, 5, 7]
    assert sub_ids.tolist() == [10, 20, 30, 30]
    assert [a.tolist() for a in hierarchy.encode(super_ids, sub_ids)] == [
        [0, 1, -1, 0],
        [0, 2, -1, -1],
    ]


def test_empty_arrays_pass(hierarchy: Hierarchy) -> None:
    assert [a.shape for a in hierarchy.encode([], [])] == [(0,), (0,)]
    assert [a.shape for a in hierarchy.decode([], [])] == [(0,), (0,)]


@pytest.mark.parametrize("bad", [-1, 6, 999])
def test_encode_refuses_an_unknown_id(hierarchy: Hierarchy, bad: int) -> None:
    with pytest.raises(ValueError, match=f"unknown super-class id {bad}"):
        hierarchy.encode([7, bad], [10, 10])


@pytest.mark.parametrize("bad", [-2, 3])
def test_decode_refuses_an_index_out_of_range(hierarchy: Hierarchy, bad: int) -> None:
    with pytest.raises(ValueError, match=r"must lie in -1\.\.2, but got"):
        hierarchy.decode([0], [bad])


def test_fractions_are_not_ids(hierarchy: Hierarchy) -> None:
    with pytest.raises(ValueError, match="must be integers"):
        hierarchy.encode([7.0], [10])


def test_names_of_minus_one_are_novel(hierarchy: Hierarchy) -> None:
    assert hierarchy.super_name(NOVEL) == hierarchy.sub_name(NOVEL) == "novel"
    assert hierarchy.super_name(1) == "dog"
    assert hierarchy.sub_name(0) == "hen, biddy"


def test_json_round_trip_restores_the_hierarchy(hierarchy: Hierarchy) -> None:
    assert Hierarchy.from_dict(json.loads(json.dumps(hierarchy.to_dict()))) == hierarchy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"super_ids": (7,)}, "but got 1 and 2"),
        ({"sub_ids": (10, 10, 20)}, "sub-class id must be unique, but 10 repeats"),
        ({"sub_names": ("a", "b", "a")}, "sub-class name must be unique, but 'a' repeats"),
        ({"sub_names": ("a", "b", " ")}, "must not be empty"),
        ({"super_names": ("bird", "Novel ")}, "must not be named 'novel'"),
        ({"novel_super_id": 2}, "novel super-class id .* but got 2, the id of 'dog'"),
        ({"sub_to_super": (0, 1)}, "but got 2 and 3"),
        ({"sub_to_super": (0, 0, 2)}, "parent of sub-class 'pug'"),
        ({"sub_to_super": (0, 0, 0)}, "every super-class needs a sub-class, but 'dog' has none"),
        ({"super_names": (), "super_ids": ()}, "at least one super-class"),
    ],
)
def test_an_inconsistent_hierarchy_is_refused(
    hierarchy: Hierarchy, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(hierarchy, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "must have the keys"),
        ({"sub_names": "abc"}, "`sub_names` of a hierarchy must be a list of str"),
        ({"sub_ids": [1.5, 2, 3]}, "`sub_ids` of a hierarchy must be a list of int"),
        ({"novel_sub_id": "3"}, "`novel_sub_id` of a hierarchy must be an integer"),
    ],
)
def test_a_dict_of_another_form_is_refused(
    hierarchy: Hierarchy, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Hierarchy.from_dict(hierarchy.to_dict() | changes)


def test_the_novel_row_is_known_by_name_in_any_case() -> None:
    assert is_novel_name(" NOVEL ")
    assert is_novel_name("novel")
    assert not is_novel_name("novelty")
