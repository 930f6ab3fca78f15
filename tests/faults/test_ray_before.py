"""A process in which Ray has run before a search starts it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.searches import ROOT

BEFORE = """
import ray
ray.init(address="local", include_dashboard=False, num_cpus=1)
ray.shutdown()
from search.runtime.cluster import start_ray
start_ray(None)
print(ray.get(ray.remote(lambda: "answered").remote()))
"""


def test_a_search_starts_where_ray_has_run_with_a_token_of_its_own(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", BEFORE],
        capture_output=True,
        text=True,
        timeout=200,
        env=kept | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stdout.split() == ["answered"], done
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
