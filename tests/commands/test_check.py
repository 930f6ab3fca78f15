"""Claims about the report that `hierclf check` prints."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hierclf.commands.check import check_json, format_check, read_problems
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.data.sources import inspect_source
from hierclf.hierarchy import Hierarchy
from tests.commands_run import run
from tests.layouts import write_csv

HIERARCHY = Hierarchy(
    super_names=("bird", "dog"),
    sub_names=("owl, great", "pug", "hen"),
    sub_to_super=(0, 1, 0),
    super_ids=(0, 4),
    sub_ids=(0, 1, 6),
    novel_super_id=2,
    novel_sub_id=9,
)


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()


def make_source(data: list[bytes], missing: dict[int, str] | None = None) -> Source:
    subs = np.arange(len(data)) % 3

    def read(index: int) -> bytes:
        if missing and index in missing:
            raise ValueError(missing[index])
        return data[index]

    return Source(
        name="made",
        images=[f"{i}.png" for i in range(len(data))],
        super_labels=np.array([0, 1, 0])[subs],
        sub_labels=subs,
        hierarchy=HIERARCHY,
        read=read,
        fingerprint="f",
        problems=[],
        missing=missing or {},
    )


def test_the_report_counts_the_hierarchy() -> None:
    assert format_check(make_source([png(6, 4)] * 8), []).splitlines() == [
        "made: 8 images, 2 super-classes, 3 sub-classes",
        "novel ids: super 2, sub 9",
        "image size: 6 x 4 (8 sampled)",
        "",
        "bird (0): 5 images in 2 sub-classes",
        "  owl, great (0): 3",
        "  hen (6): 2",
        "dog (4): 3 images in 1 sub-class",
        "  pug (1): 3",
        "",
        "no problems",
    ]


def test_different_sizes_are_given_as_a_range() -> None:
    report = format_check(make_source([png(6, 4), png(9, 3), png(7, 8)] * 2), [])
    assert "image size: 6 x 3 to 9 x 8 (6 sampled)" in report


def test_missing_images_do_not_count() -> None:
    report = format_check(make_source([png(4, 4)] * 9, {0: "not there"}), [])
    assert "made: 8 images" in report
    assert "named, but missing: 1 image" in report
    assert "  owl, great (0): 2" in report


def test_every_problem_is_listed_errors_first() -> None:
    problems = [Problem("row 3", "is odd", False), Problem("row 2", "is wrong", True)]
    assert format_check(None, problems).splitlines() == [
        "1 error, 1 warning",
        "  error: row 2: is wrong",
        "  warning: row 3: is odd",
    ]


def test_unreadable_images_are_found_by_reading_them_all() -> None:
    source = make_source([png(4, 4), b"", png(4, 4), b"text", png(4, 5)], {2: "not there"})
    calls: list[tuple[int, int]] = []
    problems = read_problems(source, progress=lambda done, total: calls.append((done, total)))
    assert [problem.where for problem in problems] == ["1.png", "3.png"]
    assert not any(problem.fatal for problem in problems)
    assert calls[-1] == (5, 5)


def test_equal_pixels_under_two_names_are_found() -> None:
    source = make_source([png(4, 4), png(4, 5), png(4, 6), png(4, 4), png(4, 4)])
    assert [(p.where, p.what) for p in read_problems(source)] == [
        ("3.png", "shows the same pixels as '0.png'"),
        ("4.png", "shows the same pixels as '0.png', but has another sub-class"),
    ]


def test_near_copies_are_found_and_listed_after_copies() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(3):
        coarse = Image.fromarray(rng.integers(0, 200, (12, 12, 3), dtype=np.uint8))
        pictures.append(np.asarray(coarse.resize((40, 40))))
    pictures.append(pictures[1] + np.uint8(5))
    source = replace(make_source([b""] * 4), read=pictures.__getitem__)
    assert [(p.where, p.what) for p in read_problems(source)] == [
        ("3.png", "is a near-copy of '1.png', but has another sub-class")
    ]


def test_groups_and_the_users_split_are_counted() -> None:
    source = replace(
        make_source([png(4, 4)] * 6),
        groups=np.array([0, 0, 0, 1, 2, 2]),
        is_val=np.arange(6) == 4,
    )
    lines = format_check(source, []).splitlines()
    assert lines[3:5] == [
        "groups: 5 images in 2 groups of 2 or more",
        "split: 5 train, 1 val",
    ]


def test_of_many_problems_of_one_kind_a_few_are_shown_and_the_rest_counted() -> None:
    problems = [Problem(f"row {i}", f"image '{i}.png' is not there", False) for i in range(40)]
    problems.insert(20, Problem("row 7", "is wrong", True))
    assert format_check(None, problems).splitlines() == [
        "1 error, 40 warnings",
        "  error: row 7: is wrong",
        "  warning: row 0: image '0.png' is not there",
        "  warning: row 1: image '1.png' is not there",
        "  warning: row 2: image '2.png' is not there",
        "  warning: row 3 ... row 39: 37 more of this kind",
    ]


def test_a_set_of_unreadable_images_is_still_reported() -> None:
    assert "none of 6 sampled images can be read" in format_check(make_source([b"x"] * 6), [])


def test_a_path_that_is_not_there_is_reported(tmp_path: Path) -> None:
    source, problems = inspect_source(str(tmp_path / "gone"))
    assert format_check(source, problems).startswith("1 error, 0 warnings\n  error: ")


def test_json_holds_the_same_report() -> None:
    problems = [Problem("row 3", "is odd", False)]
    report = check_json(make_source([png(4, 4)] * 9, {0: "not there"}), problems)
    assert (report["source"], report["images"], report["missing"]) == ("made", 8, 1)
    named = [(row["superclass"], row["subclass"], row["images"]) for row in report["classes"]]
    assert named == [("bird", "owl, great", 2), ("dog", "pug", 3), ("bird", "hen", 3)]
    ids = [(row["superclass_index"], row["subclass_index"]) for row in report["classes"]]
    assert ids == [(0, 0), (4, 1), (0, 6)]
    assert report["problems"] == [{"where": "row 3", "what": "is odd", "fatal": False}]


def test_json_is_written_of_data_that_cannot_be_used_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "labels.csv", ("image", "superclass", "subclass"), [("no.png", "a", "b")])
    run("check", tmp_path, "--json", tmp_path / "report.json", code=1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert any(problem["fatal"] for problem in report["problems"])
