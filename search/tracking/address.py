"""The address of an MLflow store as people type it."""

import re
from pathlib import Path

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/|databricks")


def check_address(uri: str) -> None:
    """Refuse an address that MLflow would understand in another way than its writer.

    Raises:
        ValueError: no scheme, or a relative path of a SQLite store.
    """
    if _SCHEME.match(uri) is None:
        meant = f" (did you mean http://{uri}?)" if ":" in uri else ""
        raise ValueError(
            "--mlflow-uri must begin with http://, https:// or the scheme of a database, "
            f"but got {uri!r}{meant}"
        )
    if uri.startswith("sqlite:") and not uri.startswith("sqlite:////"):
        path = Path(uri.removeprefix("sqlite:").lstrip("/")).resolve()
        raise ValueError(
            f"a SQLite store needs an absolute path, but got {uri} (did you mean sqlite:///{path}?)"
        )
