"""The main job as people run it: a process of its own, with its output in files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TUNE = [sys.executable, str(ROOT / "search" / "tune.py")]
TINY = """
data: {path: demo}
model: {backbone: smallnet, weights: none, image_size: 32, crop_fraction: 1.0}
train: {epochs: 3, batch_size: 128, lr: 2.0e-3, strength: 0.2}
folds: {sub: 2, super: 2}
search: {trials: 3, grace_epochs: 1}
thresholds: {trials: 60}
"""


class Place(NamedTuple):
    """Where searches go."""

    cache: Path
    config: Path
    results: Path

    def run(self, name: str) -> Path:
        return self.results / "runs" / name

    def uri(self) -> str:
        return f"sqlite:///{self.results}/mlflow.db"


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(cache: Path) -> dict[str, str]:
    """Of a person's shell; the image cache is the tests' own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own.pop("PYTHONPATH", None)
    return own | {"HIERCLF_CACHE": str(cache), "COLUMNS": "80"}


def execute(*command: str | Path, cache: Path, timeout: float = 570) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(cache),
        cwd=cache.parent,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def tune(*options: str | Path, cache: Path, timeout: float = 570) -> Ended:
    """`python search/tune.py OPTIONS`."""
    return execute(*TUNE, *options, cache=cache, timeout=timeout)


def processes(marker: str) -> list[int]:
    """Ids of the processes, but this one, whose environment holds a text."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def kill_all(marker: str) -> None:
    """`kill -9` the processes, but this one, whose environment holds a text, until none is left."""
    while left := processes(marker):
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def killed_after(line: str, *options: str | Path, cache: Path, timeout: float = 300) -> str:
    """Start a search and `kill -9` all of it once a line of its output begins with `line`.

    Ray's processes leave the search's process group: they are found by the cache that they use.
    """
    search = subprocess.Popen(
        [*TUNE, *map(str, options)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(cache),
        cwd=cache.parent,
        start_new_session=True,
    )
    said = ""
    stop_at = time.monotonic() + timeout
    assert search.stdout is not None
    for text in search.stdout:
        said += text
        if text.startswith(line) or time.monotonic() > stop_at:
            break
    os.killpg(search.pid, signal.SIGKILL)
    kill_all(f"HIERCLF_CACHE={cache}\0")
    search.wait()
    search.stdout.close()
    return said


def frozen(place: Place) -> list[str]:
    """Options of a search that trains heads only: its trials share processes, without Ray Train."""
    import torch  # as below, few tests need it
    from safetensors.torch import save_file

    from hierclf.nets.backbones import build_backbone

    weights = place.cache.parent / "smallnet.safetensors"
    torch.manual_seed(0)
    save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    options = ["model.freeze=backbone", f"model.weights={weights}", "train.views=1"]
    options.append("data.group_by=.+")  # features of random weights find bursts everywhere
    return [word for option in options for word in ("--set", option)]


def tiny(place: Place, name: str, *options: str) -> list[str]:
    given = ["--config", str(place.config), "--gpus", "0", "--name", name]
    return [*given, "--results", str(place.results), *options]


def run_trials(
    place: Place,
    folder: Path,
    *callbacks: Any,
    epochs: int,
    scheduler: Any = None,
    n_trials: int = 1,
) -> None:
    """Run trials of one fold, one after another, in this process's Tune; Ray must be there."""
    import torch
    from ray import tune  # Ray takes seconds to import, and few tests need it

    from hierclf.config import load_config
    from hierclf.training.prepare import prepare
    from hierclf.training.reopen import files_of
    from search.trials.plan import Job, Plan
    from search.tuning.experiment import run_experiment

    config = load_config(place.config)
    prepared = prepare(config, directory=place.cache, device=torch.device("cpu"))
    job = Job(
        config=config.model_dump(),
        folds=("sub0",),
        epochs=epochs,
        results=False,
        prepared=files_of([(config, prepared)]),
        cache_dir=str(place.cache),
        plan=Plan(trials_at_a_time=1, workers=1, use_gpu=False, cpus_per_worker=1, gpus=0),
        storage=str(folder),
    )
    space = {"train.lr": tune.grid_search([1e-3] * n_trials), "train.strength": 0.2}
    results = run_experiment(
        job,
        n_trials=n_trials,
        stage="trial",
        callbacks=list(callbacks),
        param_space=space,
        scheduler=scheduler,
    )
    assert [result.error for result in results] == [None] * n_trials


def runs_of(place: Place, name: str) -> tuple[Any, list[Any]]:
    """The parent run of a search in MLflow, and the runs below it."""
    from search.tracking import store  # MLflow takes seconds to import, and few tests need it

    client = store.connect(place.uri())
    experiment = client.get_experiment_by_name("hierclf")
    assert experiment is not None
    every = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = (run for run in every if run.data.tags.get("hierclf.search") == name)
    below = [r for r in every if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return parent, below


def stages(children: list[Any]) -> list[str]:
    return sorted(c.data.tags.get("hierclf.stage", c.data.tags["hierclf.kind"]) for c in children)
