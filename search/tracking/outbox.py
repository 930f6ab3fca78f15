"""A queue of entries for an MLflow store that may be slow or unreachable.

No caller waits and no entry is lost. A thread delivers the entries in order; until then they are
lines of a file, from which a later process continues. An entry is delivered at least once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from hierclf.io.atomic import draft_of
from search.tracking.entries import Entry, from_line, to_line
from search.tracking.store_errors import passing, plain

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""Pause after a failed delivery: an unreachable store gets one request in this time."""
PRESSED_SECONDS = 1.0
"""The same pause while a caller waits for the outbox to become empty."""


class Outbox:
    """The entries of one file, and the thread that delivers them.

    Args:
        path: the file; it exists while entries wait.
        deliver: called with each entry, in the thread; raises the store's errors. An entry that
            fails for a permanent reason is dropped.
    """

    def __init__(self, path: Path, deliver: Callable[[Entry], None]) -> None:
        self.path, self._deliver = path, deliver
        self._changed = threading.Condition()
        self._entries = deque(_read(path))
        self._pressed_until = 0.0
        self._warned = False
        threading.Thread(target=self._work, name="outbox", daemon=True).start()

    def put(self, entry: Entry) -> None:
        """Append an entry and return at once."""
        with self._changed:
            self._entries.append(entry)
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(to_line(entry))
            except OSError as error:  # a full disk: the entry is still in memory
                self._warn(error)
            self._changed.notify_all()

    def wait(self, seconds: float) -> int:
        """Wait at most `seconds` for an empty outbox; return the number of entries still in it."""
        with self._changed:
            self._pressed_until = time.monotonic() + seconds
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._entries, seconds)
            return len(self._entries)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries)
                entry = self._entries[0]
            try:
                self._deliver(entry)
            except Exception as error:  # of any kind: tracking must never end a search
                self._warn(error)
                if passing(error):
                    self._pause()
                    continue
            with self._changed:
                self._entries.popleft()
                if not self._entries:
                    self.path.unlink(missing_ok=True)
                    self._changed.notify_all()

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(self._pressed, RETRY_SECONDS)
        time.sleep(PRESSED_SECONDS)

    def _pressed(self) -> bool:
        return time.monotonic() < self._pressed_until

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            text = plain(str(error) or type(error).__name__)
            logger.warning("MLflow: the search continues and retries later: %s", text)
            self._warned = True


_open: dict[Path, Outbox] = {}


def outbox_at(path: Path, deliver: Callable[[Entry], None]) -> Outbox:
    """This process's outbox of a file; only the first call for a file uses its `deliver`."""
    if path not in _open:
        _open[path] = Outbox(path, deliver)
    return _open[path]


def _read(path: Path) -> list[Entry]:
    """The entries that an earlier process left, without a last line that it did not finish."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        with draft_of(path) as draft:
            draft.write_text("".join(whole), encoding="utf-8")
    return [from_line(line) for line in whole]
