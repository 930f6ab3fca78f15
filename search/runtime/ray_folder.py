"""The folder where Ray keeps its files and sockets on this machine."""

import os
import warnings
from pathlib import Path

from hierclf.temporary import own_temporary

_VARIABLE = "RAY_TMPDIR"
# Ray appends ray/session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store and a few bytes
# more; the path of a socket may have at most 107 bytes.
_MOST_BYTES = 36
_SHORT = Path("/tmp")


def choose_ray_folder() -> None:
    """If Ray cannot use its usual folder, let it use a folder that belongs to this user.

    Raises:
        ValueError: no folder is suitable.
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
    # Ray's dashboard and other processes also create sockets in TMPDIR, through multiprocessing.
    if _unfit(Path(os.environ.get("TMPDIR") or _SHORT)):
        os.environ["TMPDIR"] = str(short)
    warnings.warn(f"Ray works in {short}, since {reason}", stacklevel=3)


def _unfit(folder: Path) -> str:
    """The reason why Ray cannot create its folder in a folder; empty if it can."""
    if (length := len(os.fsencode(folder))) > _MOST_BYTES:
        return f"the path of {folder} has {length} bytes, too many for Ray's sockets"
    # The folder `ray` may exist already and belong to another user.
    place = next(path for path in (folder / "ray", folder) if path.exists() or path == folder)
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} {'is not writable' if place.exists() else 'does not exist'}"
    return ""
