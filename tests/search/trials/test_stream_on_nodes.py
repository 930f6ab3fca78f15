"""Training on a streamed data set: real trials on two Ray nodes of this machine."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from hierclf.config import load_config
from hierclf.data.demo import demo_source
from hierclf.training.prepare import Prepared, prepare
from tests.layouts import parquet
from tests.searches import ROOT, environment

pytestmark = [pytest.mark.slow, pytest.mark.long]
N_IMAGES, N_FILES, GROUP, BAD = 400, 4, 20, 5
TINY = {
    "model": {"backbone": "smallnet", "weights": "none", "image_size": 32, "crop_fraction": 1.0},
    "train": {"epochs": 2, "batch_size": 64, "lr": 2.0e-3, "strength": 0.2},
    "folds": {"sub": 2, "super": 0},
}
# One core a node. Two trials at a time hold both cores; so do two idle actors while a fold is
# trained beside them, whose batches are kept as they come to the augmentation.
NODES = """
import json, sys
from collections import Counter
from functools import partial
from pathlib import Path
from search.runtime.cluster import start_ray
import numpy as np
import ray, torch
from ray import tune
from ray.cluster_utils import Cluster
from ray.util.state import list_tasks
from hierclf.training import inputs
from hierclf.config import load_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import prepare
from hierclf.training.reopen import files_of
from search.tuning.experiment import final_checkpoint, run_experiment, trials_table
from search.trials.plan import Job, Plan
from search.trials.stream import map_on_cluster

out = Path(sys.argv[1])
config = load_config(out / "tiny.yaml")
head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=1)
start_ray(cluster.address)
over = partial(map_on_cluster, at_a_time=2)
cpu = torch.device("cpu")
prepared = prepare(config, directory=out / "tables", device=cpu, over=over)
job = Job(
    config=config.model_dump(), folds=("sub0",), epochs=2, results=True,
    prepared=files_of([(config, prepared)]), cache_dir=str(out / "tables"),
    plan=Plan(2, 1, False, 1, 0), storage=str(out / "trials"),
)
Path(job.storage).mkdir()
space = {"train.lr": tune.grid_search([1e-3, 2e-3]), "train.strength": 0.2}
results = run_experiment(job, n_trials=2, stage="trial", callbacks=[], param_space=space)
trials = trials_table(results, epochs=2, keys=space)
tables = [str(final_checkpoint(job, name) / "scores.parquet") for name in trials["trial_id"]]
named = [("name", "=", "MapBatches(_decode)")]
named.append(("state", "=", "FINISHED"))  # one that is called off at the end may have no node
tasks = Counter(task.node_id for task in list_tasks(filters=named, detail=True, limit=10_000))

class Idle:
    def ready(self):
        return True

actors = [ray.remote(num_cpus=1)(Idle).remote() for _ in range(2)]
assert all(ray.get([actor.ready.remote() for actor in actors]))
seen, real = [], inputs.augment
def augment(images, **options):
    seen.append(images.numpy().copy())
    return real(images, **options)
inputs.augment = augment
run = FoldRun(prepared.folds["sub0"], prepared, config, cpu)
run.train_epoch(1)
np.savez(out / "epoch.npz", rows=np.concatenate(run._batches(1)), pixels=np.concatenate(seen))
found = {"status": trials["status"].tolist(), "tasks": list(tasks.values()), "tables": tables}
(out / "found.json").write_text(json.dumps(found))
ray.shutdown()
cluster.shutdown()
"""


def encoded(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def write_set(folder: Path) -> None:
    """Part of the demo set in Parquet files; one image is none."""
    folder.mkdir()
    demo = demo_source(0)
    names = demo.hierarchy.super_names, demo.hierarchy.sub_names
    for part in range(N_FILES):
        rows = range(part, N_IMAGES, N_FILES)
        columns: dict[str, Any] = {
            "image": [b"text" if i == BAD else encoded(demo.read(i)) for i in rows],
            "superclass": [names[0][demo.super_labels[i]] for i in rows],
            "subclass": [names[1][demo.sub_labels[i]] for i in rows],
            "image_name": [demo.images[i] for i in rows],
        }
        parquet(folder / f"train-{part}.parquet", columns, group=GROUP)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two streamed trials and an epoch were run on two nodes."""
    root = tmp_path_factory.mktemp("stream")
    write_set(root / "data")
    data = {"path": str(root / "data"), "stream": True}
    (root / "tiny.yaml").write_text(yaml.safe_dump(TINY | {"data": data}))
    variables = {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NODES, str(root)],
        capture_output=True,
        text=True,
        timeout=570,
        env=environment(root / "cache") | variables,
        cwd=root,
        check=False,
    )
    assert done.returncode == 0, done
    assert found(root)["status"] == ["finished"] * 2, done
    return root


@pytest.fixture(scope="module")
def cached(folder: Path) -> Prepared:
    """The same set with its images decoded once."""
    config = load_config(folder / "tiny.yaml", ["data.stream=false"])
    with pytest.warns(UserWarning, match="cannot be read"):
        return prepare(config, directory=folder / "decoded", device=torch.device("cpu"))


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "found.json").read_text())


def test_both_nodes_decode_for_trials_that_hold_all_their_cores(folder: Path) -> None:
    tasks = found(folder)["tasks"]
    assert len(tasks) == 2
    # Preparation alone takes a task a row group.
    assert min(tasks) > N_IMAGES / GROUP


def test_an_epoch_trains_on_every_image_once_with_the_pixels_of_the_cache(
    folder: Path, cached: Prepared
) -> None:
    epoch = np.load(folder / "epoch.npz")
    np.testing.assert_array_equal(np.sort(epoch["rows"]), cached.folds["sub0"].train)
    np.testing.assert_array_equal(epoch["pixels"], cached.cache.images[epoch["rows"]])  # type: ignore[index]


def test_the_score_table_has_the_rows_that_it_has_with_a_cache(
    folder: Path, cached: Prepared
) -> None:
    fold, images = cached.folds["sub0"], cached.cache
    for path in found(folder)["tables"]:
        table = pd.read_parquet(path)
        rows = np.concatenate([fold.val, fold.held_out])
        assert table["image"].tolist() == [images.names[row] for row in rows]
        assert table["split"].tolist() == ["val"] * len(fold.val) + ["held_out"] * len(
            fold.held_out
        )
        np.testing.assert_array_equal(table["sub_label"], images.sub_labels[rows])
        assert np.isfinite(table.select_dtypes("number")).all(axis=None)


def test_no_pixels_are_kept_and_what_cannot_be_read_is_listed(folder: Path) -> None:
    (tables,) = (path for path in (folder / "tables").iterdir() if path.is_dir())
    assert pd.read_csv(tables / "quarantine.csv")["image"].tolist() == [demo_source(0).images[BAD]]
    assert sum(file.stat().st_size for file in tables.iterdir()) < 100 * N_IMAGES
