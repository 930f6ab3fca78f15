"""Predictions of a trained model.

python examples/predict_in_three_lines.py results/runs/NAME/model IMAGES
"""

import sys

import hierclf

model = hierclf.load(sys.argv[1])
table = model.predict(sys.argv[2])
print(table[["image", "superclass", "subclass", "error"]].to_string())
