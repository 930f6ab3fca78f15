"""Where a search's Optuna study is stored, and whether a search may join it.

Trials of a search carry its name and Tune's id, so that a resumed search knows its own.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.study import StudyDirection
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from hierclf.config import Config
from hierclf.errors import one_line

StudyErrors = (OptunaError, SQLAlchemyError, OSError, ImportError)
"""What a call to a storage may raise; ImportError if a database's driver is missing."""
_FACTS = "hierclf.searched"
_BUSY_S = 60
"""How long a write waits for the other searches that share a SQLite file."""


class StudyPlace(NamedTuple):
    """Where a study is.

    Attributes:
        address: of a database, or the path of a journal file.
        name: of the study there.
        shared: whether searches may join it.
        own: whether only the process of this run writes there.
    """

    address: str
    name: str
    shared: bool
    own: bool


class OpenStudy(NamedTuple):
    """A study and the storage that it is in.

    Attributes:
        study: for all that Optuna offers for studies.
        storage: to write to a trial that another process has asked for.
    """

    study: optuna.Study
    storage: BaseStorage

    def key_of(self, number: int) -> int:
        """The storage's own key of the study's trial of that number."""
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, number)


def study_place(config: Config, run: str, journal: Path) -> StudyPlace:
    """The place that the configuration names, or a journal file of the run's own."""
    search = config.search
    address = str(journal) if search.study is None else search.study
    own, shared = search.study is None, search.study_name is not None
    return StudyPlace(address, search.study_name or run, shared, own)


def absolute_address(address: str) -> str:
    """The same place for a process in any folder.

    Raises:
        ValueError: no address of a database, one with a password, or a journal that is a folder.
    """
    if "://" not in address:
        path = Path(address).absolute()
        if path.is_dir():
            raise ValueError(f"--study must name a file or a database, but {path} is a folder")
        return str(path)
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(
            "--study must be a file or the address of a database, such as sqlite:///optuna.db, "
            f"but got {address!r}"
        ) from None
    if url.password is not None:
        raise ValueError(
            "--study must name no password, since configurations are copied to MLflow and to "
            f"reports, but got {url.render_as_string()}; PostgreSQL reads PGPASSWORD or ~/.pgpass"
        )
    if url.get_backend_name() != "sqlite":
        return address
    if url.database in (None, "", ":memory:"):
        raise ValueError(f"--study must name a file that outlives the search, but got {address}")
    return url.set(database=str(Path(str(url.database)).absolute())).render_as_string()


def open_storage(address: str) -> BaseStorage:
    """Open a storage, and create it if it is not there.

    Raises:
        OptunaError, SQLAlchemyError, OSError, ImportError: see `StudyErrors`.
    """
    if "://" in address:
        sqlite = {"connect_args": {"timeout": _BUSY_S}} if address.startswith("sqlite") else {}
        return RDBStorage(address, engine_kwargs={"pool_pre_ping": True, **sqlite})
    # A symbolic link is a lock on every network file system, but needs rights on Windows.
    lock = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
    if not _may_be_journal(Path(address)):
        raise StorageInternalError("it is no journal of Optuna")
    return JournalStorage(JournalFileBackend(address, lock_obj=lock(address)))


def _may_be_journal(path: Path) -> bool:
    """Whether Optuna may append to a file; it would to any, since it skips a torn last line."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        line = file.readline(1000)
    return not line or line.startswith(b'{"op_code":')


@contextmanager
def _plain_errors(address: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        driver = error.name or make_url(address).get_driver_name()
        raise ValueError(
            f"the study's storage {address} needs the package {driver}, which is not installed"
        ) from None
    except StudyErrors as error:
        raise ValueError(f"the study's storage {address} must open: {one_line(error)}") from None


def open_study(place: StudyPlace) -> OpenStudy:
    """Open a study that is there.

    Raises:
        OptunaError, SQLAlchemyError, OSError, ImportError: see `StudyErrors`.
    """
    storage = open_storage(place.address)
    return OpenStudy(optuna.load_study(study_name=place.name, storage=storage), storage)


def _repair(path: Path) -> None:
    """Remove what a process that died left in a run's own journal: a lock, half a line at its end.

    No process that lives writes to it.
    """
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def check_study(place: StudyPlace, *, resumed: bool) -> None:
    """Refuse a place that cannot be used, before anything starts.

    Raises:
        ValueError: the storage cannot be opened, or a study of that name is another search's.
    """
    with _plain_errors(place.address):
        if place.own:
            _repair(Path(place.address))
        there = place.name in optuna.get_all_study_names(open_storage(place.address))
    if there and not (resumed or place.shared):
        raise ValueError(
            f"a search's own study must be new, but {place.address} has one named {place.name}; "
            f"give another --name, or join it with --study-name {place.name}"
        )


def join_study(place: StudyPlace, config: Config, fingerprint: str) -> None:
    """Create the study, or check that this search may join it.

    Args:
        place: where it is.
        config: of the search.
        fingerprint: of the data.

    Raises:
        ValueError: the study's trials were of other data or another configuration.
    """
    with _plain_errors(place.address):
        study = optuna.create_study(
            storage=open_storage(place.address),
            study_name=place.name,
            direction="maximize",
            load_if_exists=True,
        )
    if study.directions != [StudyDirection.MAXIMIZE]:
        raise ValueError(f"a study to join must maximise one value, but {place.name} does not")
    facts, there = _facts(config, fingerprint), study.user_attrs.get(_FACTS)
    if there is None:
        if study.get_trials(deepcopy=False):
            raise ValueError(
                f"a study to join must be of a search like this one, but {place.name} was made by "
                "another program"
            )
        study.set_user_attr(_FACTS, facts)
    elif other := _first_difference(there, facts):
        raise ValueError(
            "searches that share a study must have the same data, space and configuration, but "
            f"{other} in {place.name}"
        )


def _facts(config: Config, fingerprint: str) -> dict[str, Any]:
    """What the value of a trial depends on, besides the searched values, by dotted key."""
    tree = config.model_dump(mode="json")
    space = tree["search"]["space"]
    facts = {"data": fingerprint, "search.space": space}
    for section in ("model", "train", "folds"):
        for name, value in tree[section].items():
            if (key := f"{section}.{name}") not in space:
                facts[key] = value
    return facts


def _first_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first key that both have with another value, in words; empty if there is none."""
    for key, value in here.items():
        if key in there and there[key] != value:
            if key == "data":
                return "the images are others"
            return f"{key} is {value} here and {there[key]}"
    return ""
