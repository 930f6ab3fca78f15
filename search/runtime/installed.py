"""The packages that only a search needs: the extra `search`."""

from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("mlflow", "optuna", "psutil", "ray")
_CLONE = Path(__file__).parents[2] / "pyproject.toml"


def require_search_packages() -> None:
    """Fail before anything is written if the extra is not installed.

    Raises:
        ValueError: a package is missing; the message has the command to install it.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        target = "-e '.[search]'" if _CLONE.is_file() else "'hierclf[search]'"
        raise ValueError(
            f"a search needs packages that are not installed ({', '.join(missing)}): "
            f"run pip install {target}"
        )
