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

from hierclf.model import Model, load


def image_bytes(value: Any) -> bytes:
    """Encoded image (JPEG, PNG, ...) of one cell: raw bytes, or the same as base64 text.

    Raises:
        ValueError: the cell holds neither.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ValueError(f"must be image bytes or base64 text, but got {kind}")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be image bytes or base64 text: {error}") from error


class HierclfModel(PythonModel):
    """A class because MLflow asks for one: the loaded model is its only state."""

    model: Model

    def load_context(self, context: PythonModelContext) -> None:
        self.model = load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None
    ) -> pd.DataFrame:
        """One row an input row, in order: the columns of `hierclf predict` without `image`.

        A row whose image cannot be read has None in all of them, and the reason in `error`.
        """
        if "image" not in model_input:
            raise ValueError(
                f"the input must have a column `image`, but got columns {list(model_input)}"
            )
        images, errors = [], {}
        for row, value in enumerate(model_input["image"]):
            try:
                images.append(image_bytes(value))
            except ValueError as error:
                images.append(b"")
                errors[row] = str(error)
        table = self.model.predict(images).drop(columns="image")
        table["error"] = [errors.get(row, error) for row, error in enumerate(table["error"])]
        if table["error"].isna().all():
            return table.astype({"superclass_index": "int64", "subclass_index": "int64"})
        return table.astype(object).where(table.notna(), None)  # JSON knows no NaN


set_model(HierclfModel())
