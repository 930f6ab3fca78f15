"""Claims about report.html: one file, safe, small, and whole."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hierclf.hierarchy import NOVEL
from hierclf.rules.evidence import KNOWN
from hierclf.run_report.classes import class_rows, confused_pairs, super_confusion
from hierclf.run_report.facts import reliability
from hierclf.run_report.judged import judge
from hierclf.run_report.pictures import load_pictures
from hierclf.run_report.report import write_report
from hierclf.run_report.run_files import read_run
from hierclf.run_report.sheets import MAX_IMAGES, sheets
from tests.browser import figures_in, needs_browser, opened, playground_of, tags_in
from tests.commands_run import error_of, run
from tests.drawn_runs import cache_of, hierarchy, save_run

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\">",
    "'\"><svg onload=document.title='owned'>",
    "{{ 7*7 }} ${document.title='owned'}",
    "\U0001f413 ‮evil‬ & <b>bold</b> \x01",
    "long" * 100,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    table = save_run(folder)
    write_report(folder, [cache_of(table, hierarchy())])
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classes and images have names that strangers chose."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    classes = hierarchy(super_names=HOSTILE[:3], sub_names=HOSTILE)
    images = tuple(f"{i} {name}" for i in range(200) for name in HOSTILE)
    table = save_run(folder, classes=classes, images=images)
    return write_report(folder, [cache_of(table, classes)])


def test_nothing_in_the_page_leads_out_of_it(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|iframe|base|object|form)\b|@import|url\(", text)
    assert set(re.findall(r'src="([a-z]+:[a-z/]+)', text)) == {"data:image/jpeg"}
    assert "default-src 'none'" in text


def test_a_report_of_ten_thousand_images_stays_below_3_mb(tmp_path: Path) -> None:
    table = save_run(tmp_path / "one", n=30_000)  # each image in three folds
    path = write_report(tmp_path / "one", [cache_of(table, hierarchy(), side=32)])
    assert path.stat().st_size < 3e6


@needs_browser
def test_hostile_names_neither_run_nor_break_the_page(hostile: Path) -> None:
    document = opened(hostile)
    assert "<title>one: hierclf report</title>" in document
    tags = tags_in(document)
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert all((x["src"] or "").startswith("data:image/jpeg") for tag, x in tags if tag == "img")
    assert not {"b", "object", "iframe"} & {tag for tag, _ in tags}
    assert [tag for tag, _ in tags].count("script") == 2
    assert "&lt;/script&gt;&lt;img src=x onerror=" in document
    assert len(figures_in(playground_of(document))) == 12


@needs_browser
def test_the_policy_stops_a_script_that_got_into_the_page(folder: Path, tmp_path: Path) -> None:
    text = (folder / "report.html").read_text()
    bad = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    (tmp_path / "bad.html").write_text(text.replace("<main>", f"<main>{bad}"))
    assert "<title>one: hierclf report</title>" in opened(tmp_path / "bad.html")


def test_the_scripts_data_is_strict_json(hostile: Path) -> None:
    (text,) = re.findall(r'id="data">(.*?)</script>', hostile.read_text(), re.DOTALL)
    data = json.loads(text, parse_constant=pytest.fail)
    assert set(data) == {"playground", "reliability", "panels"}


def test_every_section_is_there_and_in_sample_figures_are_named(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    sections = re.findall(r'<section id="(\w+)">', text)
    assert sections[:4] == ["promise", "playground", "classes", "images"]
    assert sections[4:] == ["calibration", "search", "augmentation", "ran"]
    search = text.split('id="search"', 1)[1].split("</section>")[0]
    assert "in-sample" in search.split("Trials", 1)[1]
    assert '<tr class="stopped-early">' in search
    assert "no &lt;memory&gt;" in search
    assert "1e-05 to 0.01, log scale" in search
    assert "nothing that is certain, +1.0 points (-2.0 to +4.0" in search


def test_the_class_table_counts_what_was_judged(folder: Path) -> None:
    files = read_run(folder)
    judged = judge(files)
    rows = {row["name"]: row for row in class_rows(files, judged)}
    table, said = judged.table.frame, judged.found["pred_sub"].to_numpy()
    assert len(rows) == 24
    for label in range(24):
        known = (table["sub_label"].eq(label) & table["sub_known"]).to_numpy()
        new = (table["sub_label"].eq(label) & ~table["sub_known"]).to_numpy()
        row = rows[f"sub {label}"]
        assert (row["n"], row["new_n"]) == (known.sum(), new.sum())
        assert row["right"] == pytest.approx((said[known] == label).mean())
        assert row["novel"] == pytest.approx((said[known] == NOVEL).mean())
        assert row["found"] == pytest.approx((said[new] == NOVEL).mean())
        assert row["reports"] == (label not in (0, 1, 2, 12, 13, 14))  # part 0


def test_the_confusion_of_super_classes_adds_up(folder: Path) -> None:
    files = read_run(folder)
    judged = judge(files)
    found = super_confusion(files, judged)
    assert found["columns"] == ["super 0", "super 1", "super 2", "novel"]
    assert [row["name"] for row in found["rows"]][-1] == "new super-class"
    assert sum(row["n"] for row in found["rows"]) == len(judged.table)
    for row in found["rows"]:
        assert sum(cell["value"] or 0 for cell in row["cells"]) == pytest.approx(1)
    pairs = confused_pairs(files, judged)
    assert [pair["n"] for pair in pairs] == sorted((p["n"] for p in pairs), reverse=True)
    assert all(pair["true"] != pair["taken_for"] for pair in pairs)


def test_sheets_show_mistakes_once_each_the_worst_first(folder: Path) -> None:
    files = read_run(folder)
    judged = judge(files)
    found = sheets(files, judged)
    assert len(found) == 4
    for sheet in found:
        images = [shown.image for shown in sheet.images]
        assert len(images) == len(set(images)) == MAX_IMAGES
    wrong = judged.evidence.kind == KNOWN
    wrong &= (judged.found["pred_sub"] != NOVEL).to_numpy() & ~judged.evidence.sub_right
    sure = judged.table.column("sub_calibrated")[wrong]
    assert found[0].images[0].note == f"{100 * sure.max():.0f} % sure"
    assert not any(shown.right for sheet in found[:2] for shown in sheet.images)


def test_reliability_is_that_of_the_validation_images(folder: Path) -> None:
    files = read_run(folder)
    found = reliability(files)
    val = files.table.frame[files.table.frame["split"] == "val"]
    for level in ("super", "sub"):
        points = found[level]["points"]
        assert sum(point["n"] for point in points) == found[level]["n"] == len(val)
        right = (val[f"{level}_label"] == val[f"{level}_pred"]).mean()
        mean = np.average([p["right"] for p in points], weights=[p["n"] for p in points])
        assert mean == pytest.approx(right)
        assert all(p["low"] <= p["right"] <= p["high"] for p in points)


def test_a_report_is_written_again_from_the_folder_alone(folder: Path) -> None:
    before = (folder / "report.html").read_text()
    result = run("report", folder)
    assert result.stdout.startswith(f"wrote {folder}/report.html")
    after = (folder / "report.html").read_text()
    stamp = r"Written [^.]*\."
    assert re.sub(stamp, "", after) == re.sub(stamp, "", before)
    assert len(load_pictures(folder)) > 30


def test_pictures_that_nobody_kept_are_named(tmp_path: Path) -> None:
    save_run(tmp_path / "one")
    text = write_report(tmp_path / "one").read_text()
    assert "no picture kept" in text
    assert 'id="augmentation"' not in text


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    rule = f"{tmp_path} must be the folder of a finished run"
    said = error_of("report", tmp_path)
    assert said == f"hierclf: error: {rule}, but has no summary.json"
