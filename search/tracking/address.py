"""Addresses of MLflow stores, as users type them, and of files, as MLflow writes them."""

import re
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/|databricks")


def check_address(uri: str) -> None:
    """Refuse an address that MLflow would read in another way than the user means it.

    Raises:
        ValueError: no scheme, a folder of files, or a relative path of a SQLite store.
    """
    if _SCHEME.match(uri) is None:
        meant = f" (did you mean http://{uri}?)" if ":" in uri else ""
        raise ValueError(
            "--mlflow-uri must begin with http://, https:// or the scheme of a database, "
            f"but got {uri!r}{meant}"
        )
    if uri.startswith("file:"):  # newer versions of MLflow refuse it, older ones would use it
        raise ValueError(
            f"--mlflow-uri must name a server or a database, not a folder of files, but got {uri}"
        )
    if uri.startswith("sqlite:") and not uri.startswith("sqlite:////"):
        path = Path(uri.removeprefix("sqlite:").lstrip("/")).resolve()
        raise ValueError(
            f"a SQLite store needs an absolute path, but got {uri} (did you mean sqlite:///{path}?)"
        )


def local_path(uri: str) -> str:
    """The path of a file URI; any other text unchanged."""
    return url2pathname(urlparse(uri).path) if uri.startswith("file:") else uri
