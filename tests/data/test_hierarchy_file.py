"""Claims about data that name sub-classes only: a hierarchy file gives the super-classes."""

from pathlib import Path

import pytest

from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import only_fatal, red_values, tree, write_csv

FLAT = [f"{sub}/{name}.png" for sub in ("hen", "owl", "pug") for name in "ab"]
PAIRS = [("owl", "bird"), ("hen", "bird"), ("pug", "dog")]


def flat(root: Path, images: list[str] = FLAT, *, lines: str | None = None) -> Path:
    tree(root, images)
    if lines is None:
        write_csv(root / "hierarchy.csv", ("sub", "super"), PAIRS)
    else:
        (root / "hierarchy.csv").write_text(lines)
    return root


def check_is_the_usual_set(source: Source) -> None:
    known = source.hierarchy
    assert (known.super_names, known.sub_names) == (("bird", "dog"), ("hen", "owl", "pug"))
    assert known.sub_to_super == (0, 0, 1)
    assert (known.novel_super_id, known.novel_sub_id) == (2, 3)
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert red_values(source) == list(range(6))


def test_folders_of_one_level_with_a_hierarchy_are_a_tree(tmp_path: Path) -> None:
    source = open_source(str(flat(tmp_path)))
    check_is_the_usual_set(source)
    assert source.images == FLAT
    assert source.problems == []


@pytest.mark.parametrize(
    "lines",
    [
        "class,superclass\nowl,bird\nhen,bird\npug,dog\n",
        "Superclass;Subclass;note\nbird;owl;x\nbird;hen;\ndog;pug;\n",
        "sub,super\nowl,bird\nowl,bird\nhen,bird\npug,dog\n",
    ],
)
def test_its_columns_have_many_names(tmp_path: Path, lines: str) -> None:
    check_is_the_usual_set(open_source(str(flat(tmp_path, lines=lines))))


def test_it_may_lie_elsewhere_and_be_any_table(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", FLAT)
    rows = [f'{{"sub": "{sub}", "super": "{parent}"}}' for sub, parent in PAIRS]
    (tmp_path / "classes.jsonl").write_text("\n".join(rows))
    file = str(tmp_path / "classes.jsonl")
    check_is_the_usual_set(open_source(str(root), hierarchy=file))
    with pytest.raises(ValueError, match=r"gone\.csv: no such file"):
        open_source(str(root), hierarchy=str(tmp_path / "gone.csv"))


def test_splits_of_flat_folders_are_read_as_those_of_a_tree(tmp_path: Path) -> None:
    images = [f"{split}/{name}" for split in ("train", "val", "test") for name in FLAT]
    source = open_source(str(flat(tmp_path, [*images, "test/unknown/z.png"])))
    assert source.is_val is not None
    assert [name.startswith("val/") for name in source.images] == source.is_val.tolist()
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    (problem,) = source.problems
    assert problem == ("test", "7 test images, for `hierclf evaluate`; left out", False)


def test_a_table_of_sub_classes_takes_its_super_classes_from_it(tmp_path: Path) -> None:
    root = flat(tmp_path, [f"{i}.png" for i in range(6)])
    rows = [(f"{i}.png", ("hen", "owl", "pug")[i // 2]) for i in range(6)]
    write_csv(root / "labels.csv", ("file_name", "label"), rows)
    for path in (root, root / "labels.csv"):
        check_is_the_usual_set(open_source(str(path)))


def test_accents_may_be_composed_in_another_way_and_case_may_differ(tmp_path: Path) -> None:
    lines = "sub,super\nu\u0308hu,bird\nHEN,bird\npug,dog\n"
    images = [name.replace("owl", "\u00fchu") for name in FLAT]
    source = open_source(str(flat(tmp_path, images, lines=lines)))
    assert set(source.hierarchy.sub_names) == {"hen", "pug", "\u00fchu"}


def test_two_levels_of_folders_need_no_hierarchy(tmp_path: Path) -> None:
    images = [f"{parent}/{sub}/{i}.png" for sub, parent in PAIRS for i in "ab"]
    source = open_source(str(flat(tmp_path, images, lines="sub,super\nowl,other\n")))
    assert source.hierarchy.super_names == ("bird", "dog")


def test_a_file_of_that_name_is_no_error_where_it_is_not_needed(tmp_path: Path) -> None:
    images = [f"{parent}/{sub}/{i}.png" for sub, parent in PAIRS for i in "ab"]
    source = open_source(str(flat(tmp_path, images, lines="level,name\n1,bird\n")))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert [(p.where, p.fatal) for p in source.problems] == [("hierarchy.csv", False)]


def test_a_sub_class_without_images_is_said(tmp_path: Path) -> None:
    lines = "sub,super\nowl,bird\nhen,bird\npug,dog\nlynx,cat\n"
    source = open_source(str(flat(tmp_path, lines=lines)))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.problems == [
        Problem("hierarchy.csv", "1 sub-class has no folder (first: 'lynx')", False)
    ]


# --- near misses -----------------------------------------------------------------------------


def test_one_level_of_folders_without_it_says_what_to_write(tmp_path: Path) -> None:
    problem = only_fatal(tree(tmp_path, FLAT))
    assert problem.where == "hen, owl, pug"
    assert "one level of classes, but two are needed (super/sub/image), or hierarchy.csv" in (
        problem.what
    )
    assert "'sub,super', 'hen,ITS SUPER-CLASS', 'owl,ITS SUPER-CLASS'" in problem.what


def test_splits_of_one_level_without_it_say_what_to_write(tmp_path: Path) -> None:
    problem = only_fatal(
        tree(tmp_path, [f"{split}/{n}" for split in ("train", "val") for n in FLAT])
    )
    assert "hierarchy.csv beside train, val with the lines 'sub,super', 'hen,ITS" in problem.what


def test_every_folder_that_it_does_not_name_is_named(tmp_path: Path) -> None:
    source, problems = inspect_source(str(flat(tmp_path, lines="sub,super\nowl,bird\nhenn,bird\n")))
    assert source is None
    assert [(p.where, p.what) for p in problems if p.fatal][:2] == [
        ("folder 'hen'", "is not in hierarchy.csv; is it 'henn' there?"),
        ("folder 'pug'", "is not in hierarchy.csv"),
    ]


def test_every_row_of_a_table_that_it_does_not_name_is_named(tmp_path: Path) -> None:
    root = flat(tmp_path, [f"{i}.png" for i in range(8)])
    subs = ["hen", "hen", "owl", "owl", "pug", "pug", "lynx", "pugg"]
    write_csv(root / "a.csv", ("image", "sub"), [(f"{i}.png", sub) for i, sub in enumerate(subs)])
    source, problems = inspect_source(str(root))
    assert source is None
    assert problems == [
        Problem("a.csv row 8", "sub-class 'lynx' is not in hierarchy.csv", True),
        Problem(
            "a.csv row 9", "sub-class 'pugg' is not in hierarchy.csv; is it 'pug' there?", True
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ("", "hierarchy.csv", "must have one column for sub-classes and one for super-classes"),
        ("a,b\nowl,bird\n", "hierarchy.csv", "such as sub,super; its columns are a, b"),
        ("sub,class,super\n", "hierarchy.csv", "names no sub-class"),
        ("sub,super\n", "hierarchy.csv", "names no sub-class"),
        ("sub,super\nowl,bird\nOWL,dog\n", "hierarchy.csv row 3", "under super-class 'dog' here"),
        ("sub,super\nowl,bird\nhen,\n", "hierarchy.csv row 3", "the cell of 'super' is empty"),
        ("sub,super\n,bird\n", "hierarchy.csv row 2", "the cell of 'sub' is empty"),
        ("sub,super\nowl\n", "hierarchy.csv row 2", "has 1 cell, but the header has 2"),
    ],
)
def test_a_bad_hierarchy_is_named(tmp_path: Path, lines: str, where: str, what: str) -> None:
    _, problems = inspect_source(str(flat(tmp_path, lines=lines)))
    first = next(problem for problem in problems if problem.fatal)
    assert first.where == where
    assert what in first.what


@pytest.mark.parametrize("name", ["novel", "Novel"])
def test_a_class_named_novel_is_refused(tmp_path: Path, name: str) -> None:
    images = [*FLAT, f"{name}/a.png", f"{name}/b.png"]
    lines = f"sub,super\nowl,bird\nhen,bird\npug,dog\n{name},dog\n"
    _, problems = inspect_source(str(flat(tmp_path, images, lines=lines)))
    assert any("named 'novel'" in problem.what for problem in problems if problem.fatal)
