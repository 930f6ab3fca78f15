"""Results in a bucket: a run works in a folder of this machine, and its files follow.

A thread sends what has changed, in the order in which it changed, so that the bucket never says
more than the machine: a stage's file comes after all that the stage wrote before. `mirror.json`,
written last, names the files that make a state to resume from.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from hierclf.data.cache import default_cache_dir
from hierclf.errors import one_line
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked
from hierclf.storage.address import file_path, is_address, parse_address
from hierclf.storage.fetch import fetch_into, folder_name
from hierclf.storage.send import Version, delete_file, read_text, send_file, send_text, versions
from hierclf.storage.store import Store, open_store
from search.pipeline.opening import removed_on_error
from search.pipeline.run_folder import RunFolder

EVERY_S = 10.0
"""How long a change waits at most before it is sent."""
MARKER = "mirror.json"
_SENT = ".mirror-sent.json"  # what this machine knows to be in the bucket
logger = logging.getLogger(__name__)


class Results(NamedTuple):
    """Where results go.

    Attributes:
        folder: on this machine.
        address: of the bucket that they are copied to; None for results that stay here.
    """

    folder: Path
    address: str | None

    @property
    def typed(self) -> str | Path:
        """What to give as --results."""
        return self.folder if self.address is None else self.address

    def run(self, name: str) -> str:
        """The address of a run."""
        assert self.address is not None
        address = parse_address(self.address)
        return str(address.at(f"{address.key}/runs/{name}".lstrip("/")))


def results_at(results: str | Path) -> Results:
    """The folder of results, and their bucket if they have one.

    Raises:
        ValueError: an address of another form; one line.
    """
    text = str(results)
    if not is_address(text):
        return Results(Path(results), None)
    if (path := file_path(text)) is not None:
        return Results(path, None)
    return Results(default_cache_dir() / "results" / folder_name(parse_address(text)), text)


def check_new(results: Results, name: str | None) -> None:
    """Refuse a run's name that the bucket has, and a bucket that cannot be read.

    Raises:
        ValueError: one line.
    """
    if results.address is None:
        return
    store = open_store(results.run(name or "."))
    if name is not None and read_text(store, MARKER) is not None:
        raise ValueError(
            f"--name must be new, but {store.address.name} exists; resume it with --resume {name}"
        )


def bring_here(results: Results, name: str) -> None:
    """Make the folder of a run to resume the newest: this machine's, or the bucket's copy of it.

    Raises:
        ValueError: the run is not in the bucket, it worked in another folder, or it cannot be
            fetched; one line.
    """
    if results.address is None:
        return
    store, folder = open_store(results.run(name)), results.folder / "runs" / name
    text = read_text(store, MARKER)
    if text is None:
        if folder.is_dir():
            return
        raise ValueError(f"--resume must name a run in {results.address}, but got {name!r}")
    marker = _parsed(text, store)
    if marker["folder"] != str(folder.absolute()):
        raise ValueError(
            f"{store.address.name} worked in {marker['folder']}, which Ray's state names: set "
            f"HIERCLF_CACHE so that results are there again, not in {folder.absolute()}"
        )
    with locked(results.folder / "runs" / f".{name}.lock"):
        if folder.is_dir() and marker["id"] in _sent(folder)["ids"]:
            return
        draft = folder.with_name(f".{name}.fetched")
        # What is newer than the marker may be half of a folder, but Ray's state stands any loss.
        known = set(marker["files"])
        fetch_into(store, draft, lambda name: name in known or name.startswith("ray/"))
        if folder.is_dir():  # another machine went on since this one stopped
            aside = folder.with_name(f".{name}.{time.strftime('%Y%m%d-%H%M%S')}")
            folder.rename(aside)
            logger.warning("the bucket holds a later state; this machine's is in %s", aside)
        _write_sent(draft, [marker["id"]], versions(draft, _skipped))
        draft.rename(folder)


@contextmanager
def copied(results: Results, folder: RunFolder, *, new: bool) -> Iterator[None]:
    """Keep a bucket's copy of a run's folder up to date during the block and at its end.

    Args:
        results: where results go.
        folder: the run's.
        new: delete the folder if the bucket does not take its first files.

    Raises:
        ValueError: the bucket does not take the first files, or not the last ones; one line.
    """
    if results.address is None:
        yield
        return
    path = folder.path
    with removed_on_error(folder) if new else nullcontext():
        mirror = Mirror(open_store(results.run(path.name)), path)
        mirror.send()
    thread = threading.Thread(target=mirror.follow, name="mirror", daemon=True)
    thread.start()
    failed = True
    try:
        yield
        failed = False
    finally:
        mirror.ended.set()
        thread.join()
        try:
            mirror.send()
        except (ValueError, OSError) as error:
            what = f"the bucket lacks the last files, which are in {path}: {one_line(error)}"
            if not failed:
                raise ValueError(f"{what}; --resume {path.name} sends them") from None
            logger.warning("%s", what)


class Mirror:
    """The copy of a folder in a store.

    Args:
        store: where the copy goes.
        folder: on this machine; deleted, its copy is, too.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.ended = threading.Event()
        self._store, self._folder = store, folder
        sent = _sent(folder)
        self._ids: list[str] = sent["ids"]
        self._sent = {name: Version(*version) for name, version in sent["files"].items()}
        self._warned = False

    def follow(self) -> None:
        """Send changes until `ended` is set; what fails is sent later."""
        while not self.ended.wait(EVERY_S):
            try:
                self.send()
                self._warned = False
            except (ValueError, OSError) as error:
                if not self._warned:
                    logger.warning("the search continues and sends later: %s", one_line(error))
                self._warned = True

    def send(self) -> None:
        """Send what has changed, then the marker, then delete what is there no more.

        Raises:
            ValueError: the store refuses or cannot be reached; one line.
        """
        now = versions(self._folder, _skipped) if self._folder.is_dir() else {}
        changed = [name for name, version in now.items() if self._sent.get(name) != version]
        gone = [name for name in self._sent if name not in now]
        if not changed and not gone and self._ids:
            return
        for name in changed:
            if send_file(self._store, self._folder / name, name):
                self._sent[name] = now[name]
        if now:
            self._mark()
        else:
            delete_file(self._store, MARKER)
        for name in gone:
            delete_file(self._store, name)
            del self._sent[name]
        if now:
            _write_sent(self._folder, self._ids, self._sent)

    def _mark(self) -> None:
        """Let the bucket say which state it holds; noted here first, for a crash in between."""
        state = uuid.uuid4().hex
        self._ids = [*self._ids[-1:], state]
        _write_sent(self._folder, self._ids, self._sent)
        folder = str(self._folder.absolute())
        marker = {"id": state, "folder": folder, "files": list(self._sent)}
        send_text(self._store, json.dumps(marker, indent=1) + "\n", MARKER)


def _skipped(name: str) -> bool:
    """What stays on this machine: the lock, drafts, and the note of what was sent."""
    last = name.rpartition("/")[2]
    return name in (".lock", _SENT, MARKER) or (last.startswith(".") and last.endswith(".part"))


def _sent(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / _SENT).read_text(encoding="utf-8"))
        return {"ids": list(content["ids"]), "files": dict(content["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"ids": [], "files": {}}


def _write_sent(folder: Path, ids: list[str], files: dict[str, Version]) -> None:
    if folder.is_dir():
        with draft_of(folder / _SENT) as draft:
            draft.write_text(json.dumps({"ids": ids, "files": files}), encoding="utf-8")


def _parsed(text: str, store: Store) -> dict[str, Any]:
    try:
        marker = json.loads(text)
        names = [str(name) for name in marker["files"]]
        return {"id": str(marker["id"]), "folder": str(marker["folder"]), "files": names}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{store.address.name}/{MARKER} is not what a search writes") from None
