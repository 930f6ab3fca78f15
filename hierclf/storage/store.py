"""Open the store of an address: S3, Google's and HDFS by pyarrow, all others by fsspec.

Settings are those of the stores' own programs, in the environment: AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION; GOOGLE_APPLICATION_CREDENTIALS;
AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY; or options of the address.
"""

import errno
import posixpath
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, NamedTuple, TypeVar

from hierclf.errors import one_line
from hierclf.storage.address import Address, parse_address

PAUSES_S = (1.0, 5.0)
"""Between the tries of a step; in each, pyarrow tries for some seconds."""
_BY_PYARROW = ("s3", "gs", "gcs", "hdfs", "viewfs")
_EXTRAS = {"az": "azure", "abfs": "azure", "abfss": "azure", "adl": "azure"}
_GOOGLE_GIVES_UP_S = 60  # instead of 15 minutes
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FINAL = re.compile(
    "ACCESS_DENIED|NO_SUCH_(BUCKET|KEY)|INVALID_|SIGNATURE|CREDENTIALS|PERMISSION_DENIED"
    "|UNAUTHENTICATED|HTTP status 40[0134]|HTTP response code 40[0134]|not found",
    re.IGNORECASE,
)
_NOISE = re.compile(r" *(\(Request ID: [^)]*\)|Detail: \[errno .*|, host id: .*)")
Result = TypeVar("Result")


class Store(NamedTuple):
    """A place in a store that is open.

    Attributes:
        filesystem: a pyarrow.fs.FileSystem.
        path: the place in it.
        address: the place for people.
    """

    filesystem: Any
    path: str
    address: Address

    def join(self, name: str) -> str:
        """The path of what is below the place."""
        return posixpath.join(self.path, name)


def open_store(text: str) -> Store:
    """Open the store of an address; whether the place exists shows later.

    Raises:
        ValueError: not an address of this kind, a kind that is not known or whose package is
            missing, or no such bucket; one line.
    """
    address = parse_address(text)
    if address.scheme in _BY_PYARROW:
        return patiently(lambda: _by_pyarrow(address), address.name)
    return _by_fsspec(address)


def _by_pyarrow(address: Address) -> Store:
    from pyarrow.fs import FileSystem

    options = address.options
    if address.scheme in ("gs", "gcs") and "retry_limit_seconds" not in options:
        options = "&".join(filter(None, (options, f"retry_limit_seconds={_GOOGLE_GIVES_UP_S}")))
    # The key stays out of it: pyarrow wants it percent-encoded, people do not.
    bucket = f"{address.scheme}://{address.bucket}/{'?' if options else ''}{options}"
    filesystem, top = FileSystem.from_uri(bucket)
    return Store(filesystem, posixpath.join(top, address.key).rstrip("/"), address)


def _by_fsspec(address: Address) -> Store:
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    scheme = address.scheme
    if scheme not in fsspec.available_protocols():
        known = "s3, gs, az, hdfs and file"
        what = f"{known} are known, and what packages add to fsspec"
        raise ValueError(f"{address.name}: no store is called {scheme}://; {what}")
    try:
        filesystem, path = fsspec.core.url_to_fs(address.name)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        way = f"run pip install 'hierclf[{extra}]'" if extra else one_line(error)
        raise ValueError(f"{scheme}:// needs a package that is not installed: {way}") from None
    except Exception as error:  # each package has its own, mostly of missing settings
        raise ValueError(f"{address.name}: {reason(error)}") from None
    return Store(PyFileSystem(FSSpecHandler(filesystem)), path.rstrip("/"), address)


def patiently(step: Callable[[], Result], what: str) -> Result:
    """The result of a step in a store, tried again after pauses.

    Args:
        step: to be run; must bear to be run again.
        what: the name of its place.

    Raises:
        ValueError: it failed to the end, or for a reason that stays, such as a missing permission;
            one line.
        OSError: a disk of this machine is full.
    """
    for pause in (*PAUSES_S, None):
        try:
            return step()
        except Exception as error:  # those of pyarrow, fsspec's packages and their networks
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            if pause is None or _is_final(error):
                raise ValueError(f"{what}: {reason(error)}") from None
            time.sleep(pause * random.uniform(0.8, 1.2))  # workers do not come back all at once
    raise AssertionError


def _is_final(error: Exception) -> bool:
    kinds = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
    return (
        isinstance(error, (*kinds, ImportError, CancelledError))
        or _FINAL.search(str(error)) is not None
    )


def reason(error: Exception) -> str:
    """What an error of a store says, in one line of bounded length."""
    text = one_line(error)
    if "libhdfs" in text or "libjvm" in text:
        text = f"hdfs:// needs Hadoop's libraries (JAVA_HOME, HADOOP_HOME, CLASSPATH): {text}"
    return _NOISE.sub("", text)[:300]
