"""Which version of a registered model holds the alias `champion`."""

from typing import Any

from search.tracking.store import MlflowClient

OBJECTIVE = "held_out_objective"
"""Tag of a version with its objective on held-out classes; higher is better."""
DATA = "data_fingerprint"
"""Tag of a version with `ImageCache.content` of its training data."""


def choose_champion(
    client: MlflowClient, name: str, alias: str, new: str, *, take_over: bool
) -> tuple[str, str]:
    """Decide which version gets the alias after a new one was registered.

    Objectives on different data cannot be compared. A champion trained on the same data is replaced
    by a version that is at least as good. A champion trained on other data stays, unless
    `take_over` is set, which moves the alias to the best version on the new version's data. A
    version of the same run with other thresholds is always replaced: the user changed them.

    Args:
        client: of the store.
        name: the registered model's name.
        alias: the alias to decide on.
        new: the version that was registered.
        take_over: take the alias from a champion trained on other data.

    Returns:
        The version, and a sentence for the user.
    """
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")}
    holder = client.get_registered_model(name).aliases.get(alias)
    current = None if holder is None else str(holder)
    objective, data = _merit(versions[new])
    shown = f"version {new} ({objective:.4f} on held-out classes)"
    if current is None:
        return new, f"{shown} is the first {alias}"
    if current == new:
        return new, f"{shown} is the {alias}"
    if versions[current].run_id and versions[current].run_id == versions[new].run_id:
        return new, f"{shown} is now the {alias}; version {current} has the former thresholds"
    rival, rival_data = _merit(versions[current])
    if rival_data == data:
        if objective >= rival:
            return new, f"{shown} is now the {alias}, instead of version {current} ({rival:.4f})"
        return current, f"{shown} is registered; version {current} ({rival:.4f}) stays {alias}"
    if not take_over:
        return current, (
            f"{shown} is registered; version {current}, trained on other data, stays {alias} "
            "(--take-over moves the alias, also with --resume)"
        )
    same = [v for v, entry in versions.items() if _merit(entry)[1] == data]
    best = max(same, key=lambda v: (_merit(versions[v])[0], int(v)))
    moved = f"it was version {current}, trained on other data"
    if best == new:
        return new, f"{shown} is now the {alias}; {moved}"
    return (
        best,
        f"{shown} is registered; version {best}, best on this data, is now the {alias}; {moved}",
    )


def _merit(version: Any) -> tuple[float, str | None]:
    """(objective, data) of a version; a version made by hand has neither."""
    return float(version.tags.get(OBJECTIVE, "-inf")), version.tags.get(DATA)
