"""Predict with an exported model: NumPy, onnxruntime and Pillow suffice, there is no torch.

>>> from hierclf.runtime import load
>>> rows = load("exported").predict(["photo.jpg"])

`hierclf export MODEL FOLDER` writes what `load` reads. Every step but the network itself is the
code that the model's own predictions use.
"""

import os

# onnxruntime 1.32 for Linux begins to collect telemetry when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from hierclf.runtime.predictor import Predictor, load

__all__ = ["Predictor", "load"]
