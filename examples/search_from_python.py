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
print("run", result.name)
for figure, expected in result.promise.items():
    if expected is not None:
        print(f"{figure}: {expected.expected:.2f} ({expected.low:.2f} to {expected.high:.2f})")

model = hierclf.load(result.model)
print(model, model.thresholds)
