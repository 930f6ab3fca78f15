"""Claims about docker/Dockerfile, read as text: building it needs docker, which tests do not."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from hierclf.cli import app

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "Dockerfile"
INSTRUCTIONS = {
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "USER",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "ENTRYPOINT",
}


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, on one line."""
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in whole.splitlines() if line]


def arguments(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_it_holds_known_instructions_and_begins_with_a_slim_image() -> None:
    found = [name for name, _ in instructions()]
    assert set(found) == INSTRUCTIONS
    assert found[0] == "FROM"
    assert {image.split()[0] for image in arguments("FROM")} == {"python:3.11-slim"}


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    ignored = (FILE.parent / "Dockerfile.dockerignore").read_text().split("\n")
    assert "*" in ignored
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for rest in arguments("COPY")
        if "--from" not in rest
        for source in shlex.split(rest)[:-1]
    }
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    assert {"pyproject.toml", "hierclf", "search", "configs"} <= copied


def test_it_installs_what_serving_needs_with_the_projects_bounds() -> None:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    installed = {word for rest in arguments("RUN") for word in shlex.split(rest) if ">=" in word}
    own = {"numpy", "pillow", "typer"}
    needed = {item for item in project["dependencies"] if item.partition(">")[0] in own}
    needed |= {item for item in extras["export"] if item.startswith("onnxruntime")}
    assert installed == needed | set(extras["serve"])


def test_it_runs_as_nobody_special() -> None:
    (user,) = arguments("USER")
    assert all(int(part) > 0 for part in user.split(":"))
    last = [name for name, _ in instructions()]
    assert last.index("USER") > len(last) - 1 - last[::-1].index("RUN")


def test_its_command_is_one_of_hierclf_and_its_health_check_is_python() -> None:
    program, name, *words = json.loads(arguments("ENTRYPOINT")[0])
    assert program == "hierclf"
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    values = command.make_context(name, words).params
    assert (str(values["model"]), values["host"]) == ("/model", "0.0.0.0")
    assert arguments("EXPOSE") == [str(values["port"])]
    (check,) = arguments("HEALTHCHECK")
    python, option, code = json.loads(check.removeprefix("CMD "))
    assert (python, option) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert f":{values['port']}/health" in code
