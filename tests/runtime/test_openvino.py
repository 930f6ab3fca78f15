"""OpenVINO reads the exported network as it is, and decides as onnxruntime does."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from hierclf.commands.export import export_model
from hierclf.data.demo import demo_arrays
from hierclf.data.images import decode
from hierclf.runtime import load
from hierclf.runtime.view import center_view
from hierclf.scores import ScoreInputs
from tests.tiny_models import pictures, tiny_bundle


def test_openvino_decides_on_demo_images_as_onnxruntime_does(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    export_model(tiny_bundle(), tmp_path / "exported")
    predictor = load(tmp_path / "exported")
    images = [*demo_arrays(split="test").images[:100], *(decode(data) for _, data in pictures(40))]
    views = np.stack([center_view(image, predictor.parts.preprocessing) for image in images])
    network = openvino.Core().compile_model(
        tmp_path / "exported" / "network.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    names = [str(number) for number in range(len(images))]
    own = predictor.answers(names, predictor.outputs(views))
    found = predictor.answers(names, ScoreInputs(*network(views).values()))
    assert {"novel"} < set(own["subclass"])
    for name in ("superclass", "subclass"):
        assert list(found[name]) == list(own[name])
    for name in ("super_score", "sub_score"):
        np.testing.assert_allclose(found[name], own[name], rtol=1e-3, atol=1e-4)
