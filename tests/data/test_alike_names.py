"""Claims about classes whose names are alike: said, or made one."""

from pathlib import Path

import pytest

from hierclf.data.sources import open_source
from tests.layouts import parquet, png, release, text_columns, tree

ALIKE = [
    ("Owl", "owl"),
    ("great owl", "great\u3000owl"),  # an ideographic space
    ("great owl", "great  owl"),
    ("\uff4f\uff57\uff4c", "owl"),  # full-width
    ("caf\u00e9", "cafe\u0301"),  # composed and not
    ("stra\u00dfe", "STRASSE"),
    ("great_owl", "great owl"),
    ("great-owl", "Great_Owl"),
    ("owl\u200b", "owl"),  # a space of no width
    ("great \u043ewl", "Great owl"),  # a Cyrillic o among Latin letters
    ("c\u043eb\u0430", "\u0441\u043e\u0432\u0430"),  # Cyrillic: owl; Latin c and b in the first
    ("\u039fwl", "owl"),  # a Greek capital O
]
NOT_ALIKE = [
    ("\u0441\u043e\u0440", "cop"),  # words of two languages
    ("\u03b1", "a"),
    ("5 \u00b5m", "5 mm"),
    ("\u043ewl", "awl"),
]


def table(path: Path, one: str, other: str, parent: str = "bird") -> Path:
    columns = {
        "image": [png(i) for i in range(9)],
        "superclass": ["bird"] * 3 + [parent] * 2 + ["dog"] * 4,
        "subclass": [one] * 3 + [other] * 2 + ["pug"] * 4,
    }
    return parquet(path / "a.parquet", columns)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_alike_are_said_and_stay_apart(tmp_path: Path, one: str, other: str) -> None:
    source = open_source(str(table(tmp_path, one, other)))
    assert source.hierarchy.n_sub == 3
    (problem,) = source.problems
    assert problem.where == "sub-classes"
    assert "data.normalise_names=true makes them one" in problem.what


@pytest.mark.parametrize(("one", "other"), NOT_ALIKE)
def test_words_of_one_alphabet_and_units_are_not_alike(
    tmp_path: Path, one: str, other: str
) -> None:
    assert not open_source(str(table(tmp_path, one, other))).problems


def test_the_letter_of_another_alphabet_is_named(tmp_path: Path) -> None:
    (problem,) = open_source(str(table(tmp_path, "\u043ewl", "owl"))).problems
    assert "'owl', '\u043ewl' (with CYRILLIC SMALL LETTER O) differ in" in problem.what


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_alike_are_made_one_on_demand(tmp_path: Path, one: str, other: str) -> None:
    source = open_source(str(table(tmp_path, one, other)), normalise_names=True)
    assert source.hierarchy.n_sub == 2
    assert source.sub_labels.tolist() == [source.sub_labels[0]] * 5 + [source.sub_labels[8]] * 4
    # The name with more images stays.
    assert source.hierarchy.sub_names[source.sub_labels[0]] == one.strip()


def test_super_classes_alike_are_made_one_with_their_sub_classes(tmp_path: Path) -> None:
    path = table(tmp_path, "owl", "Owl", parent="BIRD")
    said = [problem.where for problem in open_source(str(path)).problems]
    assert said == ["super-classes", "sub-classes"]
    source = open_source(str(path), normalise_names=True)
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.hierarchy.sub_names == ("owl", "pug")


def test_equal_names_under_different_super_classes_are_different_classes(tmp_path: Path) -> None:
    path = table(tmp_path, "small", "Small", parent="cat")
    for normalise in (False, True):
        source = open_source(str(path), normalise_names=normalise)
        assert source.hierarchy.n_sub == 3
        assert not source.problems


def test_folders_and_mappings_are_normalised_too(tmp_path: Path) -> None:
    images = [f"{c}/{i}.png" for c in ("bird/owl", "Bird/owl", "bird/hen", "dog/pug") for i in "01"]
    source = open_source(str(tree(tmp_path / "tree", images)), normalise_names=True)
    assert source.hierarchy.n_super == 2
    assert source.hierarchy.n_sub == 3
    subs = [(0, "hen"), (2, "Hen "), (7, "pug")]
    source = open_source(str(release(tmp_path / "release", subs=subs)), normalise_names=True)
    assert source.hierarchy.sub_names == ("hen", "pug")
    assert source.hierarchy.sub_ids == (0, 7)


def test_without_names_alike_nothing_changes(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text_columns())
    prints = {open_source(str(path), normalise_names=on).fingerprint for on in (False, True)}
    assert len(prints) == 1
