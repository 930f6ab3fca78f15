"""What a search gets of the cores beside other programs."""

import os

import pytest
import ray


@pytest.mark.slow
def test_workers_are_as_nice_as_the_search_and_no_nicer(started_ray: None) -> None:
    @ray.remote
    def niceness() -> int:
        return os.nice(0)

    assert ray.get(niceness.remote()) == os.nice(0)
