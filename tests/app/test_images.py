"""Images that passed the network once are judged as the commands judge them."""

from pathlib import Path

import numpy as np
import pytest

from hierclf.app.images import explain_image, judge_images, see_images
from hierclf.model import load
from hierclf.serving.limits import Limits


@pytest.mark.parametrize("taus", [(0.3, 0.967), (0.05, 0.967), (0.9, 0.9), (0.9, 2.0)], ids=str)
def test_answers_at_any_thresholds_are_those_of_a_prediction_with_them(
    directory: Path, files: list[Path], taus: tuple[float, float]
) -> None:
    model = load(directory, device="cpu")
    seen = see_images(model, files, Limits())
    moved = model.with_thresholds(super_tau=taus[0], sub_tau=taus[1])
    table = moved.predict(files)
    judged = judge_images(moved, seen)
    for number, level in enumerate(("super", "sub")):
        own = [answers[number] for answers in judged]
        assert [answer.name for answer in own] == table[f"{level}class"].tolist()
        novel = (table[f"{level}class"] == "novel").tolist()
        assert [answer.is_novel for answer in own] == novel
        np.testing.assert_array_equal([a.probability for a in own], table[f"{level}_prob"])
        margins = table[f"{level}_score"] - np.float32(taus[number])
        np.testing.assert_allclose([a.margin for a in own], margins, atol=1e-6)
    for number, found in enumerate(moved.explain(files)):
        why = explain_image(moved, seen, number)
        assert why["image"] == files[number].name
        for mine, other in ((why["super"], found["super"]), (why["sub"], found["sub"])):
            assert mine is not None
            assert other is not None
            assert (mine["decision"], mine["remarks"]) == (other["decision"], other["remarks"])
            assert mine["margin"] == pytest.approx(other["margin"], abs=1e-6)
        near = [x["image"] for x in why["neighbours"] or ()]
        assert near == [x["image"] for x in found["neighbours"] or ()]


def test_what_cannot_be_read_is_named_and_the_others_are_answered(
    directory: Path, files: list[Path]
) -> None:
    files[3].write_bytes(b"no image")
    model = load(directory, device="cpu")
    seen = see_images(model, files, Limits())
    assert seen.names == [file.name for file in files if file != files[3]]
    assert len(judge_images(model, seen)) == len(seen.pictures) == 7
    ((name, reason),) = seen.unreadable
    assert name == "3.png"
    assert "not a readable" in reason
    files[0].write_bytes(b"")
    assert judge_images(model, see_images(model, files[:1], Limits())) == []


def test_more_than_the_limits_is_refused(directory: Path, files: list[Path]) -> None:
    model = load(directory, device="cpu")
    with pytest.raises(ValueError, match=r"at most 7 images \(--max-images\), but got 8"):
        see_images(model, files, Limits(max_images=7))
    size = sum(file.stat().st_size for file in files)
    with pytest.raises(ValueError, match=rf"at most {size - 1} bytes .*, but got {size}"):
        see_images(model, files, Limits(max_bytes=size - 1))
    assert len(see_images(model, files, Limits(max_images=8, max_bytes=size)).names) == 8
