"""Claims about a whole search whose data and results are in a bucket."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import hierclf
from hierclf.nets.backbones import build_backbone
from search.pipeline.bucket import MARKER
from tests.searches import TINY, killed_after, tune
from tests.storage.bucket_server import Bucket

PREFIX = "results/runs/one/"


@pytest.mark.long
@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_from_the_bucket_on_another_machine(
    bucket: Bucket, tmp_path: Path
) -> None:
    cache, config = tmp_path / "cache", tmp_path / "tiny.yaml"
    config.write_text(TINY.replace("trials: 3", "trials: 2"))
    torch.manual_seed(0)
    weights = tmp_path / "smallnet.safetensors"
    save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    options = ["--config", str(config), "--gpus", "0", "--name", "one"]
    # Heads on a frozen network: no Ray Train run, which would take most of the time.
    for value in ("model.freeze=backbone", f"model.weights={weights}", "train.views=1"):
        options += ["--set", value]
    options += ["--set", "data.group_by=.+"]
    results = ["--results", "s3://bucket/results"]
    said = killed_after("confirm", *options, *results, cache=cache, timeout=240)
    assert "search" in said
    there = set(bucket.files(PREFIX))
    assert {MARKER, "config.yaml", "options.json"} <= there
    assert "summary.json" not in there

    shutil.rmtree(cache)  # another machine, whose cache is at the same path
    ended = tune("--resume", "one", *results, cache=cache)
    assert ended.code == 0, ended
    assert "all of it is also in s3://bucket/results/runs/one" in ended.out
    (folder,) = cache.glob("results/results-*/runs/one")
    files = [path for path in folder.rglob("*") if path.is_file()]
    here = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    here = {name: data for name, data in here.items() if name not in (".lock", ".mirror-sent.json")}
    kept = bucket.files(PREFIX)
    assert {n: d for n, d in kept.items() if n != MARKER and n[-1:] not in ("", "/")} == here
    assert {"summary.json", "report.html", "trials.csv", "model/bundle.json"} <= set(here)
    model = hierclf.load(f"s3://bucket/{PREFIX}model", device="cpu")
    assert model.thresholds == hierclf.load(folder / "model", device="cpu").thresholds
    again = tune(*options, *results, cache=tmp_path / "elsewhere")
    assert again.code == 2
    assert again.err.endswith(
        "--name must be new, but s3://bucket/results/runs/one exists; resume it with --resume one\n"
    )
