"""A Hugging Face Hub on this machine: repositories in memory, with the paths that a client uses."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40


class FakeHub:
    """Attributes: files by repository and name; `asked`, method and path of each request."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""

    def answer(
        self, content: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.hub.asked.append((self.command, self.path))
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self.info("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self.file("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self.answer({}, 404)

    do_HEAD = do_GET  # noqa: N815

    def info(self, repo: str, rest: list[str]) -> None:
        files = self.hub.files.get(repo)
        if files is None:
            self.answer({}, 404, {"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}
                for name, data in files.items()
            ]
            self.answer(tree)
        else:
            siblings = [{"rfilename": name} for name in files]
            self.answer({"_id": "1", "id": repo, "sha": COMMIT, "siblings": siblings})

    def file(self, repo: str, name: str) -> None:
        data = self.hub.files.get(repo, {}).get(name)
        if data is None:
            self.answer({}, 404, {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(data, headers={"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT})

    def do_POST(self) -> None:
        self.hub.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self.path.partition("?")[0].strip("/").split("/")
        repo = "/".join(parts[2:4])
        if self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            self.hub.files.setdefault(name, {})
            self.hub.private[name] = given.get("private", given.get("visibility") == "private")
            self.answer({"url": f"http://{self.headers['Host']}/{name}"})
        elif "preupload" in parts:
            files = json.loads(body)["files"]
            plain = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self.answer({"files": plain})
        elif "commit" in parts:
            for line in filter(None, body.split(b"\n")):
                value = json.loads(line)["value"]
                if "content" in value:
                    data = base64.b64decode(value["content"])
                    self.hub.files[repo][value["path"]] = data
            address = f"http://{self.headers['Host']}/{repo}/commit/{COMMIT}"
            self.answer({"commitUrl": address, "commitOid": COMMIT})
        else:
            self.answer({}, 404)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def fake_hub() -> Iterator[tuple[FakeHub, str]]:
    """The hub, and its address."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
