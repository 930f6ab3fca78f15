"""Fixtures that several test modules share."""

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import search  # noqa: F401  it sets what Ray reads while it is imported, by whichever test
from tests.searches import TINY, Ended, Place, frozen, tiny, tune

# A busy machine must not fail a claim about values.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An SQLite store, one for all tests: MLflow builds it in some sixty transactions.

    None of them waits for the disk, which is most of the time on a busy machine.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from search.tracking import store

    @event.listens_for(Engine, "connect")
    def no_waiting(connection: object, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]

    folder = tmp_path_factory.mktemp("a results folder")
    uri = store.default_uri(folder)
    store.open_store(uri, "first", folder / "mlartifacts")
    yield uri
    event.remove(Engine, "connect", no_waiting)


@pytest.fixture(scope="module")
def mlflow_experiment(
    mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> str:
    """Id of an experiment of the test module's own in `mlflow_uri`."""
    from search.tracking import store

    folder = tmp_path_factory.mktemp("mlartifacts")
    return store.open_store(mlflow_uri, request.module.__name__, folder)


@pytest.fixture(scope="module")
def started_ray() -> Iterator[None]:
    """Ray on this machine, as a search starts it."""
    import ray

    from search.runtime.cluster import start_ray

    start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray with as little as a trial without workers needs."""
    import ray

    # A process keeps the first token that it reads; `started_ray` must find the same.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        address="local",  # left to itself, Ray joins one that another process has started
        include_dashboard=False,
        num_cpus=1,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where the searches of all tests go; they share an image cache."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "tiny.yaml").write_text(TINY)
    return Place(folder / "cache", folder / "tiny.yaml", folder / "results")


@pytest.fixture(scope="session")
def finished(place: Place) -> Ended:
    """A tiny search over heads on frozen features, run to its end as `one`."""
    ended = tune(*tiny(place, "one", *frozen(place)), cache=place.cache)
    assert ended.code == 0, ended
    return ended


@pytest.fixture
def run(place: Place, finished: Ended) -> Path:
    """The folder of `finished`."""
    return place.run("one")
