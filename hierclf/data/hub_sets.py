"""Data sets of the Hugging Face Hub, downloaded by huggingface_hub.

The address is that of fsspec: `hf://datasets/OWNER/NAME@REVISION/FOLDER`, where `datasets/`, the
revision (a branch, tag or commit, `/` as %2F) and the folder may be left out.
"""

import errno
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from hierclf.data.file_names import is_hidden, leaves
from hierclf.data.image_kind import SUFFIXES
from hierclf.data.table_files import TABLE_ENDINGS
from hierclf.errors import one_line
from hierclf.io.atomic import room_for
from hierclf.io.locks import locked

HUB = "hf://"
_ADDRESS = re.compile(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([^/@]+))?((?:/[^/@]+)*)/?")
_PARQUET = ".parquet"
_BESIDE_PARQUET = (_PARQUET, ".csv")  # mappings and a hierarchy
_ENDINGS = (*TABLE_ENDINGS, ".zip", ".tar", *SUFFIXES)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOGIN = "if it is private or asks for consent, accept its terms there and run `hf auth login`"


class _Address(NamedTuple):
    repo: str
    revision: str | None
    folder: str


def hub_folder(address: str, cache: Path) -> Path:
    """The folder of a set of the Hub, downloaded where it is not there yet.

    Args:
        address: `hf://OWNER/NAME`, see above.
        cache: the folder of all sets of the Hub.

    Raises:
        ValueError: another form, no such set, the package is missing, or it cannot be downloaded.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or leaves(found[3]):
        form = "hf://OWNER/NAME, hf://OWNER/NAME@REVISION or hf://OWNER/NAME/FOLDER"
        raise ValueError(f"a set of the Hub must be {form}, but got {address!r}")
    parts = _Address(found[1], unquote(found[2]) if found[2] else None, found[3].strip("/"))
    name = "".join([parts.repo, f"@{parts.revision}" if parts.revision else "", found[3]])
    folder = cache / quote(name, safe="@")
    if not folder.is_dir():
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _download(parts, folder)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return folder / _place(files, parts)


def _download(parts: _Address, folder: Path) -> None:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        what = "a set of the Hub needs huggingface_hub (`pip install 'hierclf[hub]'`)"
        raise ValueError(what) from None
    with _hub_errors(parts):
        api = HfApi()
        # Of one commit: an interrupted download is continued with the same files only.
        commit = str(api.dataset_info(parts.repo, revision=parts.revision).sha)
        files = list(api.list_repo_files(parts.repo, repo_type="dataset", revision=commit))
    place = _place(files, parts)
    has_parquet = any(file.endswith(_PARQUET) for file in _below(files, place))
    part = folder.with_name(f"{folder.name}.{commit[:12]}.part")
    with room_for(folder, draft=part), _hub_errors(parts):
        snapshot_download(
            parts.repo,
            repo_type="dataset",
            revision=commit,
            local_dir=part,
            allow_patterns=_patterns(place, _BESIDE_PARQUET if has_parquet else _ENDINGS),
        )
    _set_times(part, commit)
    part.replace(folder)


def _set_times(folder: Path, commit: str) -> None:
    """Give files a time that their commit tells: it is part of a fingerprint on every machine."""
    seconds = int(commit[:8], 16)
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (seconds, seconds))


@contextmanager
def _hub_errors(parts: _Address) -> Iterator[None]:
    """Turn what huggingface_hub raises into a ValueError of one line; a full disk stays."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except RevisionNotFoundError:
        raise ValueError(f"{parts.repo} has no revision {parts.revision!r} on the Hub") from None
    except RepositoryNotFoundError:  # or one that asks for consent
        raise ValueError(f"the Hub shows no data set {parts.repo!r}; {_LOGIN}") from None
    except Exception as error:  # its HTTP library's errors, too, which differ by version
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        raise ValueError(f"cannot be downloaded from the Hub: {one_line(error)}") from None


def _place(files: Sequence[str], parts: _Address) -> str:
    """The folder of a set among the files of a repository; "" where they are not in one.

    Raises:
        ValueError: no file can be read, or Parquet files of several sets.
    """
    usable = [file for file in _below(files, parts.folder) if _is_usable(file)]
    parquet = [file for file in usable if file.endswith(_PARQUET)]
    if not usable:
        where = f"{parts.repo}/{parts.folder}" if parts.folder else parts.repo
        what = f"{where} has no Parquet file, table, tar, zip or image on the Hub"
        raise ValueError(f"{what}; its copy in Parquet may be @refs%2Fconvert%2Fparquet")
    tops = {posixpath.dirname(file) for file in parquet}
    own = {parts.folder, posixpath.join(parts.folder, "data")}
    if not parquet or tops & own or any("=" in top for top in tops):
        return parts.folder
    if len(tops) > 1:
        what = f"holds Parquet files in {len(tops)} folders, of which one must be named, such as "
        raise ValueError(f"{what}{HUB}{parts.repo}/{min(tops)}")
    return tops.pop()


def _below(files: Sequence[str], folder: str) -> list[str]:
    return [file for file in files if not folder or file.startswith(f"{folder}/")]


def _is_usable(file: str) -> bool:
    return posixpath.splitext(file)[1].lower() in _ENDINGS and not is_hidden(file)


def _patterns(folder: str, endings: Sequence[str]) -> list[str]:
    """What fnmatch takes for the files below a folder with some endings, in either case."""
    start = re.sub(r"([*?[])", r"[\1]", f"{folder}/" if folder else "")
    cases = ["".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in e) for e in endings]
    return [f"{start}*{ending}" for ending in cases]
