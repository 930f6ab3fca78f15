"""Claims about configs/cluster and its image: nothing is started, but schemas and commands are."""

import importlib.resources
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft7Validator

from hierclf.config.recipes import recipe_names
from search.tune import app

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "configs" / "cluster"
DOCKERFILE = ROOT / "docker" / "search.Dockerfile"

# The fields of KubeRay's API v1 (docs, "API reference") that the RayJob uses, by their object.
FIELDS = {
    "spec": {
        *("entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished"),
        "rayClusterSpec",
    },
    "rayClusterSpec": {
        *("rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions"),
        *("headGroupSpec", "workerGroupSpecs"),
    },
    "headGroupSpec": {"rayStartParams", "template"},
    "workerGroupSpecs": {
        *("groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    },
    "pod": {"containers", "volumes", "tolerations"},
    "container": {"name", "image", "env", "resources", "volumeMounts"},
}


def rayjob() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())


def pods() -> list[dict[str, Any]]:
    cluster = rayjob()["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def parsed(command: str) -> dict[str, Any]:
    """The options that a search would read from a command; it is not run."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "search.tune"]
    return typer.main.get_command(app).make_context("tune.py", words[3:]).params


def test_the_rayjob_uses_documented_fields_only() -> None:
    job = rayjob()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert set(job["spec"]) <= FIELDS["spec"]
    assert set(cluster) <= FIELDS["rayClusterSpec"]
    assert set(cluster["headGroupSpec"]) <= FIELDS["headGroupSpec"]
    for group in cluster["workerGroupSpecs"]:
        assert set(group) <= FIELDS["workerGroupSpecs"]
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert all(isinstance(v, str) for v in cluster["headGroupSpec"]["rayStartParams"].values())
    for pod in pods():
        assert set(pod) <= FIELDS["pod"]
        for container in pod["containers"]:
            assert set(container) <= FIELDS["container"]


def test_the_pods_mount_what_they_define_and_share_one_image() -> None:
    images = {container["image"] for pod in pods() for container in pod["containers"]}
    assert len(images) == 1
    for pod in pods():
        (container,) = pod["containers"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        # Kubernetes gives GPUs only where both are the same.
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_rayjob_asks_for_no_more_gpus_than_its_workers_have() -> None:
    job = rayjob()
    options = parsed(job["spec"]["entrypoint"])
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    each = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert options["gpus"] <= group["maxReplicas"] * each
    mounts = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
    for path in (Path(options["data"]), Path(options["results"])):
        assert any(path == mount or mount in path.parents for mount in mounts)
    assert options["address"] == "auto"
    assert options["wait_for_nodes"] > 0


def test_the_cluster_of_aws_follows_rays_own_schema() -> None:
    schema = json.loads(
        importlib.resources.files("ray.autoscaler").joinpath("ray-schema.json").read_text()
    )
    content = yaml.safe_load((CLUSTER / "aws.yaml").read_text())
    assert not [error.message for error in Draft7Validator(schema).iter_errors(content)]
    assert content["head_node_type"] in content["available_node_types"]
    text = (CLUSTER / "aws.yaml").read_text().replace("\n#", " ")
    (command,) = re.findall(r"'(python -m search\.tune [^']+)'", text)
    options = parsed(command)
    gpu = content["available_node_types"]["gpu"]
    assert options["gpus"] <= gpu["max_workers"] * gpu["resources"]["GPU"]
    (volume,) = [words for words in content["docker"]["run_options"] if "--volume" in words]
    assert str(options["results"]).startswith(volume.rpartition(":")[2] + "/")


def test_a_schema_that_rays_launcher_refuses_is_refused_here() -> None:
    schema = json.loads(
        importlib.resources.files("ray.autoscaler").joinpath("ray-schema.json").read_text()
    )
    content = yaml.safe_load((CLUSTER / "aws.yaml").read_text())
    assert [*Draft7Validator(schema).iter_errors(content | {"max_worker": 4})]


def test_the_script_for_slurm_is_sound_bash() -> None:
    script = CLUSTER / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    if (shellcheck := shutil.which("shellcheck")) is not None:
        found = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (0, "")
    directives = re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", script.read_text(), re.MULTILINE)
    assert dict(directives)["ntasks-per-node"] == "1"
    assert script.read_text().count("#SBATCH --") == len(directives)


def test_the_script_for_slurm_gives_its_options_to_the_search(tmp_path: Path) -> None:
    for name, does in (
        ("scontrol", "echo node7; echo node8"),
        ("srun", 'printf "%s\\n" "$@"'),
        ("activate", ":"),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    said = subprocess.run(
        [CLUSTER / "slurm.sh", "--data", "my photos", "--gpus", "8"],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
            "HIERCLF_ENV": str(tmp_path),
            **{"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "1234567"},
            **{"SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "32"},
        },
    ).stdout.splitlines()
    ray, command = said[: said.index("--")], said[said.index("--") + 1 :]
    assert ray[ray.index("--address") + 1] == "node7:24567"
    options = parsed(shlex.join(command))
    assert (options["data"], options["gpus"]) == ("my photos", 8)
    assert options["address"] == "node7:24567"


def test_the_image_keeps_rays_version_and_copies_what_is_there() -> None:
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    copied = {
        source
        for line in lines
        if line.startswith("COPY")
        for source in line.split()[1:-1]
        if not source.startswith("--")
    }
    ignored = DOCKERFILE.with_name("search.Dockerfile.dockerignore").read_text().split("\n")
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    (version,) = set(re.findall(r"rayproject/ray:([0-9.]+)-py311", text))
    assert rayjob()["spec"]["rayClusterSpec"]["rayVersion"] == version
    assert "--constraint /tmp/ray.txt" in text


def test_the_files_for_clusters_are_no_recipes() -> None:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    recipes = {path.name for path in (ROOT / "configs").iterdir() if path.is_file()}
    assert included == {f"configs/{name}": f"hierclf/recipes/{name}" for name in recipes}
    assert not {path.stem for path in CLUSTER.iterdir()} & set(recipe_names())
