"""Claims about images of no known class that train: who sees what, and that they change a network.

The data: super-classes bird, cat and dog; novel images of known, new and unknown super-classes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hierclf.config import Config, load_config, parse_config
from hierclf.hierarchy import NOVEL, UNLABELLED
from hierclf.nets.backbones import build_backbone
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table, novel_table
from hierclf.training.folds import REFERENCE, REFIT
from hierclf.training.novel_images import check_generated
from hierclf.training.outlier_split import which_train
from hierclf.training.prepare import Prepared, prepare
from hierclf.training.reopen import files_of, reopen
from tests.fold_runs import assert_same_state
from tests.layouts import png_of

pytestmark = pytest.mark.filterwarnings("ignore:.* images:UserWarning")
CPU = torch.device("cpu")
KNOWN = [f"{a}/{b}" for a in ("bird", "cat", "dog") for b in (f"{a}-a", f"{a}-b", f"{a}-c")]
NOVEL_CLASSES = ["bird/emu", "bird/kiwi", "ape/gibbon", "ape/orang", "fish/cod", "eel", "newt"]
GENERATED = ["", "bird/dodo"]


def pictures(root: Path, folders: list[str], *, seed: int, each: int = 4) -> Path:
    rng = np.random.default_rng(seed)
    for folder in folders:
        for i in range(each):
            file = root / folder / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png_of(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)))
    return root


def config_for(root: Path, *, frozen: bool = False, **train: Any) -> Config:
    model: dict[str, Any] = {"backbone": "smallnet", "weights": "none", "image_size": 16}
    if frozen:
        torch.manual_seed(0)
        save_file(build_backbone("smallnet", "none").module.state_dict(), root / "w.safetensors")
        model |= {"weights": str(root / "w.safetensors"), "freeze": "backbone"}
    return parse_config(
        {
            "data": {
                "path": str(root / "data"),
                "novel": str(root / "novel"),
                "generated": str(root / "generated"),
            },
            "model": model,
            "train": {"views": 1, "epochs": 2, "batch_size": 8, "outlier": "energy"} | train,
            "folds": {"sub": 2, "super": 3, "mixed": 1},
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outliers")
    pictures(root / "data", KNOWN, seed=0, each=6)
    pictures(root / "novel", [*NOVEL_CLASSES, "", "bird"], seed=1)
    pictures(root / "generated", GENERATED, seed=2)
    return root


def prepared_for(root: Path, config: Config) -> Prepared:
    return prepare(config, directory=root / "cache", device=CPU)


def watched(run: FoldRun) -> set[str]:
    """The names of the images of no known class that training reads, filled as it does."""
    seen: set[str] = set()
    if run.outliers is None:
        return seen
    novel, inputs = run.prepared.novel, run.outliers.inputs
    assert novel is not None

    def train(batches: Any, generator: Any) -> Any:
        for rows in batches:
            seen.update(novel.cache.names[row] for row in rows)
        return inputs.train(batches, generator)

    run.outliers.inputs = inputs._replace(train=train)
    return seen


# --- who sees what -----------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True], ids=["network", "heads"])
def test_no_image_that_trained_is_in_any_score_table(root: Path, frozen: bool) -> None:
    config = config_for(root, frozen=frozen)
    prepared = prepared_for(root, config)
    trained: set[str] = set()
    judged: set[str] = set()
    of_fold: dict[str, set[str]] = {}
    for name, fold in prepared.folds.items():
        run = FoldRun(fold, prepared, config, CPU)
        of_fold[name] = watched(run)
        run.train_epoch(1)
        run.train_epoch(2)
        trained |= of_fold[name]
        if name != REFIT:
            judged |= set(fold_table(run, ("msp",), {}).frame["image"])
        if name == REFERENCE:
            own = novel_table(run, ("msp",), fit_fold_scores(run, ("msp",))).frame
            judged |= set(own["image"])
    assert trained
    assert judged
    assert not trained & judged
    generated = {name for name in trained if name.startswith("generated:")}
    assert len(generated) == 4 * len(GENERATED)
    assert not any(name.startswith("generated:") for name in judged)
    # A class of novel images is on one side, and so is a new super-class.
    sides = [
        {name.rpartition("/")[0] for name in names if "/" in name}
        for names in (trained - generated, set(own["image"]))
    ]
    named = [{c for c in side if c != "bird"} for side in sides]
    assert not named[0] & named[1]
    assert named[0] | named[1] == set(NOVEL_CLASSES)
    assert ("ape/gibbon" in named[0]) == ("ape/orang" in named[0])


def test_a_fold_trains_on_no_image_of_a_super_class_that_it_hides(root: Path) -> None:
    config = config_for(root)
    prepared = prepared_for(root, config)
    novel = prepared.novel
    assert novel is not None
    n_super = prepared.cache.hierarchy.n_super
    seen = {"birds": 0, "without": 0}
    for fold in prepared.folds.values():
        outliers = FoldRun(fold, prepared, config, CPU).outliers
        assert outliers is not None
        supers = novel.cache.super_labels[outliers.rows]
        known = supers[supers >= 0]
        assert set(known.tolist()) <= set(fold.known_super.tolist())
        if len(fold.known_super) < n_super:
            assert not (supers == UNLABELLED).any()
        seen["birds"] += len(known)
        seen["without"] += int((supers == UNLABELLED).sum())
        np.testing.assert_array_equal(outliers.new_super[outliers.rows] == 1, supers == NOVEL)
    assert min(seen.values()) > 0


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_classes_of_each_kind_train_and_the_odd_one_judges(seed: int) -> None:
    # Three of a known super-class, two new super-classes of two classes, four images of no name.
    names = ["bird/a", "bird/b", "bird/c", "ape/d", "ape/e", "fish/f", "fish/g", "?/?"]
    classes = np.repeat(np.arange(8), 4)
    new_supers = np.array([-1, -1, -1, 0, 0, 1, 1, -1])
    supers = np.array([0, 0, 0, NOVEL, NOVEL, NOVEL, NOVEL, UNLABELLED])[classes]
    none = np.empty((0, 2), dtype=np.int64)
    trains = which_train(classes, names, new_supers, supers, none, seed=seed)
    share = [float(trains[classes == c].mean()) for c in range(8)]
    assert sorted(share[:3]) == [0.0, 0.0, 1.0]
    assert sorted([share[3:5], share[5:7]]) == [[0.0, 0.0], [1.0, 1.0]]
    assert share[7] == 0.5
    # Near-copies are on one side, whatever their classes.
    copies = np.array([[0, 4], [4, 8], [28, 29], [30, 31]])
    linked = which_train(classes, names, new_supers, supers, copies, seed=seed)
    assert (linked[copies[:, 0]] == linked[copies[:, 1]]).all()


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["energy", "uniform"])
@pytest.mark.parametrize("frozen", [False, True], ids=["network", "heads"])
def test_both_losses_train_both_kinds_of_network_and_resume(
    root: Path, tmp_path: Path, frozen: bool, kind: str
) -> None:
    config = config_for(root, frozen=frozen, outlier=kind)
    prepared = prepared_for(root, config)
    fold = prepared.folds["sub0"]
    plain = FoldRun(fold, prepared, config_for(root, frozen=frozen, outlier="uniform",
                                               outlier_weight=0.0), CPU)  # fmt: skip
    straight, stopped, resumed = (FoldRun(fold, prepared, config, CPU) for _ in range(3))
    for run in (plain, straight):
        run.train_epoch(1)
        run.train_epoch(2)
    stopped.train_epoch(1)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    resumed.train_epoch(2)
    assert_same_state(resumed, straight)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(plain.net.parameters(), straight.net.parameters(), strict=True)
    )


def test_every_image_is_drawn_once_before_one_is_drawn_again_and_workers_divide_them(
    root: Path,
) -> None:
    config = config_for(root)
    prepared = prepared_for(root, config)
    outliers = FoldRun(prepared.folds[REFIT], prepared, config, CPU).outliers
    assert outliers is not None
    n_images = len(outliers.rows)
    drawn: list[np.ndarray] = []
    inputs = outliers.inputs

    def train(batches: Any, generator: Any) -> Any:
        drawn.extend(batches)
        return inputs.train(batches, generator)

    outliers.inputs = inputs._replace(train=train)
    size = n_images // 2 - 1
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        batches = list(outliers.batches(1, steps=5, size=size, rank=rank, world=world))
        assert [len(batch.inputs) for batch in batches] == [
            len(range(rank, size, world)) for _ in range(5)
        ]
    whole = np.concatenate(drawn[:5])
    assert sorted(whole[:n_images]) == outliers.rows.tolist()
    for batch, left, right in zip(drawn[:5], drawn[5:10], drawn[10:], strict=True):
        assert sorted([*left, *right]) == sorted(batch)


@pytest.mark.parametrize("frozen", [False, True], ids=["network", "heads"])
def test_another_process_draws_the_same(root: Path, frozen: bool) -> None:
    config = config_for(root, frozen=frozen)
    prepared = prepared_for(root, config)
    again = reopen(files_of([(config, prepared)]), config)
    assert again is not None
    runs = [FoldRun(each.folds["super0"], each, config, CPU) for each in (prepared, again)]
    for run in runs:
        run.train_epoch(1)
    assert_same_state(*runs)


# --- what is refused ---------------------------------------------------------------------------


def test_generated_images_that_judge_are_refused(root: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "same", ["bird/emu"], seed=1)  # as the first novel ones
    config = config_for(root)
    data = config.data.model_copy(update={"generated": str(tmp_path / "same")})
    with pytest.raises(ValueError, match=r"^data.generated must hold other images than data.novel"):
        prepared_for(root, config.model_copy(update={"data": data}))


def test_an_empty_folder_and_a_known_class_are_refused_by_the_name_of_the_key(
    root: Path, tmp_path: Path
) -> None:
    config = config_for(root)
    (tmp_path / "empty").mkdir()
    for folder, rule in (
        (tmp_path / "empty", r"^data\.generated=\S+ must hold images, but holds none$"),
        (root / "data", r"^data\.generated=\S+ must hold images of new classes, but 54 of 54 "),
        (tmp_path / "gone", r"^data\.generated=\S+: gone: no such file or folder$"),
    ):
        data = config.data.model_copy(update={"generated": str(folder)})
        with pytest.raises(ValueError, match=rule):
            prepared_for(root, config.model_copy(update={"data": data}))


def test_images_without_a_name_are_warned_of(root: Path) -> None:
    with pytest.warns(UserWarning, match=r"^8 of 36 novel images name no sub-class: with train"):
        prepared_for(root, config_for(root))


def test_one_novel_class_cannot_both_train_and_judge(root: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "one", ["bird/emu"], seed=1)
    config = config_for(root)
    data = config.data.model_copy(update={"novel": str(tmp_path / "one"), "generated": None})
    with pytest.raises(ValueError, match=r"^train.outlier needs images that train: .* got 1 class"):
        prepared_for(root, config.model_copy(update={"data": data}))


def test_generated_images_without_the_switch_and_the_switch_without_images_are_refused() -> None:
    alone = load_config(None, ["data.generated=somewhere"])
    with pytest.raises(ValueError, match=r"^data.generated only trains, with train.outlier: set"):
        check_generated(alone)
    searched = "search.space.train.outlier={choices: [none, energy]}"
    check_generated(load_config(None, ["data.generated=somewhere", searched]))
    for overrides in (["train.outlier=energy"], [searched]):
        with pytest.raises(ValueError, match=r"give data.novel or data.generated, too, but got"):
            load_config(None, overrides)
