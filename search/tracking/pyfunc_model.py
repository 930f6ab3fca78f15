"""The model as MLflow serves it: a table of encoded images in, a table of predictions out.

MLflow stores this file beside the model directory and runs it to load the model ("models from
code"), so that nothing is pickled.
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
    """The encoded image (JPEG, PNG, ...) in a cell of raw bytes or base64 text.

    Raises:
        ValueError: the cell holds neither of them.
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
    """MLflow's pyfunc model; the loaded model is its only state."""

    model: Model

    def load_context(self, context: PythonModelContext) -> None:
        self.model = load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None
    ) -> pd.DataFrame:
        """One row per input row, in order, with the columns of `hierclf predict` except `image`.

        A row whose image cannot be read has the reason in `error`, and None in all other columns.
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
        return table.astype(object).where(table.notna(), None)  # JSON has no NaN


set_model(HierclfModel())
