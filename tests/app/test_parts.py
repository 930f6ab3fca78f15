"""What the page shows holds no markup but its own."""

from pathlib import Path

from hierclf.app.images import explain_image, judge_images, see_images
from hierclf.app.moves import read_moves
from hierclf.app.parts import answers, figures, reasons
from hierclf.model import load
from hierclf.serving.limits import Limits
from tests.tiny_models import encoded, picture

EVIL = "<img src=x onerror=alert(1)>"


def test_names_cannot_form_markup(directory: Path, files: list[Path]) -> None:
    evil = files[0].with_name(f"{EVIL}.png")
    files[0].rename(evil)
    (files[0].parent / f"{EVIL}.txt").write_bytes(b"no image")
    model = load(directory, device="cpu")
    seen = see_images(model, [evil, evil.with_suffix(".txt")], Limits())
    text = answers(seen, judge_images(model, seen)) + reasons(explain_image(model, seen, 0), None)
    assert "<img src=x" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") == 3


def test_training_images_are_shown_where_they_are_found(directory: Path, files: list[Path]) -> None:
    model = load(directory, device="cpu")
    explanation = explain_image(model, see_images(model, files, Limits()), 0)
    names = [near["image"] for near in explanation["neighbours"] or []]
    assert len(names) > 1
    assert "--training-images" in reasons(explanation, None)
    damaged = {names[0]: lambda: encoded(picture(1)), names[1]: lambda: b"no image"}
    text = reasons(explanation, damaged)
    assert text.count("<img") == 1
    assert all(name in text for name in names)
    assert "--training-images" not in text


def test_without_figures_the_reason_stands_in_their_place(directory: Path) -> None:
    (directory / "score_table.parquet").unlink()
    moves = read_moves(load(directory, device="cpu"), directory)
    text = figures(moves, moves.to(0.5, 0.5))
    assert "<table>" not in text
    assert "score_table.parquet" in text
    assert "--super-tau=0.5 --sub-tau=0.5" in text
