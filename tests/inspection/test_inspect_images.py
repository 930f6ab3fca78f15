"""Claims about `hierclf check --images`: what it names, writes and survives."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.browser import needs_browser, opened
from tests.commands_run import error_of, run
from tests.inspection.odd_pictures import HOSTILE, odd_set, planted
from tests.layouts import write_csv


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_set(tmp_path_factory.mktemp("odd") / "photos")


def found_in(photos: Path, out: Path) -> dict[str, list[set[str]]]:
    """Names of images without folders, by kind and group."""
    run("check", photos, "--images", "--json", out)
    content: dict[str, Any] = json.loads(out.read_text())
    return {
        finding["kind"]: [
            {image["image"].rpartition("/")[2] for image in group["images"]}
            for group in finding["groups"]
        ]
        for finding in content["findings"]
    }


def test_every_planted_picture_is_found_as_what_it_is_and_no_other(
    photos: Path, tmp_path: Path
) -> None:
    found = found_in(photos, tmp_path / "found.json")
    for kind in planted():
        # An overexposed picture has little information, too.
        more = [{"overexposed.png"}] if kind == "little_information" else []
        assert set().union(*found[kind]) == set().union({f"{kind}.png"}, *more)
    assert found["unreadable"] == [{"torn.png"}]
    assert found["conflicting_copies"] == [{"2.png", "a hen.png"}]
    assert {frozenset(group) for group in found["copies"]} == {
        frozenset({"1.png", "near 1.jpg"}),
        frozenset({"10.png", "copy of 10.png"}),
    }


def test_zip_table_and_parquet_give_the_same_findings_as_folders(
    photos: Path, tmp_path: Path
) -> None:
    expected = found_in(photos, tmp_path / "folders.json")
    files = [path for path in sorted(photos.rglob("*")) if path.is_file()]
    rows = [(path.name, *path.parts[-3:-1]) for path in files]
    table = tmp_path / "table"
    table.mkdir()
    with zipfile.ZipFile(table / "images.zip", "w") as archive:
        for path in files:
            archive.write(path, path.name)
    write_csv(table / "labels.csv", ("image", "superclass", "subclass"), rows)
    parquet = tmp_path / "set.parquet"
    columns = list(zip(*rows, strict=True))
    content = {"image": [path.read_bytes() for path in files], "name": columns[0]}
    pq.write_table(pa.table(content | {"superclass": columns[1], "subclass": columns[2]}), parquet)
    assert found_in(table, tmp_path / "table.json") == expected
    in_parquet = found_in(parquet, tmp_path / "parquet.json")
    counts = {kind: sorted(map(len, groups)) for kind, groups in expected.items()}
    assert {kind: sorted(map(len, groups)) for kind, groups in in_parquet.items()} == counts


def test_the_text_fits_80_columns_and_names_the_first_images(photos: Path) -> None:
    text = run("check", photos, "--images").stdout
    block = text[text.index("to look at:") :].splitlines()
    assert max(map(len, block)) <= 80
    assert "  One picture, two labels: 2 images" in block
    assert "    bird/hen/odd_shape.png: 220 x 60" in block
    assert "warning: dog/pug/torn.png: " in text


def test_a_set_without_odd_pictures_says_so(tmp_path: Path) -> None:
    photos = odd_set(tmp_path / "photos")
    for path in photos.rglob("*"):
        if path.is_file() and not path.stem.isdigit():
            path.unlink()
    text = run("check", photos, "--images").stdout
    assert "nothing to look at" in text
    assert "no problems" in text


def test_files_without_a_single_readable_image_end_nothing(tmp_path: Path) -> None:
    for name in ("bird/hen", "dog/pug"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    page = tmp_path / "page.html"
    text = run("check", tmp_path / "photos", "--images", "--html", page).stdout
    assert "Unreadable: 4 images" in text
    assert page.read_text().count("no picture") == 4


@needs_browser
def test_hostile_names_are_text_on_the_page_which_loads_nothing(
    tmp_path: Path,
) -> None:
    photos = odd_set(tmp_path / "photos")
    pug = photos / "dog" / "pug"
    (pug / f"copy {HOSTILE}").write_bytes((pug / HOSTILE).read_bytes())
    page = tmp_path / "page.html"
    run("check", photos, "--images", "--html", page)
    source = page.read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in source
    assert "<img src=x" not in source
    document = opened(page)
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in document
    assert document.count('<img src="data:image/jpeg;base64,') >= 10
    assert "://" not in source


def test_a_page_needs_the_option_that_fills_it(tmp_path: Path) -> None:
    assert "--html needs --images" in error_of("check", "demo", "--html", tmp_path / "a.html")
    for option in ("--html", "--json"):
        assert "must end" in error_of("check", "demo", "--images", option, tmp_path / "a.txt")
