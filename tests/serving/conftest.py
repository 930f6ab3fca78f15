"""One tiny model in both of its forms."""

from pathlib import Path

import pytest

from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def exported(model: Path) -> Path:
    pytest.importorskip("onnxscript")
    from hierclf.bundle.directory import load_bundle
    from hierclf.commands.export import export_model

    folder = model.parent / "exported"
    export_model(load_bundle(model), folder)
    return folder
