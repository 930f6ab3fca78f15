"""Claims about zero-shot classification with a small CLIP that was trained: it works."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.commands_run import run
from tests.small_clip import (
    COLOURS,
    NAME,
    PATTERNS,
    add_small_config,
    draw_picture,
    write_trained_weights,
)

pytestmark = pytest.mark.slow
KNOWN = ("red", "green", "blue", "yellow")


def draw_folder(folder: Path, colours: list[str], *, each: int, seed: int) -> None:
    """`super/sub/*.png` with colours as super-classes."""
    rng = np.random.default_rng(seed)
    for colour in colours:
        for pattern in PATTERNS:
            place = folder / colour / f"{pattern}_{colour}"
            place.mkdir(parents=True)
            for i in range(each):
                Image.fromarray(draw_picture(colour, pattern, rng)).save(place / f"{i}.png")


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("trained")
    add_small_config(folder)
    weights = write_trained_weights(folder / "clip.safetensors", steps=240)
    draw_folder(folder / "known", list(KNOWN), each=12, seed=1)
    draw_folder(folder / "new", list(COLOURS), each=10, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIERCLF_CACHE", str(folder / "cache"))
        clip = ["--model", NAME, "--weights", weights]
        run("zeroshot", folder / "known", *clip, "--out", folder / "model")
        run("predict", folder / "model", folder / "new", "--out", folder / "p.csv")
    table = pd.read_csv(folder / "p.csv")
    table["colour"] = [Path(name).parts[-3] for name in table["image"]]
    table["true"] = [Path(name).parts[-2] for name in table["image"]]
    return table


def test_known_classes_are_named_far_above_chance(predictions: pd.DataFrame) -> None:
    known = predictions[predictions["colour"].isin(KNOWN)]
    assert (known["superclass"] == known["colour"]).mean() > 0.6
    assert (known["subclass"] == known["true"]).mean() > 0.4, "chance is 1 in 12"


def test_colours_without_a_prompt_score_as_novel(predictions: pd.DataFrame) -> None:
    novel = ~predictions["colour"].isin(KNOWN)
    assert roc_auc_score(novel, predictions["super_score"]) > 0.75
    assert (predictions["superclass"][novel] == "novel").mean() > 0.4
