"""Claims about models with added classes: they are what training with them would have given."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from hierclf import load
from hierclf.additions.grow import Grown, add_classes
from hierclf.additions.labelled import new_images
from hierclf.bundle.directory import load_bundle
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.training_images_file import load_training_images
from hierclf.io.digest import sha256_of
from hierclf.training.record import load_record
from tests.additions.conftest import Drawn
from tests.grown_models import train_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def grow(drawn: Drawn) -> Callable[..., Grown]:
    def add(
        out: Path, place: Path | None = None, *, model: Path | None = None, **options: Any
    ) -> Any:
        names = {"subclass": drawn.subclass, "superclass": drawn.superclass}
        keys = {*names, "images"}
        new = new_images(
            str(place or drawn.new), **{k: v for k, v in (names | options).items() if k in keys}
        )
        rest = {k: v for k, v in options.items() if k not in keys}
        return add_classes(
            model or drawn.model, out, new, cache_dir=drawn.cache, device=CPU, **rest
        )

    return add


@pytest.fixture(scope="module")
def grown(grow: Callable[..., Grown], tmp_path_factory: pytest.TempPathFactory) -> Grown:
    return grow(tmp_path_factory.mktemp("grown") / "model")


def sums(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(folder.iterdir())}


def test_network_and_scores_are_those_of_a_model_trained_with_the_class_from_the_start(
    drawn: Drawn, grown: Grown, tmp_path: Path
) -> None:
    where = drawn.config.data.model_copy(update={"path": str(drawn.every)})
    train_model(drawn.config.model_copy(update={"data": where}), tmp_path / "model", drawn.cache)
    first, second = load_bundle(tmp_path / "model"), load_bundle(grown.directory)
    assert first.hierarchy.sub_names == second.hierarchy.sub_names
    for name, tensor in first.net.state_dict().items():
        assert torch.equal(tensor, second.net.state_dict()[name]), name
    assert set(first.states) == set(second.states)
    for name, array in first.states.items():
        np.testing.assert_array_equal(array, second.states[name])


def test_known_classes_keep_their_ids_and_the_novel_ids_stay_free(
    drawn: Drawn, grown: Grown
) -> None:
    before, now = load_bundle(drawn.model).hierarchy, grown.hierarchy
    assert now.sub_names == (*before.sub_names, drawn.subclass)
    assert now.sub_ids[:-1] == before.sub_ids
    assert (now.novel_super_id, now.novel_sub_id) == (before.novel_super_id, before.novel_sub_id)
    assert now.sub_ids[-1] == max(*before.sub_ids, before.novel_sub_id) + 1
    assert now.sub_to_super[-1] == before.super_names.index(drawn.superclass)


def test_rows_of_known_classes_that_report_are_the_same_as_before(
    drawn: Drawn, grown: Grown
) -> None:
    before, now = load_score_table(drawn.model), load_score_table(grown.directory)
    new = now.table.sub.labels == grown.hierarchy.n_sub - 1
    for column in ("fold", "sub_label", "super_label", "sub_known", "super_known"):
        np.testing.assert_array_equal(now.table.column(column)[~new], before.table.column(column))
    np.testing.assert_array_equal(now.report[~new], before.report)
    assert now.report[new].any()
    assert set(now.table.sub.known[new]) == {True, False}


def test_the_former_model_stays_and_the_new_one_names_what_was_added(
    drawn: Drawn, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    before = sums(drawn.model)
    added = grow(tmp_path / "model")
    assert sums(drawn.model) == before
    record = load_record(added.directory)
    (addition,) = record.additions
    assert addition.images == str(drawn.new)
    (new,) = addition.classes
    assert (new.superclass, new.subclass, new.images) == (drawn.superclass, drawn.subclass, 12)
    assert record.n_images == load_record(drawn.model).n_images + 12
    assert record.fingerprint != record.data_fingerprint
    images = load_training_images(added.directory)
    own = np.array(images.names)[images.sub_labels == added.hierarchy.n_sub - 1]
    assert sorted(own) == sorted(path.name for path in drawn.new.iterdir())


def test_a_class_of_a_new_super_class_is_added_to_a_model_with_added_classes(
    drawn: Drawn, grown: Grown, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, file in enumerate(sorted(drawn.new.iterdir())):
        ImageOps.invert(Image.open(file).convert("RGB")).save(pictures / f"{number}.png")
    names = {"subclass": "negative", "superclass": "odd", "new_super": True}
    again = grow(tmp_path / "model", pictures, model=grown.directory, **names)
    assert again.hierarchy.super_names[-1] == "odd"
    assert again.hierarchy.sub_names[-2:] == (drawn.subclass, "negative")
    table = load_score_table(again.directory).table
    odd = table.super.labels == again.hierarchy.n_super - 1
    assert (~table.super.known[odd]).any()
    assert [len(x.classes) for x in load_record(again.directory).additions] == [1, 1]
    model = load(again.directory, device="cpu")
    assert len(model.predict(str(pictures))) == 12


def test_python_adds_what_the_command_adds(
    drawn: Drawn, grown: Grown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIERCLF_CACHE", str(drawn.cache))
    model = load(drawn.model, device="cpu").add_classes(
        drawn.new, tmp_path / "model", subclass=drawn.subclass, superclass=drawn.superclass
    )
    files = ("model.safetensors", "scores.safetensors", "thresholds.json", "score_table.parquet")
    own, other = sums(tmp_path / "model"), sums(grown.directory)
    assert [own[name] for name in files] == [other[name] for name in files]
    assert model.hierarchy == grown.hierarchy


def test_unreadable_images_are_named_and_left_out(
    drawn: Drawn, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(drawn.new, photos)
    (photos / "torn.png").write_bytes(next(drawn.new.iterdir()).read_bytes()[:60])
    added = grow(tmp_path / "model", photos)
    assert [name for name, _ in added.unreadable] == ["torn.png"]
    assert added.added[0].images == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subclass": "leaf plain", "superclass": "leaf"}, "the model knows 'leaf plain'"),
        ({"subclass": "Leaf-Plain", "superclass": "leaf"}, "give the new sub-class another name"),
        ({"superclass": "bird"}, "--new-super makes it a new one"),
        ({"superclass": "Leaf", "new_super": True}, "'Leaf' is not known, but 'leaf' is"),
        ({"subclass": "novel"}, "must not be named 'novel'"),
        ({"data": "/nowhere"}, "/nowhere is not; --data names where they are"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    grow: Callable[..., Grown], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        grow(tmp_path / "model", **change)
    assert not list(tmp_path.iterdir())


def test_images_that_are_training_images_are_refused(
    drawn: Drawn, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(drawn.new, photos)
    known = next((drawn.known / "leaf" / "leaf plain").iterdir())
    shutil.copy(known, photos / "copy.png")
    with pytest.raises(ValueError, match=rf"copy.png shows the same pixels as .*{known.name}"):
        grow(tmp_path / "model", photos)


def test_one_image_is_too_few_also_where_others_cannot_be_read(
    drawn: Drawn, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    file = next(drawn.new.iterdir())
    shutil.copy(file, photos)
    with pytest.raises(ValueError, match="needs 2 images or more"):
        grow(tmp_path / "model", photos)
    (photos / "torn.png").write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match="at least 2 readable images"):
        grow(tmp_path / "model", photos)


def test_a_model_directory_is_never_overwritten(
    drawn: Drawn, grow: Callable[..., Grown], grown: Grown
) -> None:
    with pytest.raises(ValueError, match="must not exist"):
        grow(grown.directory)


def test_other_training_data_are_refused(
    drawn: Drawn, grow: Callable[..., Grown], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="sub-classes that the model was trained on"):
        grow(tmp_path / "model", data=str(drawn.every))
    shutil.copytree(drawn.known, tmp_path / "known")
    next((tmp_path / "known" / "leaf" / "leaf plain").iterdir()).unlink()
    with pytest.raises(ValueError, match="were added, removed, relabelled or changed"):
        grow(tmp_path / "model", data=str(tmp_path / "known"))


def test_training_data_may_have_been_moved(
    drawn: Drawn, grow: Callable[..., Grown], grown: Grown, tmp_path: Path
) -> None:
    shutil.copytree(drawn.known, tmp_path / "moved")
    again = grow(tmp_path / "model", data=str(tmp_path / "moved"))
    assert sums(again.directory)["model.safetensors"] == sums(grown.directory)["model.safetensors"]
    assert load_record(again.directory).config.data.path == str(tmp_path / "moved")
