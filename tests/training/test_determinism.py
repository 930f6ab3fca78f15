"""Claims about the same seed giving the same results, over processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny_models import picture

Runs = list[dict[str, dict[str, object]]]

PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import safetensors.torch, torch
from hierclf.nets.backbones import build_backbone
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.trained_bundle import bundle_from_run
from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.config import parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.data.image_files import list_images
from hierclf.predict import predict_images
from hierclf.training.prepare import prepare
from hierclf.bundle.rule_file import save_rule
from hierclf.rules.rule import LevelRule, Rule

data, here, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
weights = here / "weights.safetensors"
torch.manual_seed(7)
safetensors.torch.save_file(build_backbone("smallnet", "none").module.state_dict(), weights)

def digest(data):
    return hashlib.sha256(data).hexdigest()

def run_path(freeze):
    model = {"backbone": "smallnet", "weights": str(weights), "image_size": 32, "freeze": freeze}
    config = parse_config({
        "data": {"path": data},
        "model": model,
        "train": {"epochs": 2, "views": 2, "batch_size": 16},
        "folds": {"sub": 2, "super": 0},
        "thresholds": {"scores": ["msp", "knn"]},
        "seed": seed,
    })
    device = torch.device("cpu")
    prepared = prepare(config, directory=here / "cache", device=device)
    losses = []
    for name in ("sub0", "all"):
        fold = prepared.folds[name]
        run = FoldRun(fold, prepared, config, device)
        losses += [repr(run.train_epoch(epoch)) for epoch in (1, 2)]
        states = fit_fold_scores(run, ("msp", "knn"))
        if name == "sub0":
            scores = fold_table(run, ("msp", "knn"), states).frame.to_csv(index=False)
    folder = here / freeze
    save_bundle(bundle_from_run(run, states), folder)
    save_rule(folder, Rule(LevelRule("msp", 0.3), LevelRule("knn", 0.1)))
    predicted = predict_images(load_bundle(folder), list_images(data)).to_csv(index=False)
    return {
        "train": digest(prepared.folds["sub0"].train.tobytes()),
        "losses": losses,
        "scores": digest(scores.encode()),
        "weights": digest((folder / "model.safetensors").read_bytes()),
        "predictions": digest(predicted.encode()),
    }

print(json.dumps({path: run_path(path) for path in ("none", "backbone")}))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 pictures of 3 super-classes with 3 sub-classes each, as a folder tree."""
    root = tmp_path_factory.mktemp("data")
    for index in range(72):
        kind = index % 9
        folder = root / f"super{kind // 3}" / f"sub{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        # A picture of the class, a little of another one in it.
        Image.blend(picture(kind), picture(100 + index), 0.3).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def runs(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, dict[str, object]]]:
    """Hashes of two processes of seed 3 and of one of seed 4: training as a whole, and frozen."""
    # Threads that wait for others shall not burn the cores of a busy machine meanwhile.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    found = []
    for seed in (3, 3, 4):
        place = tmp_path_factory.mktemp("run")
        command = [sys.executable, "-c", PROGRAM, str(data), str(place), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found


@pytest.mark.parametrize("path", ["none", "backbone"], ids=["pixels", "frozen"])
def test_two_processes_of_one_seed_agree_to_the_bit(runs: Runs, path: str) -> None:
    assert runs[0][path] == runs[1][path]


@pytest.mark.parametrize("path", ["none", "backbone"], ids=["pixels", "frozen"])
def test_another_seed_changes_all_that_is_compared(runs: Runs, path: str) -> None:
    assert all(runs[0][path][key] != runs[2][path][key] for key in runs[0][path])
