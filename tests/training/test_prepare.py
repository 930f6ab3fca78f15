"""Claims about preparation: what is read once, and which mistakes are said before training."""

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from hierclf.config import Config, parse_config
from hierclf.nets.backbones import build_backbone
from hierclf.training.prepare import Prepared, prepare
from tests.image_bytes import encode
from tests.layouts import TREE, release, tree

CPU = torch.device("cpu")
SMALL = {"backbone": "smallnet", "weights": "none", "image_size": 16}


def config_of(path: Path, model: dict[str, Any] | None = None, **folds: Any) -> Config:
    return parse_config(
        {
            "data": {"path": str(path)},
            "model": SMALL | (model or {}),
            "train": {"views": 1},
            "folds": folds,
        }
    )


def run(config: Config, tmp_path: Path, **options: Any) -> Prepared:
    return prepare(config, directory=tmp_path / "cache", device=CPU, **options)


def three_supers(root: Path) -> Path:
    cats = ["cat/lynx/a.png", "cat/lynx/b.png", "cat/puma/a.png", "cat/puma/b.png"]
    return tree(root, [*TREE, *cats])


def refuse(*args: object, **options: object) -> NoReturn:
    raise AssertionError("was done again")


def test_folds_come_by_name_in_order_and_the_last_trains_on_every_image(tmp_path: Path) -> None:
    prepared = run(config_of(three_supers(tmp_path / "data")), tmp_path)
    assert list(prepared.folds) == [
        "sub0",
        "sub1",
        "super0",
        "super1",
        "super2",
        "reference",
        "smaller",
        "all",
    ]
    assert all(name == fold.name for name, fold in prepared.folds.items())
    assert len(prepared.folds["all"].train) == len(prepared.cache.images) == 10
    assert prepared.features is None


def test_the_configuration_decides_about_folds(tmp_path: Path) -> None:
    data = three_supers(tmp_path / "data")
    assert list(run(config_of(data, super=1), tmp_path).folds) == [
        "sub0",
        "sub1",
        "super0",
        "reference",
        "smaller",
        "all",
    ]


def test_two_super_classes_give_no_super_folds(tmp_path: Path) -> None:
    prepared = run(config_of(tree(tmp_path / "data", TREE)), tmp_path)
    assert list(prepared.folds) == ["sub0", "sub1", "reference", "smaller", "all"]


def test_truncated_files_are_kept_where_the_configuration_says_so(tmp_path: Path) -> None:
    data = three_supers(tmp_path / "data")
    cut = encode(Image.new("RGB", (4, 4)), "JPEG")[:-2]
    (data / "bird/owl/c.jpg").write_bytes(cut)
    config = config_of(data)
    with pytest.raises(ValueError, match="truncated=keep reads what is there"):
        run(config, tmp_path)
    kept = config.data.model_copy(update={"truncated": "keep"})
    cache = run(config.model_copy(update={"data": kept}), tmp_path).cache
    assert "bird/owl/c.jpg" in cache.names


def test_a_second_call_decodes_and_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "w.safetensors"
    safetensors.torch.save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    frozen = {"weights": str(weights), "freeze": "backbone"}
    config = config_of(release(tmp_path / "data"), frozen)
    calls: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        calls.append((what, done, total))

    first = run(config, tmp_path, progress=progress)
    assert ("decoding images", 6, 6) in calls
    assert calls[-1] == ("computing features", 12, 12)
    calls.clear()
    monkeypatch.setattr("hierclf.data.cache.build_cache", refuse)
    monkeypatch.setattr("hierclf.training.features._compute", refuse)
    second = run(config, tmp_path, progress=progress)
    assert calls == []
    assert first.features is not None
    assert second.features is not None
    assert first.features.shape == (2, 6, 128)
    np.testing.assert_array_equal(first.features, second.features)
    for name, fold in first.folds.items():
        np.testing.assert_array_equal(fold.train, second.folds[name].train)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"backbone": "resnet19"}, "model.backbone must be .* 'resnet19'"),
        ({"weights": "gone.pth"}, "gone.pth is none"),
        ({"weights": "default"}, "model.weights must be none or a file for smallnet"),
        ({"weights": "gone.pth", "freeze": "backbone"}, "gone.pth is none"),
    ],
)
def test_a_wrong_backbone_is_said_before_any_training(
    tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run(config_of(tree(tmp_path / "data", TREE), model), tmp_path)


def test_data_without_anything_to_hide_is_said(tmp_path: Path) -> None:
    images = ["bird/owl/a.png", "bird/owl/b.png", "dog/pug/a.png", "dog/pug/b.png"]
    with pytest.raises(ValueError, match="sub folds need a super-class with 2 sub-classes"):
        run(config_of(tree(tmp_path / "data", images)), tmp_path)


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        run(config_of(tmp_path / "nowhere"), tmp_path)


def with_group_by(config: Config, pattern: str) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={"group_by": pattern})})


def test_a_pattern_on_names_keeps_bursts_on_one_side_of_every_fold(tmp_path: Path) -> None:
    images = [
        f"{sub}/{burst}_{i}.png" for sub in ("a/b", "a/c", "d/e") for burst in "pqr" for i in "01"
    ]
    config = with_group_by(config_of(tree(tmp_path / "data", images)), "(.+)_")
    prepared = run(config, tmp_path)
    burst = np.array([name[:-6] for name in prepared.cache.names])
    for fold in prepared.folds.values():
        assert not set(burst[fold.train]) & set(burst[fold.val])
        assert len(fold.val) == (0 if fold.name == "all" else 2 * len(fold.known_sub))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("x(.)", "data.group_by='x.* must match every image name, but 6 of 6 do not"),
        (r"(\w+)/", "sub-class 'hen': all its images are in one group"),
    ],
)
def test_a_pattern_that_leaves_nothing_to_validate_is_said(
    tmp_path: Path, pattern: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run(with_group_by(config_of(tree(tmp_path / "data", TREE)), pattern), tmp_path)


def test_unreadable_and_repeated_images_are_warned_of_each_time(tmp_path: Path) -> None:
    root = three_supers(tmp_path / "data")
    (root / "cat" / "puma" / "z.png").write_bytes((root / "bird" / "owl" / "a.png").read_bytes())
    (root / "cat" / "puma" / "y.png").write_bytes(b"")
    config = config_of(root)
    config = config.model_copy(update={"data": config.data.model_copy(update={"max_bad_share": 1})})
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 image ") as caught:
            run(config, tmp_path)
        said = sorted(str(warning.message) for warning in caught)
        assert len(said) == 2
        assert (
            "1 image cannot be read and is left out (first: cat/puma/y.png: the file is" in said[0]
        )
        assert "pixels as another (first: cat/puma/z.png: bird/" in said[1]
        for line, name in zip(said, ("quarantine.csv", "repeats.csv"), strict=True):
            assert Path(line.partition("; ")[2].removeprefix("see ")).name == name
