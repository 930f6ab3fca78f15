"""Claims about prediction: the answers, their order, every kind of image, flat memory."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image

from hierclf.data.images import fit_square
from hierclf.data.preprocessing import Preprocessing
from hierclf.nets.inference import pick_device
from hierclf.predict import Encoded, predict_batches, predict_images
from hierclf.rules.answers import COLUMNS
from hierclf.rules.rule import LevelRule, Rule
from hierclf.scores import Score, score_columns
from tests.tiny_models import HIERARCHY, SIZE, encoded, picture, pictures, tiny_bundle


def by_hand(seed: int) -> dict[str, object]:
    """One picture through torchvision's transforms and plain Python."""
    bundle = tiny_bundle()
    assert bundle.rule is not None
    image = torch.from_numpy(np.array(picture(seed))).permute(2, 0, 1)
    view = tv.center_crop(tv.resize(image, [round(SIZE / 0.875)], antialias=True), [SIZE, SIZE])
    with torch.no_grad():
        features, super_logits, sub_logits = bundle.net(view[None] / 255)
    super_probs = super_logits[0].softmax(0).tolist()
    sub_probs = sub_logits[0].softmax(0).tolist()
    super_best = max(range(2), key=super_probs.__getitem__)
    own = [sub for sub in range(4) if HIERARCHY.sub_to_super[sub] == super_best]
    sub_best = max(own, key=sub_probs.__getitem__)
    unit = features[0] / features[0].norm()
    distances = sorted((1 - torch.from_numpy(bundle.states["knn.bank"]) @ unit).tolist())
    super_score, sub_score = 1 - super_probs[super_best], distances[1]
    super_novel = super_score > bundle.rule.super.tau
    sub_novel = super_novel or sub_score > bundle.rule.sub.tau
    return {
        "superclass_index": 1 if super_novel else HIERARCHY.super_ids[super_best],
        "subclass_index": 2 if sub_novel else HIERARCHY.sub_ids[sub_best],
        "superclass": "novel" if super_novel else HIERARCHY.super_names[super_best],
        "subclass": "novel" if sub_novel else HIERARCHY.sub_names[sub_best],
        "super_prob": float((super_logits[0] / 2.0).softmax(0)[super_best]),
        "sub_prob": float((sub_logits[0] / 1.5).softmax(0)[sub_best]),
        "super_score": super_score,
        "sub_score": sub_score,
        "super_novel_prob": 1 / (1 + math.exp(1.0 - 3.0 * super_score)),
        "sub_novel_prob": 1 / (1 + math.exp(1.9 - 2.0 * sub_score)),
    }


def test_predictions_are_those_worked_out_by_hand() -> None:
    table = predict_images(tiny_bundle(), pictures(12))
    assert tuple(table.columns) == COLUMNS
    assert table["image"].tolist() == [f"{seed}.png" for seed in range(12)]
    for seed in range(12):
        row, expected = table.iloc[seed].to_dict(), by_hand(seed)
        for name in COLUMNS[1:5]:
            assert row[name] == expected[name], (seed, name)
        for name in COLUMNS[5:]:
            assert row[name] == pytest.approx(expected[name], abs=2e-3), (seed, name)


def test_the_examples_cover_known_and_novel_answers_of_both_levels() -> None:
    table = predict_images(tiny_bundle(), pictures(12))
    assert set(table["superclass"]) == {"bird", "dog", "novel"}
    novel_sub_only = (table["subclass"] == "novel") & (table["superclass"] != "novel")
    assert novel_sub_only.any()
    assert (table["subclass"] != "novel").any()


def test_a_score_equal_to_tau_is_not_novel() -> None:
    image = pictures(1)
    score = float(predict_images(tiny_bundle(), image)["super_score"][0])
    at = predict_images(tiny_bundle(Rule(LevelRule("msp", score), LevelRule("msp", 1.0))), image)
    lower = float(np.nextafter(np.float32(score), -1))
    below = predict_images(tiny_bundle(Rule(LevelRule("msp", lower), LevelRule("msp", 1.0))), image)
    assert at["superclass"][0] != "novel"
    assert below["superclass"][0] == below["subclass"][0] == "novel"


def test_a_weighted_sum_is_the_sum_of_the_scores_and_decides_by_it() -> None:
    def scores(rule: Rule) -> pd.DataFrame:
        return predict_images(tiny_bundle(rule), pictures(12))

    msp, knn = (
        scores(Rule(LevelRule("msp", 9), LevelRule("msp", 9))),
        scores(Rule(LevelRule("knn", 9), LevelRule("knn", 9))),
    )
    rule = Rule(
        LevelRule("0.5*msp + 2*knn", 2.08), LevelRule("0.25*super.msp + 0.5*msp + knn", 1.2)
    )
    table = scores(rule)
    expected_super = 0.5 * msp["super_score"] + 2 * knn["super_score"]
    expected_sub = 0.25 * msp["super_score"] + 0.5 * msp["sub_score"] + knn["sub_score"]
    np.testing.assert_allclose(table["super_score"], expected_super, rtol=1e-5)
    np.testing.assert_allclose(table["sub_score"], expected_sub, rtol=1e-5)
    novel_super, novel_sub = expected_super > rule.super.tau, expected_sub > rule.sub.tau
    assert (table["superclass"] == "novel").tolist() == novel_super.tolist()
    assert (table["subclass"] == "novel").tolist() == (novel_super | novel_sub).tolist()
    assert 0 < novel_super.sum() < (novel_super | novel_sub).sum() < 12


def test_only_the_scores_of_the_rule_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    real = score_columns

    def watch(*args: Any, scores: dict[str, Score]) -> dict[str, Any]:
        seen.append(set(scores))
        return real(*args, scores=scores)

    monkeypatch.setattr("hierclf.rules.answers.score_columns", watch)
    for rule in (
        Rule(LevelRule("msp", 0), LevelRule("2*super.msp", 0)),
        Rule(LevelRule("msp", 0), LevelRule("msp + super.knn", 0)),
    ):
        predict_images(tiny_bundle(rule), pictures(1))
    assert seen == [{"msp"}, {"msp", "knn"}]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_the_batch_size_changes_no_answer(batch_size: int) -> None:
    expected = predict_images(tiny_bundle(), pictures(13), batch_size=13)
    table = predict_images(tiny_bundle(), pictures(13), batch_size=batch_size)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-4, atol=1e-5)


def test_the_images_inferred_at_a_time_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predict_images(tiny_bundle(), pictures(12))
    monkeypatch.setattr("hierclf.nets.inference.CPU_PIXELS", 5 * SIZE**2)
    sizes, net = list[int](), tiny_bundle()
    net.inference_net.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    table = predict_images(net, pictures(12))
    assert sizes == [5, 5, 2]
    pd.testing.assert_frame_equal(table, expected, rtol=1e-5)


def test_no_images_give_a_table_without_rows() -> None:
    table = predict_images(tiny_bundle(), [])
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 0


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (picture(3).convert("L"), "PNG"),
        (picture(3).convert("CMYK"), "JPEG"),
        (picture(3, (90, 41)), "PNG"),
        (picture(3, (7, 300)), "WEBP"),
        (picture(3).convert("P"), "GIF"),
        (picture(3).convert("RGBA"), "TIFF"),
    ],
    ids=["grey", "cmyk", "wide", "tall", "palette", "alpha"],
)
def test_every_kind_of_image_gets_a_row(image: Image.Image, kind: str) -> None:
    table = predict_images(tiny_bundle(), [("a", encoded(image, kind))])
    assert table["image"].tolist() == ["a"]
    assert table[list(COLUMNS[5:])].notna().all(axis=None)


def test_an_image_of_another_size_is_fitted_as_the_cache_fits_training_images() -> None:
    large = picture(5, (80, 60))
    fitted = Image.fromarray(fit_square(np.asarray(large), SIZE))
    images = [("large", encoded(large)), ("fitted", encoded(fitted))]
    table = predict_images(tiny_bundle(), images)
    assert table.iloc[0, 1:].tolist() == table.iloc[1, 1:].tolist()


def test_an_unreadable_image_stops_and_is_named() -> None:
    images = [*pictures(2), ("bad.jpg", b"no image")]
    with pytest.raises(ValueError, match=r"bad\.jpg must be a readable image: not a readable"):
        predict_images(tiny_bundle(), images)


def test_unreadable_images_are_listed_when_they_may_be_skipped() -> None:
    def missing() -> bytes:
        raise FileNotFoundError(2, "No such file", "gone.png")

    images: list[tuple[str, Encoded]] = [
        pictures(1)[0],
        ("bad", b"no image"),
        ("gone", missing),
        pictures(2)[1],
    ]
    batches = list(predict_batches(tiny_bundle(), images, batch_size=2, skip_unreadable=True))
    assert [table["image"].tolist() for table, _ in batches] == [["0.png"], ["1.png"]]
    assert [[name for name, _ in unreadable] for _, unreadable in batches] == [["bad"], ["gone"]]
    assert batches[1][1][0][1] == "gone.png: No such file"


def test_a_batch_of_unreadable_images_only_gives_no_rows() -> None:
    [(table, unreadable)] = predict_batches(
        tiny_bundle(), [("a", b"x"), ("b", b"")], skip_unreadable=True
    )
    assert len(table) == 0
    assert [name for name, _ in unreadable] == ["a", "b"]


def test_images_are_taken_one_batch_ahead_and_no_further() -> None:
    taken = 0

    def stream() -> Iterator[tuple[str, Callable[[], bytes]]]:
        nonlocal taken
        for name, data in pictures(1) * 40:
            taken += 1
            yield name, lambda data=data: data  # type: ignore[misc]

    batches = predict_batches(tiny_bundle(), stream(), batch_size=4)
    next(batches)
    assert taken == 8
    next(batches)
    assert taken == 12
    batches.close()  # type: ignore[attr-defined]


def test_a_batch_size_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size >= 1 must hold, but got 0"):
        predict_images(tiny_bundle(), [], batch_size=0)


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}'") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_training_images_that_were_not_square_set_the_shape() -> None:
    wide = replace(tiny_bundle(), preprocessing=Preprocessing(24, 48, SIZE, 0.875, "bilinear"))
    large = picture(5, (96, 48))
    fitted = large.resize((48, 24), Image.Resampling.BICUBIC)
    table = predict_images(wide, [("large", encoded(large)), ("fitted", encoded(fitted))])
    assert table.iloc[0, 1:].tolist() == table.iloc[1, 1:].tolist()
