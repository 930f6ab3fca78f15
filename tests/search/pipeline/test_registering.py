"""Registration beside a search, in a real SQLite store: other thresholds, and added classes."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.rule_file import RULE_FILE
from hierclf.commands.thresholds import choose_thresholds
from hierclf.config import parse_config
from hierclf.io.digest import sha256_of
from hierclf.rules.goals import BALANCED, Goal
from hierclf.training.record import TrainingRecord, save_record
from search.register import app as register_app
from search.thresholds import app as thresholds_app
from search.tracking import store
from search.tracking.registry import register_model, resolve_model
from search.tracking.versions import find_version
from tests.tiny_models import encoded, picture, save_tiny_model


class Registry:
    """A store of its own, with a tiny model that a run has registered."""

    def __init__(self, results: Path) -> None:
        self.results, self.model = results, results / "runs" / "one" / "model"
        self.uri = store.default_uri(results)
        self.experiment = store.open_store(self.uri, "hierclf", results / "mlartifacts", own=True)
        save_tiny_model(self.model)
        self.add("one", "data a", 0.5)

    def add(self, run: str, data: str, objective: float) -> None:
        run_id = store.start_search(self.uri, self.experiment, run, {"lr": 0.1}, {})
        profile = {"images": 600}
        store.log_data(self.uri, run_id, "photos", source="x", fingerprint=data, profile=profile)
        example = encoded(picture(0))
        options: dict[str, Any] = {"objective": objective, "fingerprint": data}
        register_model(self.uri, run_id, self.model, example, **options)

    def card(self, version: str) -> str:
        client = store.connect(self.uri)
        return str(client.get_model_version("hierclf", version).description)

    def champion(self) -> str:
        client = store.connect(self.uri)
        return str(client.get_model_version_by_alias("hierclf", "champion").version)

    def rule(self, address: str = "models:/hierclf@champion") -> Any:
        return load_card(resolve_model(self.uri, address)).rule

    def thresholds(self, *words: str, code: int = 0) -> Result:
        given = [*words, "--results", str(self.results)]
        result = CliRunner().invoke(thresholds_app, given)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def register(self, *words: object, code: int = 0) -> Result:
        given = [*map(str, words), "--results", str(self.results)]
        result = CliRunner().invoke(register_app, given)
        assert result.exit_code == code, (result.output, result.exception)
        return result


@pytest.fixture
def registry(tmp_path: Path, mlflow_uri: str) -> Registry:
    return Registry(tmp_path / "results")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, mlflow_uri: str) -> Registry:
    """For what changes nothing."""
    return Registry(tmp_path_factory.mktemp("untouched") / "results")


def test_a_goal_makes_a_version_with_its_thresholds_and_undo_goes_back(registry: Registry) -> None:
    first = registry.rule()
    before = sha256_of(registry.model / RULE_FILE)
    said = registry.thresholds("models:/hierclf", "--goal", "overall", "--novel-rate", "0.2")
    goal = Goal("overall", novel_rate=0.2)
    assert registry.rule() == choose_thresholds(registry.model, goal).rule != first
    assert registry.champion() == "2"
    assert "version 2 (0.5000 on held-out classes) is now the champion" in said.stdout
    assert "models:/hierclf/1 keeps its thresholds; models:/hierclf/2 has these" in said.stdout
    assert registry.rule("models:/hierclf/1") == first
    assert sha256_of(registry.model / RULE_FILE) == before
    versions = [find_version(registry.uri, f"models:/hierclf/{i}") for i in (1, 2)]
    assert versions[0]._replace(version="2") == versions[1]
    card = registry.card("2")
    assert "- data: photos, 600 images" in card
    assert f"{registry.rule().super.tau:.4g}" in card
    assert "Expected on new images" in card
    undone = registry.thresholds("models:/hierclf", "--undo")
    assert registry.champion() == "1"
    assert registry.rule() == first
    assert "models:/hierclf/2 keeps its thresholds; models:/hierclf/1 has these" in undone.stdout


def test_thresholds_of_ones_own_are_registered(registry: Registry) -> None:
    registry.thresholds("models:/hierclf@champion", "--super-tau=1.5", "--sub-tau=0.25")
    rule = registry.rule("models:/hierclf/2")
    assert (rule.super.tau, rule.sub.tau) == (1.5, 0.25)


def test_a_dry_run_registers_nothing(untouched: Registry) -> None:
    said = untouched.thresholds("models:/hierclf/1", "--dry-run").stdout
    assert "expected on new images" in said
    assert "version 1 of hierclf is as it was" in said
    assert len(store.connect(untouched.uri).search_model_versions("name = 'hierclf'")) == 1


def test_a_champion_on_other_data_stays_unless_it_is_taken_over(registry: Registry) -> None:
    registry.add("two", "data b", 0.9)  # version 2, which does not take over
    change = ("models:/hierclf/2", "--super-tau=1.5", "--sub-tau=0.25")
    said = registry.thresholds(*change).stdout
    assert registry.champion() == "1"
    assert "version 1, trained on other data, stays champion" in said
    registry.thresholds(*change, "--take-over")
    assert registry.champion() == "3"
    assert registry.rule().super.tau == 1.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("models:/hierclf", "--undo"), "version 1 of hierclf has none"),
        (("models:/hierclf", "--undo", "--dry-run"), "--undo must be given alone"),
        (("models:/hierclf", "--super-tau", "1"), "must be given together"),
        (("models:/nobody",), "not found"),
        (("hierclf",), "models:/NAME@ALIAS or models:/NAME/VERSION"),
        (("models:/hierclf/9",), "not found"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    untouched: Registry, words: tuple[str, ...], message: str
) -> None:
    (line,) = untouched.thresholds(*words, code=2).stderr.splitlines()
    assert line.startswith("thresholds.py: error: ")
    assert message in line
    assert len(store.connect(untouched.uri).search_model_versions("name = 'hierclf'")) == 1


def test_a_results_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    given = ["models:/hierclf", "--results", str(tmp_path)]
    result = CliRunner().invoke(thresholds_app, given)
    assert "mlflow.db does not exist" in result.stderr
    assert not list(tmp_path.iterdir())


def with_record(registry: Registry, fingerprint: str) -> Path:
    """A model directory of other data, as `hierclf add-class` leaves it."""
    model = registry.model.with_name("model-2")
    save_tiny_model(model)
    config = parse_config({"data": {"path": "/data/animals"}})
    save_record(model, TrainingRecord(config, "data a", fingerprint, 612))
    return model


def test_a_model_with_added_classes_is_a_version_and_the_champion_stays_unless_taken_over(
    registry: Registry,
) -> None:
    model = with_record(registry, "data a and more")
    said = registry.register(model).stdout
    assert "version 1, trained on other data, stays champion" in said
    version = find_version(registry.uri, "models:/hierclf/2")
    expected = choose_thresholds(model, BALANCED).expected.figures
    harmonic = [expected[f"{level}_harmonic"] for level in ("super", "sub")]
    assert version.objective == pytest.approx(sum(x.expected for x in harmonic if x) / 2)
    assert (version.data, version.n_images) == ("animals", 612)
    assert version.fingerprint == "data a and more"
    client = store.connect(registry.uri)
    assert "Expected on new images" in registry.card("2")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["data.path"] == "/data/animals"
    assert "held_out.sub_harmonic" in run.data.metrics
    registry.register(model, "--take-over")
    assert registry.champion() == "2"
    assert len(client.search_model_versions("name = 'hierclf'")) == 2
    assert load_bundle(resolve_model(registry.uri, "models:/hierclf/2")).rule == registry.rule()


def test_another_name_is_another_registered_model(registry: Registry) -> None:
    registry.register(with_record(registry, "x"), "--registered-model", "animals")
    assert find_version(registry.uri, "models:/animals@champion").version == "1"
    (line,) = registry.register(
        registry.model, "--registered-model", "a/b", code=2
    ).stderr.splitlines()
    assert "--registered-model must be 1 to 100 letters" in line


def test_a_model_that_does_not_say_how_it_was_trained_is_refused(untouched: Registry) -> None:
    (line,) = untouched.register(untouched.model, code=2).stderr.splitlines()
    assert "has no training.json" in line
