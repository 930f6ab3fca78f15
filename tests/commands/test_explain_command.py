"""Claims about `hierclf explain`: what it prints, writes and refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import hierclf
from hierclf.bundle.directory import save_bundle
from hierclf.rules.rule import LevelRule, Rule
from tests.commands_run import error_of, run
from tests.tiny_models import (
    TRAINING_IMAGES,
    encoded,
    picture,
    pictures,
    save_tiny_model,
    tiny_bundle,
)

FUSED = Rule(LevelRule("0.5*msp + 2*knn", 2.08), LevelRule("0.25*super.msp + 0.5*msp + knn", 1.2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explain")
    save_tiny_model(root / "model", FUSED)
    (root / "photos").mkdir()
    for name, data in pictures(6):
        (root / "photos" / name).write_bytes(data)
    return root


def test_json_is_what_the_api_gives(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.json"
    assert "wrote" in run("explain", folder / "model", folder / "photos", "--json", out).stdout
    printed = run("explain", folder / "model", folder / "photos", "--json", "-").stdout
    assert printed == out.read_text()
    model = hierclf.load(folder / "model", device="cpu")
    assert json.loads(printed) == {
        "missing": list(model.background.missing),
        "images": model.explain(folder / "photos"),
    }


def test_text_names_every_image_level_term_and_fits_into_80_columns(folder: Path) -> None:
    photos = [folder / "photos" / f"{index}.png" for index in range(2)]
    text = run("explain", folder / "model", *photos).stdout
    model = hierclf.load(folder / "model", device="cpu")
    for photo, explanation in zip(photos, model.explain(photos), strict=True):
        sup, sub = explanation["super"], explanation["sub"]
        assert sup is not None
        assert sub is not None
        assert f"{photo}: {sup['decision']} / {sub['decision']}\n" in text
        for title, level in (("super-class", sup), ("sub-class", sub)):
            assert f"  {title}: {level['decision']}\n" in text
            for term in level["terms"]:
                assert f"    {term['name']} " in text
    assert all(len(line) <= 80 for line in text.splitlines() if line.startswith(" "))


def test_a_sub_class_that_is_novel_by_its_super_class_is_known_by_itself(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", Rule(LevelRule("msp", -1.0), LevelRule("knn", 9.0)))
    (tmp_path / "0.png").write_bytes(pictures(1)[0][1])
    text = run("explain", tmp_path / "model", tmp_path / "0.png").stdout
    assert f"{tmp_path}/0.png: novel / novel\n" in text
    assert " above the threshold -1.00: novel\n" in text
    assert " below the threshold 9.00: known by itself\n" in text
    assert "The sub-class is novel because the super-class is" in text


def test_an_unreadable_image_is_one_line_and_the_others_are_explained(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    good = folder / "photos" / "0.png"
    result = run("explain", folder / "model", tmp_path / "bad.png", good)
    errors = result.stderr.splitlines()
    assert [line for line in errors if line.startswith(f"unreadable: {tmp_path}/bad.png: ")]
    assert f"{good}: " in result.stdout
    written = run("explain", folder / "model", tmp_path / "bad.png", good, "--json", "-").stdout
    assert [e["error"] is None for e in json.loads(written)["images"]] == [False, True]


def test_bad_input_is_one_line(folder: Path, tmp_path: Path) -> None:
    image = folder / "photos" / "0.png"
    assert "must be a model directory" in error_of("explain", tmp_path / "none", image)
    assert "there is no file" in error_of("explain", folder / "model", tmp_path / "none.png")
    assert "--json must end in .json" in error_of(
        "explain", folder / "model", image, "--json", tmp_path / "why.txt"
    )
    save_bundle(replace(tiny_bundle(), rule=None), tmp_path / "model")
    assert "must hold thresholds.json" in error_of("explain", tmp_path / "model", image)


def test_no_readable_image_is_an_error_and_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    out = tmp_path / "why.json"
    for options in ([], ["--json", out]):
        result = run("explain", folder / "model", tmp_path / "bad.png", *options, code=2)
        assert "at least one image must be readable, but none of 1 is" in result.stderr
    assert not out.exists()


def test_the_page_needs_no_network_and_shows_the_images_and_their_neighbours(
    folder: Path, tmp_path: Path
) -> None:
    for index, name in enumerate(TRAINING_IMAGES):
        (tmp_path / "training" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "training" / name).write_bytes(encoded(picture(100 + index)))
    (tmp_path / "<b>.png").write_bytes(pictures(1)[0][1])
    (tmp_path / "bad.png").write_bytes(b"no image")
    out, image = tmp_path / "why.html", tmp_path / "<b>.png"
    for options, count in (([], 1), (["--training-images", tmp_path / "training"], 4)):
        run("explain", folder / "model", tmp_path / "bad.png", image, "--html", out, *options)
        page = out.read_text()
        assert page.count('<img alt="" src="data:image/jpeg;base64,') == count
        assert "://" not in page
        assert "&lt;b&gt;.png: " in page
        assert "<b>" not in page
        assert "bad.png" not in page
    assert "--html must end in .html" in error_of(
        "explain", folder / "model", image, "--html", tmp_path / "why.txt"
    )
    assert "must not be given together" in error_of(
        "explain", folder / "model", image, "--html", out, "--json", "-"
    )
    assert "--training-images needs --html" in error_of(
        "explain", folder / "model", image, "--training-images", tmp_path
    )
