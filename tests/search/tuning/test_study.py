"""Where studies are stored, and which a search may join."""

from importlib.util import find_spec
from pathlib import Path

import optuna
import pytest

from hierclf.config import Config, load_config
from search.tuning.study import (
    StudyPlace,
    absolute_address,
    check_study,
    join_study,
    open_storage,
    open_study,
    study_place,
)
from tests.search.tuning.stored_studies import one_trial, search


def place(address: str, *, shared: bool = False, own: bool = False) -> StudyPlace:
    return StudyPlace(address, "one", shared, own)


def test_a_run_has_its_own_journal_unless_the_configuration_names_a_place(tmp_path: Path) -> None:
    journal = tmp_path / "study.log"
    assert study_place(Config(), "one", journal) == (str(journal), "one", False, True)
    named = load_config(None, ["search.study=sqlite:////o.db"])
    assert study_place(named, "one", journal) == ("sqlite:////o.db", "one", False, False)
    joined = load_config(None, ["search.study=o.log", "search.study_name=all"])
    assert study_place(joined, "one", journal) == ("o.log", "all", True, False)


def test_relative_places_are_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_address("o.log") == str(tmp_path / "o.log")
    assert absolute_address("sqlite:///o.db") == f"sqlite:///{tmp_path}/o.db"
    assert absolute_address("postgresql://me@host/o") == "postgresql://me@host/o"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://me:secret@host/o", "--study must name no password"),
        ("sqlite://", "--study must name a file that outlives the search"),
        ("://", "--study must be a file or the address of a database"),
        ("/", "--study must name a file or a database, but / is a folder"),
    ],
)
def test_a_place_that_cannot_keep_a_study_is_refused_in_one_line(
    address: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        absolute_address(address)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "nosuchdatabase://host/o",
        "sqlite:////no/such/folder/o.db",
        "/no/such/folder/study.log",
        "postgresql+nosuchdriver://me@host/o",
        "/dev/null/study.log",
    ],
)
def test_a_storage_that_does_not_open_is_one_line(address: str) -> None:
    with pytest.raises(ValueError, match=r"the study's storage .* must open") as refused:
        check_study(place(address), resumed=False)
    assert "\n" not in str(refused.value)


def test_a_database_whose_driver_is_missing_names_the_package() -> None:
    driver = "asyncpg"
    if find_spec(driver) is not None:
        pytest.skip(f"{driver} is installed")
    with pytest.raises(ValueError, match=f"needs the package {driver}, which is not installed"):
        check_study(place(f"postgresql+{driver}://me@host/o"), resumed=False)


@pytest.mark.parametrize("content", ["no journal\n", '{"other": 1}\n', "[]\n"])
def test_a_file_that_is_no_journal_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "o.log"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"the study's storage .* must open"):
        check_study(place(str(path)), resumed=False)
    assert path.read_text() == content


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_study_of_another_search_is_joined_only_by_name(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "o.log") if kind == "journal" else f"sqlite:///{tmp_path}/o.db"
    check_study(place(address), resumed=False)
    join_study(place(address), Config(), "pixels")
    with pytest.raises(ValueError, match="one named one; give another --name, or join it with"):
        check_study(place(address), resumed=False)
    check_study(place(address), resumed=True)
    check_study(place(address, shared=True), resumed=False)


@pytest.mark.parametrize(
    ("override", "data", "message"),
    [
        ("seed=1", "pixels", ""),
        ("search.trials=5", "pixels", ""),
        ("train.lr=0.002", "pixels", ""),  # searched
        ("train.epochs=7", "pixels", "train.epochs is 7 here and 30 in one"),
        ("folds.sub=3", "pixels", "folds.sub is 3 here and"),
        ("search.space.train.lr.high=0.1", "pixels", "search.space is"),
        ("seed=0", "others", "the images are others in one"),
    ],
)
def test_only_searches_for_the_same_share_a_study(
    tmp_path: Path, override: str, data: str, message: str
) -> None:
    shared = place(str(tmp_path / "o.log"), shared=True)
    join_study(shared, Config(), "pixels")
    config = load_config(None, [override])
    if not message:
        join_study(shared, config, data)
        return
    with pytest.raises(ValueError, match="searches that share a study must have the same") as error:
        join_study(shared, config, data)
    assert message in str(error.value)


def test_studies_of_other_programs_are_refused(tmp_path: Path) -> None:
    shared = place(str(tmp_path / "o.log"), shared=True)
    study = optuna.create_study(storage=open_storage(shared.address), study_name="one")
    with pytest.raises(ValueError, match="must maximise one value"):
        join_study(shared, Config(), "pixels")
    other = shared._replace(name="two")
    study = optuna.create_study(
        storage=open_storage(shared.address), study_name="two", direction="maximize"
    )
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="two was made by another program"):
        join_study(other, Config(), "pixels")


def test_half_a_line_and_a_lock_of_a_dead_process_are_removed_from_a_runs_own_journal(
    tmp_path: Path,
) -> None:
    own = place(str(tmp_path / "study.log"), own=True)
    join_study(own, Config(), "pixels")
    one_trial(search(own), "a")
    path = tmp_path / "study.log"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    Path(f"{path}.lock").symlink_to(path)
    check_study(own, resumed=True)
    assert path.read_bytes() == whole
    one_trial(search(own), "b")
    assert len(open_study(own).study.trials) == 2
