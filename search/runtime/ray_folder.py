"""Where Ray keeps its files and sockets on this machine."""

import os
import warnings
from pathlib import Path

from hierclf.temporary import own_temporary

_VARIABLE = "RAY_TMPDIR"
# Ray adds ray/session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store and a little more; a
# socket's path has at most 107 bytes.
_MOST_BYTES = 36
_SHORT = Path("/tmp")


def choose_ray_folder() -> None:
    """Let Ray work in a folder of this user's own where it could not in its usual one.

    Raises:
        ValueError: there is none that would serve.
    """
    named = os.environ.get(_VARIABLE) or os.environ.get("TMPDIR")
    usual = Path(named) if named else _SHORT
    reason = _unfit(usual)
    if not reason:
        return
    try:
        short = own_temporary(_SHORT)
        unfit = _unfit(short)
    except OSError as error:
        unfit = f"{_SHORT}: {error.strerror}"
    if unfit:
        raise ValueError(
            f"Ray needs a folder to write to whose path is at most {_MOST_BYTES} bytes long, but "
            f"{reason}, and {unfit}; name one with {_VARIABLE}"
        )
    os.environ[_VARIABLE] = str(short)
    # Ray's dashboard and other processes have sockets of their own there, by multiprocessing.
    if _unfit(Path(os.environ.get("TMPDIR") or _SHORT)):
        os.environ["TMPDIR"] = str(short)
    warnings.warn(f"Ray works in {short}, since {reason}", stacklevel=3)


def _unfit(folder: Path) -> str:
    """Why Ray cannot work in a folder, below which it makes its own; empty where it can."""
    if (length := len(os.fsencode(folder))) > _MOST_BYTES:
        return f"the path of {folder} has {length} bytes, too many for its sockets"
    # Another user's Ray may have made it before, for itself.
    place = next(path for path in (folder / "ray", folder) if path.exists() or path == folder)
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} {'may not be written to' if place.exists() else 'does not exist'}"
    return ""
