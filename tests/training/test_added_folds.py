"""Claims about folds after classes were added: old images stay where they were, new ones hide."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierclf.hierarchy import Hierarchy
from hierclf.training.added_folds import may_report, with_added
from hierclf.training.folds import folds_hiding, reference_fold
from hierclf.training.hidden_classes import Hidden, plan_hidden


def hierarchy_of(parents: list[int]) -> Hierarchy:
    n_super = max(parents) + 1
    return Hierarchy(
        super_names=tuple(f"super {i}" for i in range(n_super)),
        sub_names=tuple(f"sub {i}" for i in range(len(parents))),
        sub_to_super=tuple(parents),
        super_ids=tuple(range(n_super)),
        sub_ids=tuple(range(len(parents))),
        novel_super_id=n_super,
        novel_sub_id=len(parents),
    )


def planned(parents: list[int], *, sub: int = 3, mixed: int = 1) -> Hidden:
    hierarchy = hierarchy_of(parents)
    return plan_hidden(hierarchy, sub_folds=sub, super_folds=9, mixed_folds=mixed, seed=0)


@st.composite
def additions(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Parents of known sub-classes, two of a super-class at least, and of added ones."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5).filter(lambda x: max(x) > 1))
    parents = [i for i, size in enumerate(sizes) for _ in range(size)]
    added: list[int] = []
    for _ in range(draw(st.integers(1, 4))):
        added.append(draw(st.integers(0, max([*parents, *added]) + 1)))
    return parents, added


@given(additions())
@settings(max_examples=60, deadline=None)
def test_known_classes_are_hidden_where_they_were(case: tuple[list[int], list[int]]) -> None:
    parents, added = case
    before = planned(parents)
    after = with_added(before, np.array([*parents, *added]), super_folds=9)
    np.testing.assert_array_equal(after.parts[: len(parents)], before.parts)
    sizes = np.bincount(parents)[parents]
    for name, mask in before.folds.items():
        # The only sub-class of a super-class could not be hidden alone; with a sibling it can.
        same = after.folds[name][: len(parents)] == mask
        assert same[sizes > 1].all()


@given(additions())
@settings(max_examples=60, deadline=None)
def test_every_added_class_is_hidden_and_no_sub_fold_hides_a_whole_super_class(
    case: tuple[list[int], list[int]],
) -> None:
    parents, added = case
    now = np.array([*parents, *added])
    after = with_added(planned(parents), now, super_folds=9)
    for name, mask in after.folds.items():
        whole = [s for s in range(now.max() + 1) if mask[now == s].all()]
        assert len(whole) == (0 if name.startswith("sub") else 1)
    hidden_by_sub = sum(m.astype(int) for n, m in after.folds.items() if n.startswith("sub"))
    np.testing.assert_array_equal(hidden_by_sub, np.bincount(now)[now] > 1)
    if now.max() + 1 > 2:
        hidden_whole = [m for n, m in after.folds.items() if n.startswith("super")]
        np.testing.assert_array_equal(np.sum(hidden_whole, axis=0), np.ones(len(now)))


@given(additions())
@settings(max_examples=60, deadline=None)
def test_parts_do_not_depend_on_how_many_are_added_at_once(
    case: tuple[list[int], list[int]],
) -> None:
    parents, added = case
    all_at_once = with_added(planned(parents), np.array([*parents, *added]), super_folds=9)
    hidden = planned(parents)
    for end in range(1, len(added) + 1):
        hidden = with_added(hidden, np.array([*parents, *added[:end]]), super_folds=9)
    np.testing.assert_array_equal(hidden.parts, all_at_once.parts)


def test_images_of_known_classes_are_trained_and_validated_on_in_the_same_folds() -> None:
    parents, added = [0, 0, 0, 1, 1, 1, 2, 2, 2], [1, 3, 3]
    before = planned(parents)
    now = np.array([*parents, *added])
    after = with_added(before, now, super_folds=9)
    old = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 10))
    every = np.append(old, np.repeat([9, 10, 11], 8))
    options: dict[str, Any] = {"val_fraction": 0.2, "seed": 3}
    first = {f.name: f for f in folds_hiding(before.folds, np.array(parents)[old], old, **options)}
    second = {f.name: f for f in folds_hiding(after.folds, now[every], every, **options)}
    first["reference"] = reference_fold(np.array(parents)[old], old, **options)
    second["reference"] = reference_fold(now[every], every, **options)
    assert set(second) - set(first) == {"super3"}
    for name, fold in first.items():
        for rows in ("train", "val", "held_out"):
            then = getattr(second[name], rows)
            np.testing.assert_array_equal(then[then < len(old)], getattr(fold, rows))


def test_an_added_class_is_in_no_part_that_the_search_saw_while_another_is_free() -> None:
    parents = [0, 0, 0, 1, 1, 1]
    after = with_added(planned(parents), np.array([*parents, 2, 2]), super_folds=9)
    assert 0 not in after.parts[6:]
    assert after.parts[6] != after.parts[7]
    # Where its sibling is in the only other part, both together would hide the super-class.
    hidden = Hidden(np.array([1, 0, 1]), planned([0, 1, 1], sub=2).folds)
    crowded = with_added(hidden, np.array([0, 1, 1, 0]), super_folds=9)
    assert crowded.parts.tolist() == [1, 0, 1, 0]


def test_rows_that_chose_hyper_parameters_do_not_report() -> None:
    folds = np.array(["sub0", "sub1", "super0", "super1", "super1"])
    parts = np.array([1, 1, 1, 0, 2])
    assert may_report(folds, parts, ["sub0", "super0"]).tolist() == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert may_report(folds, parts, ["sub0"]).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("super_folds", [0, 2])
def test_without_super_folds_none_is_made(super_folds: int) -> None:
    hidden = plan_hidden(hierarchy_of([0, 0, 1, 1]), sub_folds=2, super_folds=super_folds, seed=0)
    after = with_added(hidden, np.array([0, 0, 1, 1, 2]), super_folds=super_folds)
    made = [name for name in after.folds if name.startswith("super")]
    assert made == (["super0", "super1", "super2"] if super_folds else [])
