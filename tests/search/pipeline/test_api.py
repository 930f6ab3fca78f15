"""Claims about `search.run` and `search.resume`: what they refuse before anything is started."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import search
from search.pipeline.api import default_recipe


def test_the_package_offers_its_names_and_no_others() -> None:
    assert search.__all__ == ["RunResult", "dry_run", "resume", "run"]
    assert all(callable(getattr(search, name)) for name in search.__all__)
    with pytest.raises(AttributeError, match="module 'search' has no attribute 'nothing'"):
        getattr(search, "nothing")  # noqa: B009


@pytest.mark.parametrize("start", [lambda: search.run("demo"), lambda: search.resume("one")])
def test_another_thread_than_the_main_one_is_refused(start: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as pool:
        started = pool.submit(start)
    with pytest.raises(ValueError, match="must run in the main thread, but got the thread 'worker"):
        started.result()


def test_wrong_arguments_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"search\.trials: .* but got -1"):
        search.run("demo", trials=-1, results=tmp_path / "results")
    with pytest.raises(ValueError, match=r"a recipe .* but none does not exist"):
        search.run("demo", config="none", results=tmp_path / "results")
    with pytest.raises(ValueError, match=r"data\.group_by: .*regular expression, but got '\('"):
        search.run("demo", group_by="(", results=tmp_path / "results")
    with pytest.raises(ValueError, match="--gpus must be at least 0"):
        search.run("demo", gpus=-1, results=tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_data_without_a_recipe_get_the_one_that_suits_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert default_recipe(None, gpus=None, address=None) == "demo"
    assert default_recipe("demo:3", gpus=4, address=None) == "demo"
    assert default_recipe("pets", gpus=0, address="auto") == "cpu"
    assert default_recipe("pets", gpus=None, address="auto") == "paper"
    assert default_recipe("pets", gpus=2, address=None) == "paper"
    for n_gpus, recipe in ((0, "cpu"), (1, "paper")):
        monkeypatch.setattr("torch.cuda.device_count", lambda n=n_gpus: n)
        assert default_recipe("pets", gpus=None, address=None) == recipe


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_process_in_which_ray_runs_is_refused(tmp_path: Path) -> None:
    import ray

    with pytest.raises(ValueError, match=r"call ray\.shutdown\(\) first$"):
        search.run("demo", results=tmp_path / "results")
    assert ray.is_initialized()
    assert list(tmp_path.iterdir()) == []
