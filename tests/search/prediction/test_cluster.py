"""Claims about predictions on real Ray: nodes that are lost, and a process that is killed."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.predictions import BAD, files_in, image_bytes, place_of_predictions, plain, rows_of
from tests.searches import ROOT, environment, execute, kill_all
from tests.storage.bucket_server import bucket_server

# 21 shards of an image each, which wait until both workers are ready; after the first result, the
# second node is lost. The third has a GPU as far as Ray knows, which two workers share.
NODES = """
import json, sys, time, warnings
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_tasks
from search.prediction.actors import Workers
from search.prediction.job import begin
from search.prediction.parts import Parts
from search.prediction.run import predict_on_cluster, predicted
from search.runtime.cluster import start_ray

place = Path(sys.argv[1])
model, images = place / "model", str(place / "images")
reading = {"zip_encoding": None, "keep_truncated": False}
head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
cluster = Cluster(initialize_head=True, head_node_args=head)
lost = cluster.add_node(num_cpus=1)

parts = Parts(str(place / "lost"))
job = begin(model, images, parts, reading=reading, batch_size=1, shard_images=1)
taken = most = 0

def shards():
    global taken, most
    ready = [("name", "=", "PredictionWorker.ready"), ("state", "=", "FINISHED")]
    while len(list_tasks(filters=ready)) < 2:
        time.sleep(0.5)
    for shard in job.missing:
        taken += 1
        most = max(most, taken - len(done))
        yield shard

start_ray(cluster.address)
done = []
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for shard, tally in predicted(job, parts, Workers(2, 1, 0.0), shards()):
        done.append(shard.part)
        if len(done) == 1:
            cluster.remove_node(lost, allow_graceful=False)
            time.sleep(3)  # its worker lives on for a moment
ray.shutdown()
words = [str(warning.message) for warning in said if "worker" in str(warning.message)]

cluster.add_node(num_cpus=2, num_gpus=1)
outcome = predict_on_cluster(
    model, images, str(place / "gpu"), reading=reading, batch_size=4, address=cluster.address,
    gpus_per_worker=0.5,
)
print(json.dumps([sorted(done), most, words, outcome.parts, outcome.tally.predicted]))
"""


@pytest.mark.long
@pytest.mark.slow
def test_shards_of_a_lost_node_are_predicted_on_the_others_and_few_are_taken_at_a_time(
    tmp_path: Path,
) -> None:
    place = place_of_predictions(tmp_path)
    own = environment(tmp_path) | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", NODES, str(place)],
        capture_output=True,
        text=True,
        timeout=300,
        env=own,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    done, most, words, parts, predicted = json.loads(ended.stdout.splitlines()[-1])
    assert done == [f"part-{i:05d}.parquet" for i in range(21)]
    assert most <= 2 * 2 + 1
    assert words == ["a worker was lost; its images are predicted again"]
    rows, tally = plain(place)
    pd.testing.assert_frame_equal(rows_of(files_in(place / "lost")), rows, rtol=1e-4)
    pd.testing.assert_frame_equal(rows_of(files_in(place / "gpu")), rows, rtol=1e-4)
    assert (parts, predicted) == (6, tally.predicted)


@pytest.mark.long
@pytest.mark.slow
def test_a_prediction_between_buckets_that_was_killed_goes_on_and_ends_with_the_plain_rows(
    tmp_path: Path,
) -> None:
    place = place_of_predictions(tmp_path)
    cache = tmp_path / "cache"
    images, out = "s3://bucket/new", "s3://bucket/out"
    program = [sys.executable, str(ROOT / "search" / "predict.py"), str(place / "model"), images]
    command = [*program, "--out", out, "--ray", "--batch-size", "4"]
    with bucket_server() as bucket:
        bucket.put({f"new/{name}": data for name, data in image_bytes().items()})
        # The images of the last shard do not come until the process has been killed.
        bucket.proxy.fault = lambda method, path: "503" if path.endswith("/new/20.png") else None
        first = subprocess.Popen(
            command, env=environment(cache), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        wait_until(lambda: len(bucket.keys("out/part")) == 5, first)
        first.kill()
        kill_all(f"HIERCLF_CACHE={cache}\0")  # also the processes of Ray
        first.communicate()
        bucket.proxy.fault, bucket.proxy.asked = None, []
        before = bucket.files("out/")
        ended = execute(*command, cache=cache)
        assert ended.code == 0, ended.err
        after = bucket.files("out/")
        fetched = {path.rpartition("/")[2] for path in bucket.proxy.fetched() if "/new/" in path}
    assert fetched == {"20.png"}
    assert {name: after[name] for name in before} == before
    assert after["_quarantine.csv"].decode().splitlines()[0] == "image,reason"
    assert [line.split(",")[0] for line in after["_quarantine.csv"].decode().splitlines()[1:]] == [
        *BAD
    ]
    rows, tally = plain(place)
    pd.testing.assert_frame_equal(rows_of(after), rows, rtol=1e-4)
    said = ended.out.splitlines()
    assert said[0].startswith(f"{tally.predicted} images predicted: {tally.known} known, ")
    assert said[1:4] == [
        f"wrote {out}",
        "6 parts, in the order of their names, 5 of which were there before",
        "next, to see them:",
    ]
    assert "6 of 6 shards, 21 of 21 images, " in ended.err
    assert "unreadable: 17.png" in ended.err
    assert not (cache / "sets").exists()


def wait_until(
    there: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 200
) -> None:
    give_up = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < give_up
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ray", "--format", "submission"], "neither --format nor --explain nor --device"),
        (["--ray", "--device", "cpu"], "neither --format nor --explain nor --device"),
        (["--address", "auto"], "--address needs --ray"),
        (["--gpus-per-worker", "0.5"], "--gpus-per-worker needs --ray"),
        (["--ray", "--gpus-per-worker", "2"], "Invalid value for '--gpus-per-worker'"),
        (["--ray"], "results/mlflow.db does not exist"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, options: list[str], words: str
) -> None:
    script = ROOT / "search" / "predict.py"
    program: list[str | Path] = [sys.executable, script, "models:/m@champion", "images"]
    ended = execute(*program, "--out", "x", *options, cache=tmp_path / "cache")
    assert ended.code != 0
    assert words in " ".join(ended.err.replace("│", " ").split())


def test_a_bucket_is_no_place_for_a_plain_prediction(tmp_path: Path) -> None:
    place = place_of_predictions(tmp_path)
    script = ROOT / "search" / "predict.py"
    program: list[str | Path] = [sys.executable, script, place / "model", place / "images"]
    ended = execute(*program, "--out", "s3://bucket/out", cache=tmp_path / "cache")
    assert "--out must be a file of this machine without --ray, but got s3://" in ended.err
    ended = execute(*program, "--out", place / "out.csv", cache=tmp_path / "cache")
    assert ended.code == 0, ended.err
    assert len(pd.read_csv(place / "out.csv")) == len(plain(place)[0])
