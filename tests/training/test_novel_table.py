"""Claims about the score table of a user's own novel images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hierclf.config import parse_config
from hierclf.hierarchy import NOVEL, UNLABELLED
from hierclf.nets.backbones import build_backbone
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table, novel_table
from hierclf.training.folds import REFERENCE
from hierclf.training.prepare import Prepared, prepare
from hierclf.training.reopen import files_of, reopen
from tests.layouts import TREE, png_of, tree

pytestmark = pytest.mark.filterwarnings("ignore:.* images:UserWarning")
CPU = torch.device("cpu")
NAMES = ("msp", "energy")


def made(root: Path, *, frozen: bool) -> tuple[FoldRun, Prepared]:
    """Novel images of a known super-class, of two new ones, and of an unknown one."""
    model: dict[str, Any] = {"backbone": "smallnet", "weights": "none", "image_size": 16}
    if frozen:
        torch.manual_seed(0)
        save_file(build_backbone("smallnet", "none").module.state_dict(), root / "w.safetensors")
        model |= {"weights": str(root / "w.safetensors"), "freeze": "backbone"}
    for i, name in enumerate(("bird/emu/a", "cat/lynx/b", "cat/puma/c", "ape/gibbon/d", "e")):
        file = root / "novel" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png_of(np.full((12, 12, 3), 40 * i, dtype=np.uint8)))
    config = parse_config(
        {
            "data": {"path": str(tree(root / "data", TREE)), "novel": str(root / "novel")},
            "model": model,
            "train": {"views": 1, "epochs": 1},
        }
    )
    prepared = prepare(config, directory=root / "cache", device=CPU)
    run = FoldRun(prepared.folds[REFERENCE], prepared, config, CPU)
    run.train_epoch(1)
    return run, prepared


@pytest.mark.parametrize("frozen", [False, True], ids=["images", "features"])
def test_own_classes_are_numbered_on_from_the_known_ones(tmp_path: Path, frozen: bool) -> None:
    run, _ = made(tmp_path, frozen=frozen)
    table = novel_table(run, NAMES, fit_fold_scores(run, NAMES)).frame.set_index("image")
    n_super, n_sub = run.cache.hierarchy.n_super, run.cache.hierarchy.n_sub
    names = run.cache.hierarchy.super_names
    supers = table["super_label"]
    assert supers["bird/emu/a.png"] == names.index("bird")
    new = supers[["ape/gibbon/d.png", "cat/lynx/b.png"]]
    assert set(new) == {n_super, n_super + 1}
    assert supers["e.png"] == UNLABELLED
    cats = table.loc[["cat/lynx/b.png", "cat/puma/c.png"]]
    assert cats["super_label"].nunique() == 1
    assert cats["sub_label"].nunique() == 2
    assert sorted(table["sub_label"]) == list(range(n_sub, n_sub + 5))
    assert not table["sub_known"].any()
    assert table["super_known"].tolist() == [name.startswith("bird") for name in table.index]
    assert set(table["split"]) == {"held_out"}
    assert set(table["fold"]) == {REFERENCE}


@pytest.mark.parametrize("frozen", [False, True], ids=["images", "features"])
def test_a_known_image_among_the_novel_ones_gets_the_scores_it_has_as_a_known_one(
    tmp_path: Path, frozen: bool
) -> None:
    run, prepared = made(tmp_path, frozen=frozen)
    states = fit_fold_scores(run, NAMES)
    known = fold_table(run, NAMES, states).frame
    assert prepared.novel is not None
    rows = np.array([run.cache.names.index(name) for name in known["image"]])
    copied = replace(
        prepared.novel.cache,
        images=np.asarray(run.cache.images)[rows],
        names=list(known["image"]),
        super_labels=np.full(len(rows), UNLABELLED),
        sub_labels=np.full(len(rows), NOVEL),
    )
    features = None if prepared.features is None else prepared.features[:1, rows]
    novel = prepared.novel._replace(
        cache=copied, classes=np.zeros(len(rows), dtype=np.int64), features=features
    )
    run.prepared = prepared._replace(novel=novel)
    found = novel_table(run, NAMES, states).frame
    for column in ("super_msp", "sub_msp", "super_energy", "sub_energy"):
        np.testing.assert_allclose(found[column], known[column], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frozen", [False, True], ids=["images", "features"])
def test_another_process_opens_the_same_novel_images(tmp_path: Path, frozen: bool) -> None:
    run, prepared = made(tmp_path, frozen=frozen)
    found = reopen(files_of([(run.config, prepared)]), run.config)
    assert found is not None
    assert found.novel is not None
    assert prepared.novel is not None
    assert found.novel.cache.names == prepared.novel.cache.names
    np.testing.assert_array_equal(found.novel.classes, prepared.novel.classes)
    np.testing.assert_array_equal(found.novel.new_supers, prepared.novel.new_supers)
    np.testing.assert_array_equal(found.novel.cache.images, prepared.novel.cache.images)
    np.testing.assert_array_equal(found.novel.cache.super_labels, prepared.novel.cache.super_labels)
    if frozen:
        assert found.novel.features is not None
        assert prepared.novel.features is not None
        np.testing.assert_array_equal(found.novel.features, prepared.novel.features)
