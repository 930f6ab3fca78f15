"""Fixtures that several test modules share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An SQLite store, one for all tests: MLflow builds it in some sixty transactions.

    None of them waits for the disk, which is most of the time on a busy machine.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from search import tracking

    @event.listens_for(Engine, "connect")
    def no_waiting(connection: object, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]

    folder = tmp_path_factory.mktemp("a results folder")
    uri = tracking.default_uri(folder)
    tracking.open_store(uri, "first", folder / "mlartifacts")
    yield uri
    event.remove(Engine, "connect", no_waiting)


@pytest.fixture(scope="module")
def mlflow_experiment(
    mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> str:
    """Id of an experiment of the test module's own in `mlflow_uri`."""
    from search import tracking

    folder = tmp_path_factory.mktemp("mlartifacts")
    return tracking.open_store(mlflow_uri, request.module.__name__, folder)
