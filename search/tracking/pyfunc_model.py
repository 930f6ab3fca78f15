"""The model as MLflow serves it: a table of encoded images in, a table of predictions out.

MLflow stores this file beside the model directory and runs it when the model is loaded
("models from code"): nothing is pickled.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from hierclf.bundle.directory import Bundle, load_bundle
from hierclf.predict import predict_images


def image_bytes(value: Any, *, row: int) -> bytes:
    """Encoded image (JPEG, PNG, ...) of one cell: raw bytes, or the same as base64 text."""
    if not isinstance(value, str):
        return bytes(value)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(
            f"column `image` must hold image bytes or base64 text, but got row {row}: {error}"
        ) from error


class HierclfModel(PythonModel):
    """A class because MLflow asks for one: the loaded bundle is its only state."""

    bundle: Bundle

    def load_context(self, context: PythonModelContext) -> None:
        self.bundle = load_bundle(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None
    ) -> pd.DataFrame:
        """One row an input row, in order: the columns of `hierclf predict` without `image`."""
        if "image" not in model_input:
            raise ValueError(
                f"the input must have a column `image`, but got columns {list(model_input)}"
            )
        images = [
            (str(row), image_bytes(value, row=row))
            for row, value in enumerate(model_input["image"])
        ]
        return predict_images(self.bundle, images).drop(columns="image")


set_model(HierclfModel())
