"""Which versions of packages are installed."""

from importlib.metadata import PackageNotFoundError, version


def package_version(package: str) -> str:
    """The installed version; "unknown" for one that runs from its source folder alone."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
