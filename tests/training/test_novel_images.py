"""Claims about novel images made ready: their size, features, and what is said of copies."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from hierclf.config import parse_config
from hierclf.nets.backbones import build_backbone
from hierclf.training.prepare import Prepared, prepare
from tests.layouts import TREE, tree


def run(data: Path, novel: Path, cache: Path) -> Prepared:
    weights = cache / "w.safetensors"
    cache.mkdir(exist_ok=True)
    torch.manual_seed(0)
    safetensors.torch.save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    model = {"backbone": "smallnet", "weights": str(weights), "freeze": "backbone"}
    config = parse_config(
        {
            "data": {"path": str(data), "novel": str(novel), "max_bad_share": 0.5},
            "model": model | {"image_size": 16},
            "train": {"views": 2},
        }
    )
    return prepare(config, directory=cache, device=torch.device("cpu"))


def picture(path: Path, size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize(size, Image.Resampling.BICUBIC).save(path)


def test_novel_images_have_the_known_size_and_features_of_the_same_network(tmp_path: Path) -> None:
    data, novel = tree(tmp_path / "data", TREE), tmp_path / "novel"
    picture(novel / "bird" / "emu" / "a.png", (30, 20), 0)
    picture(novel / "cat" / "lynx" / "b.png", (9, 9), 1)
    (novel / "cat" / "c.png").write_bytes(b"no image")
    found = run(data, novel, tmp_path / "cache").novel
    assert found is not None
    assert found.cache.names == ["bird/emu/a.png", "cat/lynx/b.png"]
    assert found.cache.images.shape == (2, 4, 4, 3)
    assert [found.class_names[i] for i in found.classes] == ["bird/emu", "cat/lynx"]
    assert list(found.cache.quarantine["image"]) == ["cat/c.png"]
    assert found.features is not None
    assert found.features.shape == (1, 2, 128)
    # A known image put among the novel ones has the features that it has among the known.
    known = run(
        data, _copied(data / "bird" / "owl" / "a.png", tmp_path / "copy"), tmp_path / "cache"
    )
    assert known.novel is not None
    assert known.novel.features is not None
    assert known.features is not None
    row = known.cache.names.index("bird/owl/a.png")
    np.testing.assert_allclose(known.novel.features[0, 0], known.features[0, row], atol=1e-5)


def _copied(image: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "x.png").write_bytes(image.read_bytes())
    return folder


def test_a_copy_of_a_known_image_is_warned_of(tmp_path: Path) -> None:
    for i, name in enumerate(TREE):
        picture(tmp_path / "data" / name.replace("PNG", "png"), (40, 40), i)
    novel = _copied(tmp_path / "data" / "bird" / "hen" / "c.png", tmp_path / "novel")
    with pytest.warns(UserWarning, match=r"1 novel images are near-copies .*x.png of bird/hen/c"):
        run(tmp_path / "data", novel, tmp_path / "cache")


def test_without_novel_images_there_are_none(tmp_path: Path) -> None:
    config = parse_config(
        {
            "data": {"path": str(tree(tmp_path / "data", TREE))},
            "model": {"backbone": "smallnet", "weights": "none", "image_size": 16},
        }
    )
    assert prepare(config, directory=tmp_path, device=torch.device("cpu")).novel is None
