"""Figures: what this project takes, beside what its users would otherwise run, timed in turn.

Run by `python -m tests.benchmarks [NAMES]`; `__main__.py` says how. Not collected by pytest.
"""

# Modules of this package whose functions are figures, in the order of the table.
GROUPS = (
    "decoding",
    "input_path",
    "epochs",
    "heads",
    "trials",
    "search_epochs",
    "thresholds",
    "prediction",
    "cluster_prediction",
    "serving",
    "scale",
    "streaming",
    "gpu",
)
