"""A search from Python: a small one on the demo set, and predictions with its model.

    python examples/search_from_python.py

Takes about a minute on 2 CPU cores. `search.run` is `python search/tune.py` as a function.
"""

import hierclf
import search

result = search.run(
    "demo",
    trials=2,
    gpus=0,
    overrides=["train.epochs=3", "folds.sub=2", "thresholds.trials=60"],
)
print(f"run {result.name}: {result.accuracies}")

model = hierclf.load(result.model)
print(model, model.thresholds)
