"""Claims about zero-shot models, with a small untrained CLIP: prompts, scores, errors, command."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from hierclf.bundle.directory import load_bundle
from hierclf.bundle.score_table_file import load_score_table
from hierclf.data.demo import DEMO_HIERARCHY, demo_arrays
from hierclf.nets.backbones import build_backbone
from hierclf.nets.clip import load_clip
from hierclf.predict import network_outputs
from hierclf.scores.logit import mcm
from hierclf.zeroshot.prompts import embed_classes
from hierclf.zeroshot.words import TEMPLATES
from tests.commands_run import error_of, run
from tests.small_clip import NAME, add_small_config, as_model_sees, write_random_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    add_small_config(folder)
    return write_random_weights(folder / "clip.safetensors")


@pytest.fixture(scope="module")
def clip(weights: Path) -> nn.Module:
    return load_clip(NAME, str(weights))


@pytest.fixture(scope="module")
def written(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("zero")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIERCLF_CACHE", str(folder / "cache"))
        words = ["zeroshot", "demo", "--model", NAME, "--weights", weights]
        shown = run(*words, "--out", folder / "model", "--set", "folds.sub=2").stdout
        assert "new super-class: novel" in shown
        assert re.search(r"mcm > \S+ is a novel super-class, mcm > \S+ a novel sub-class", shown)
        yield folder / "model"


def test_a_class_is_the_mean_over_its_names_of_the_mean_over_templates(clip: nn.Module) -> None:
    more = {"star dotted": ["a bright star"]}
    prompts = embed_classes(clip, NAME, DEMO_HIERARCHY, templates=TEMPLATES, more=more)
    tokenize = open_clip.get_tokenizer(NAME)
    row = DEMO_HIERARCHY.sub_names.index("star dotted")
    names = []
    for name in ("star dotted", "a bright star"):
        parts = []
        for template in TEMPLATES:
            with torch.no_grad():
                vector = clip.encode_text(tokenize([template.format(name)]))[0].double().numpy()  # type: ignore[operator]
            parts.append(vector / np.sqrt((vector**2).sum()))
        mean = np.mean(parts, axis=0)
        names.append(mean / np.sqrt((mean**2).sum()))
    both = np.mean(names, axis=0)
    np.testing.assert_allclose(prompts.sub[row], both / np.sqrt((both**2).sum()), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(prompts.super, axis=1), 1.0, atol=1e-5)


def test_two_classes_with_one_prompt_are_refused(clip: nn.Module) -> None:
    names = list(DEMO_HIERARCHY.sub_names)
    twice = replace(DEMO_HIERARCHY, sub_names=("Mud_turtle", "mud-turtle", *names[2:]))
    with pytest.raises(ValueError, match=r"'Mud_turtle' .* and 'mud-turtle' .* have the same"):
        embed_classes(clip, NAME, twice, templates=TEMPLATES, more={})
    same = {names[0]: ["thing"], names[1]: ["Thing"]}
    with pytest.raises(ValueError, match="every sub-class must have prompts of its own"):
        embed_classes(clip, NAME, DEMO_HIERARCHY, templates=TEMPLATES, more=same)


def test_the_written_model_scores_by_the_papers_formula(written: Path, clip: nn.Module) -> None:
    bundle = load_bundle(written)
    pixels = demo_arrays(3, split="test").images[:20]
    found = network_outputs(bundle, pixels, CPU)
    prompts = embed_classes(clip, NAME, DEMO_HIERARCHY, templates=TEMPLATES, more={})
    with torch.no_grad():
        seen = as_model_sees(clip, torch.from_numpy(pixels).permute(0, 3, 1, 2), mode="bicubic")
        image = clip.encode_image(seen).double().numpy()  # type: ignore[operator]
    image /= np.sqrt((image**2).sum(axis=1, keepdims=True))
    for logits, vectors, level in (
        (found.super_logits, prompts.super, "super"),
        (found.sub_logits, prompts.sub, "sub"),
    ):
        cosines = image @ vectors.T
        np.testing.assert_allclose(logits / 100, cosines, atol=2e-4, err_msg=level)
        shares = np.exp(cosines) / np.exp(cosines).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(mcm(logits), 1 - shares.max(axis=1), atol=1e-4)


def test_hidden_classes_have_no_prompts_and_every_other_image_is_val(written: Path) -> None:
    table = load_score_table(written).table
    known = pd.Series(table.sub.known)
    for fold in np.unique(table.folds):
        rows = table.folds == fold
        predicted = set(table.sub.predictions[rows].tolist())
        hidden = set(table.sub.labels[rows & ~known].tolist())
        assert not predicted & hidden, fold
        if fold.startswith("su"):
            assert len(np.unique(table.sub.labels[rows])) == DEMO_HIERARCHY.n_sub
            assert rows.sum() == 1200


def test_the_written_model_predicts(written: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for i, pixels in enumerate(demo_arrays(3, split="test").images[:12]):
        Image.fromarray(pixels).save(tmp_path / "new" / f"{i}.png")
    out = tmp_path / "predictions.csv"
    run("predict", written, tmp_path / "new", "--out", out)
    table = pd.read_csv(out)
    assert len(table) == 12
    assert set(table["superclass"]) <= {*DEMO_HIERARCHY.super_names, "novel"}


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("ViT-B-3", "none", r"one of open_clip's, but got 'ViT-B-3' \(near it: ViT-B-32"),
        ("ViT-B-32", "nothing", r"but got 'nothing'; its tags: openai, .*laion2b_s34b_b79k"),
        ("ViT-B-32", "openai", "are of ViT-B-32-quickgelu, but the model is ViT-B-32"),
        ("ViT-B-16-plus-240", "bad.pt", "must be in a .safetensors file, which cannot run code"),
        (NAME, "bad.safetensors", "hierclf-test cannot be built with weights"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    given: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("bad.pt", "bad.safetensors"):
        Path(file).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=words) as caught:
        build_backbone(f"open_clip:{name}", given)
    assert "\n" not in str(caught.value)


def test_without_open_clip_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert "pip install 'hierclf[clip]'" in error_of("zeroshot", "demo")


def test_random_weights_and_a_folder_that_exists_are_refused(tmp_path: Path) -> None:
    assert "needs trained weights" in error_of("zeroshot", "demo", "--weights", "none")
    words = error_of("zeroshot", "demo", "--out", tmp_path)
    assert f"--out must not exist, but {tmp_path} does" in words
