"""Addresses of pages in MLflow's UI."""

import json
from collections.abc import Sequence
from urllib.parse import quote

_LOCAL = "http://127.0.0.1:5000"
"""Where `mlflow ui` shows a local store."""


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """Address of a run's page, on the server at `uri` or where `mlflow ui` shows a local store."""
    server = uri.rstrip("/") if uri.startswith(("http:", "https:")) else _LOCAL
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"


def comparison(experiment_id: str, run_ids: Sequence[str]) -> str:
    """A link, in Markdown, to the parallel coordinates plot of runs; empty for fewer than two.

    It is relative: it works on every page of the UI, wherever that is.
    """
    if len(run_ids) < 2:
        return ""
    runs, experiments = quote(json.dumps(run_ids)), quote(json.dumps([experiment_id]))
    return f"[Compare the trials](#/compare-runs?runs={runs}&experiments={experiments})"
