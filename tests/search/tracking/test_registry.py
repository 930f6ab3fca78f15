"""The registry in a real SQLite mlflow_place, with a real (untrained) model directory."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.bundle.rule_file import save_rule
from hierclf.data.preprocessing import Preprocessing
from hierclf.hierarchy import Hierarchy
from hierclf.io.digest import sha256_of
from hierclf.nets.backbones import build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.predict import predict_images
from hierclf.rules.answers import COLUMNS
from hierclf.rules.rule import LevelRule, Rule
from search.tracking import store
from search.tracking.registry import Registered, register_model, resolve_model


def encoded(seed: int) -> bytes:
    """A random 32x32 PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    hierarchy = Hierarchy(
        super_names=("cat", "dog"),
        sub_names=("tabby", "lion", "pug"),
        sub_to_super=(0, 0, 1),
        super_ids=(0, 1),
        sub_ids=(0, 1, 2),
        novel_super_id=2,
        novel_sub_id=3,
    )
    backbone = build_backbone("smallnet", "none")
    heads = TwoHeads(backbone.n_features, 2, 3, novel_output=False)
    bundle = Bundle(
        net=TwoHeadNet(backbone, heads).eval(),
        backbone="smallnet",
        novel_output=False,
        preprocessing=Preprocessing(32, 32, 32, 0.875, "bilinear"),
        hierarchy=hierarchy,
        scores=("msp",),
        states={"nothing": np.zeros(1, np.float32)},
        rule=Rule(LevelRule("msp", 0.3), LevelRule("msp", 0.5)),
    )
    save_bundle(bundle, folder)
    return folder


@pytest.fixture(scope="module")
def mlflow_place(mlflow_uri: str, mlflow_experiment: str) -> tuple[str, str]:
    """(uri, parent run)"""
    return mlflow_uri, store.start_search(mlflow_uri, mlflow_experiment, "s", {"lr": 0.1}, {})


@pytest.fixture(scope="module")
def registered(
    mlflow_place: tuple[str, str], model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Registered:
    with pytest.MonkeyPatch.context() as patch:
        here = tmp_path_factory.mktemp("here")
        patch.chdir(here)
        done = register_model(
            *mlflow_place,
            model_dir,
            encoded(0),
            objective=0.5,
            fingerprint="data a",
            description="| a | *card* |",
        )
    assert not list(here.iterdir())  # such as MLflow's default store
    return done


def test_the_registered_model_resolves_to_the_same_model_directory(
    mlflow_place: tuple[str, str], model_dir: Path, registered: Registered
) -> None:
    import mlflow

    assert registered.version == registered.champion == "1"
    for address in ("models:/hierclf@champion", "models:/hierclf/1"):
        local = resolve_model(mlflow_place[0], address)
        names = sorted(path.name for path in model_dir.iterdir())
        assert sorted(path.name for path in local.iterdir()) == names
        for name in names:
            assert (local / name).read_bytes() == (model_dir / name).read_bytes()
    version = store.connect(mlflow_place[0]).get_model_version("hierclf", "1")
    assert version.run_id == mlflow_place[1]
    assert version.description == "| a | *card* |"
    rule = sha256_of(model_dir / "thresholds.json")
    tags = {"held_out_objective": "0.5", "data_fingerprint": "data a", "rule": rule}
    assert version.tags == tags
    assert store.connect(mlflow_place[0]).get_run(mlflow_place[1]).info.status == "RUNNING"
    assert not mlflow.is_tracking_uri_set()
    assert mlflow.active_run() is None
    assert all(Path(folder).exists() for folder in sys.path if "mlflow" in folder.lower())


def test_the_logged_model_is_code_and_data_and_holds_no_pickle(
    mlflow_place: tuple[str, str], registered: Registered
) -> None:
    folder = resolve_model(mlflow_place[0], "models:/hierclf/1").parents[1]
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    endings = {path.suffix or path.name for path in files}
    assert {".py", ".safetensors", ".json", ".yaml", ".txt", "MLmodel"} <= endings
    more = {".parquet", ".typed", ".css", ".j2", ".js"}
    assert endings <= {".py", ".safetensors", ".json", ".yaml", ".txt", "MLmodel"} | more
    for path in files:
        # What torch.save writes, and pickles of protocol 2 and later, begin so.
        assert path.read_bytes()[:2] not in {b"PK", *(bytes([0x80, n]) for n in range(2, 6))}, path
    flavor = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    assert "python_model" not in flavor  # where MLflow names a pickled model
    assert flavor["model_code_path"].endswith("pyfunc_model.py")


def test_a_run_that_was_cut_off_and_registers_again_keeps_its_version(
    mlflow_place: tuple[str, str], model_dir: Path, registered: Registered
) -> None:
    again = register_model(
        *mlflow_place, model_dir, encoded(0), objective=0.5, fingerprint="data a"
    )
    assert again.version == registered.version
    assert len(store.connect(mlflow_place[0]).search_model_versions("name = 'hierclf'")) == 1


def test_a_model_with_other_thresholds_is_a_new_version_and_takes_its_runs_alias(
    mlflow_uri: str, mlflow_experiment: str, model_dir: Path, tmp_path: Path
) -> None:
    parent = store.start_search(mlflow_uri, mlflow_experiment, "other thresholds", {}, {})
    model = tmp_path / "model"
    shutil.copytree(model_dir, model)
    options: dict[str, Any] = {"objective": 0.5, "fingerprint": "a", "name": "changed"}
    first = register_model(mlflow_uri, parent, model, encoded(0), **options)
    save_rule(model, Rule(LevelRule("msp", 0.25), LevelRule("msp", 0.5)))
    second = register_model(mlflow_uri, parent, model, encoded(0), **options)
    assert (first.version, second.version, second.champion) == ("1", "2", "2")
    assert "version 1 has the former thresholds" in second.message
    assert register_model(mlflow_uri, parent, model, encoded(0), **options).version == "2"
    local = resolve_model(mlflow_uri, "models:/changed@champion")
    assert load_bundle(local).rule == Rule(LevelRule("msp", 0.25), LevelRule("msp", 0.5))


@pytest.mark.parametrize("act", [shutil.move, shutil.copytree])
def test_a_results_folder_moved_or_copied_resolves_its_own_models_and_takes_no_new_ones(
    model_dir: Path, tmp_path: Path, act: Callable[[Path, Path], object]
) -> None:
    before, now = tmp_path / "before", tmp_path / "now #2"
    uri = store.default_uri(before)
    experiment = store.open_store(uri, "x", before / "mlartifacts", own=True)
    parent = store.start_search(uri, experiment, "s", {}, {})
    register_model(uri, parent, model_dir, encoded(0), objective=0.5, fingerprint="a")
    act(before, now)
    local = resolve_model(store.default_uri(now), "models:/hierclf@champion")
    assert now in local.parents
    assert load_bundle(local).rule == load_bundle(model_dir).rule
    with pytest.raises(ValueError, match=f"moved or copied from {before}: move it back") as error:
        store.open_store(store.default_uri(now), "x", now / "mlartifacts", own=True)
    assert "\n" not in str(error.value)


@pytest.fixture
def served(mlflow_place: tuple[str, str], registered: Registered) -> Any:
    """The registered model as MLflow loads it, which changes Python's path."""
    from mlflow.pyfunc import load_model

    path = list(sys.path)
    model = load_model(str(resolve_model(mlflow_place[0], "models:/hierclf/1").parents[1]))
    sys.path[:] = path
    return model


def test_the_loaded_model_predicts_bytes_and_base64_text_as_hierclf_does(
    model_dir: Path, served: Any
) -> None:
    images = [encoded(1), encoded(2)]
    expected = predict_images(load_bundle(model_dir), [("a", images[0]), ("b", images[1])])
    table = pd.DataFrame({"image": [base64.b64encode(image).decode() for image in images]})
    for form in (table, pd.DataFrame({"image": images})):
        predicted = served.predict(form)
        assert isinstance(predicted, pd.DataFrame)
        assert predicted.pop("error").isna().all()
        pd.testing.assert_frame_equal(predicted, expected[list(COLUMNS[1:])])


def test_an_unreadable_image_costs_its_own_row_only(model_dir: Path, served: Any) -> None:
    from mlflow.pyfunc.scoring_server import predictions_to_json

    cells = [encoded(1), b"no image", encoded(2), encoded(1)[:20]]
    texts = [base64.b64encode(cell).decode() for cell in cells]
    texts[3:] = ["no base64!", str(model_dir / "bundle.json"), ""]
    expected = predict_images(load_bundle(model_dir), [("a", encoded(1)), ("b", encoded(2))])
    for column in (cells, texts):
        table = served.predict(pd.DataFrame({"image": column}))
        assert isinstance(table, pd.DataFrame)
        assert len(table) == len(column)
        assert [error is None for error in table["error"]] == [
            i in (0, 2) for i in range(len(column))
        ]
        assert table["subclass"][[0, 2]].tolist() == expected["subclass"].tolist()
        assert table["subclass"][1] is None
        answer = io.StringIO()
        predictions_to_json(table, answer)
        rows = json.loads(answer.getvalue())["predictions"]
        assert rows[2]["subclass_index"] == expected["subclass_index"][1]
        assert "not a readable" in rows[1]["error"]
        if column is texts:
            assert all("base64 text" in rows[i]["error"] for i in (3, 4))


@pytest.mark.parametrize(
    "address", ["hierclf", "models:/hierclf", "models:/hierclf/best", "runs:/x/y"]
)
def test_an_address_that_is_none_is_refused(mlflow_place: tuple[str, str], address: str) -> None:
    with pytest.raises(ValueError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        resolve_model(mlflow_place[0], address)


@pytest.mark.parametrize(
    "address", ["models:/hierclf@nobody", "models:/hierclf/99", "models:/no/1"]
)
def test_a_version_that_does_not_exist_is_one_line(
    mlflow_place: tuple[str, str], registered: Registered, address: str
) -> None:
    with pytest.raises(ValueError, match="not found") as error:
        resolve_model(mlflow_place[0], address)
    assert "\n" not in str(error.value)


def test_a_model_without_a_finite_objective_is_not_registered(
    mlflow_place: tuple[str, str], model_dir: Path
) -> None:
    with pytest.raises(ValueError, match="finite"):
        register_model(*mlflow_place, model_dir, b"", objective=float("nan"), fingerprint="a")


@pytest.mark.slow
def test_mlflow_models_predict_works_from_another_folder_without_hierclf_on_the_path(
    mlflow_place: tuple[str, str], registered: Registered, tmp_path: Path
) -> None:
    image = base64.b64encode(encoded(3)).decode()
    (tmp_path / "in.json").write_text(json.dumps({"dataframe_records": [{"image": image}]}))
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "predict",
        "-m",
        "models:/hierclf@champion",
    ]
    command += ["--env-manager", "local", "-i", "in.json", "-o", "out.json", "-t", "json"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = mlflow_place[0]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    (row,) = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert tuple(row) == (*COLUMNS[1:], "error")
    assert not (tmp_path / "mlflow.db").exists()
