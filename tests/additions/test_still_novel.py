"""Claims about a user's own novel images after classes were added: those of known classes go."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from hierclf.additions.grow import add_classes
from hierclf.additions.labelled import new_images
from hierclf.additions.novel import still_novel
from hierclf.bundle.score_table_file import load_score_table
from hierclf.data.cache import ImageCache
from hierclf.hierarchy import NOVEL, UNLABELLED
from hierclf.training.novel_images import NovelImages
from tests.additions.conftest import Drawn
from tests.grown_models import train_model
from tests.tiny_models import HIERARCHY

# Its sub-classes are hen, biddy and owl (bird), pug and collie (dog).
GROWN = replace(
    HIERARCHY,
    super_names=(*HIERARCHY.super_names, "fish"),
    sub_names=(*HIERARCHY.sub_names, "emu", "eel"),
    sub_to_super=(*HIERARCHY.sub_to_super, 0, 2),
    super_ids=(*HIERARCHY.super_ids, 3),
    sub_ids=(*HIERARCHY.sub_ids, 5, 6),
)


def cache_of(digests: list[int], super_labels: list[int]) -> ImageCache:
    n = len(digests)
    return ImageCache(
        images=np.zeros((n, 4, 4, 3), np.uint8),
        names=[f"{i}.png" for i in range(n)],
        super_labels=np.array(super_labels),
        sub_labels=np.full(n, NOVEL),
        hierarchy=HIERARCHY,
        fingerprint="f",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
        digests=np.array(digests, np.uint8)[:, None].repeat(32, axis=1),
    )


def test_known_classes_and_pixels_go_and_known_super_classes_are_no_longer_new() -> None:
    names = ["bird/emu", "bird/kiwi", "fish/cod", "?/eel", "insect/ant"]
    novel = NovelImages(
        cache_of([1, 2, 3, 4, 5, 6], [0, 0, NOVEL, UNLABELLED, NOVEL, 0]),
        np.array([0, 1, 2, 3, 4, 1]),
        names,
        np.array([-1, -1, 0, -1, 1]),
        len(names),
        np.arange(6, dtype=np.float32).reshape(1, 6, 1),
    )
    rest = still_novel(novel, GROWN, [cache_of([9, 6], [0, 0])])
    assert rest is not None
    assert [names[number] for number in rest.classes] == ["bird/kiwi", "fish/cod", "insect/ant"]
    assert rest.cache.names == ["1.png", "2.png", "4.png"]
    assert rest.cache.super_labels.tolist() == [0, 2, NOVEL]
    assert rest.new_supers.tolist() == [-1, -1, -1, -1, 1]
    assert rest.features is not None
    assert rest.features.ravel().tolist() == [1.0, 2.0, 4.0]
    assert len(rest.cache.images) == 3
    assert still_novel(novel, GROWN, [cache_of([2, 3, 5, 6], [0, 0, 0, 0])]) is None


def test_a_class_that_was_among_the_novel_images_of_the_search_can_be_added(
    drawn: Drawn, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    shutil.copytree(drawn.new, others / drawn.superclass / "seen somewhere")
    (others / "odd" / "grey").mkdir(parents=True)
    for level in (60, 120, 180):
        Image.new("RGB", (64, 64), (level,) * 3).save(others / "odd" / "grey" / f"{level}.png")
    data = drawn.config.data.model_copy(update={"novel": str(others)})
    train_model(drawn.config.model_copy(update={"data": data}), tmp_path / "model", drawn.cache)
    before = load_score_table(tmp_path / "model").table
    n_sub = 15
    assert len(np.unique(before.sub.labels[before.sub.labels >= n_sub])) == 2
    new = new_images(str(drawn.new), subclass=drawn.subclass, superclass=drawn.superclass)
    options = {"cache_dir": drawn.cache, "device": torch.device("cpu")}
    grown = add_classes(tmp_path / "model", tmp_path / "new", new, **options)  # type: ignore[arg-type]
    now = load_score_table(grown.directory).table
    assert grown.hierarchy.n_sub == n_sub + 1
    assert (now.sub.labels > n_sub).sum() == 3
    assert not now.sub.known[now.sub.labels > n_sub].any()
    assert now.sub.known[now.sub.labels == n_sub].any()
