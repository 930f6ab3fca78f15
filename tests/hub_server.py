"""A server that answers huggingface_hub as the Hub does, for data sets in memory."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40
Files = dict[str, bytes]


class HubServer(http.server.ThreadingHTTPServer):
    """Serves data sets, by `OWNER/NAME`, at one commit.

    Attributes:
        sets: path -> content, by set.
        broken: paths that are listed and cannot be fetched.
        fetched: the paths that were fetched, in order.
    """

    def __init__(self, sets: Mapping[str, Files]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sets, self.broken, self.fetched = dict(sets), set[str](), list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub(sets: Mapping[str, Files]) -> Iterator[HubServer]:
    """A running server."""
    with HubServer(sets) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for name, files in self.server.sets.items():
            api, content = f"/api/datasets/{name}", f"/datasets/{name}/resolve/{COMMIT}/"
            if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                self._json({"id": name, "sha": COMMIT, "siblings": []})
            elif path == f"{api}/tree/{COMMIT}":
                self._json([_entry(file, data) for file, data in files.items()])
            elif path.startswith(api):
                self._refuse("RevisionNotFound")
            elif path.startswith(content):
                self._file(path.removeprefix(content), files)
            else:
                continue
            return
        self._refuse("RepoNotFound")

    def _file(self, path: str, files: Files) -> None:
        if path in self.server.broken or path not in files:
            self._refuse("EntryNotFound")
            return
        if self.command == "GET":
            self.server.fetched.append(path)
        headers = {"ETag": f'"{_digest(files[path])}"', "X-Repo-Commit": COMMIT}
        self._answer(200, files[path], headers)

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str) -> None:
        self._answer(404, b"", {"X-Error-Code": code})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the output is that of the tests."""


def _entry(path: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(data), "oid": _digest(data)}


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
