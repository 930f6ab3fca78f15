"""A server in a thread of the test, and requests to it without any library that mends them."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from hierclf.serving.app import build_app
from hierclf.serving.engines import open_engine
from hierclf.serving.limits import Limits
from hierclf.serving.server import bound_socket, make_server

HOST = "127.0.0.1"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one line of JSON that an error is."""
        assert self.headers["content-type"] == "application/json"
        assert self.body.count(b"\n") == 1
        assert self.body.endswith(b"\n")
        return self.json["error"]


@contextmanager
def running(model: Path, limits: Limits | None = None, *, batch_size: int = 16) -> Iterator[int]:
    """Serve a model; yields the port."""
    limits = limits or Limits()
    with bound_socket(HOST, 0) as bound:
        server = make_server(build_app(open_engine(model), limits, batch_size=batch_size), limits)
        port = bound.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Reply:
    connection = HTTPConnection(HOST, port, timeout=20)
    try:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


def post(port: int, body: Any, kind: str = "image/png", **headers: str) -> Reply:
    return ask(port, "POST", "/predict", body, {"Content-Type": kind, **headers})


def post_json(port: int, document: Any) -> Reply:
    return post(port, json.dumps(document).encode(), "application/json")


def multipart(files: list[tuple[bytes, bytes]]) -> tuple[bytes, str]:
    """A body of files (name as bytes, content), and its content type."""
    body = b"".join(
        b'--XyX\r\nContent-Disposition: form-data; name="image"; filename="%s"\r\n\r\n%s\r\n' % file
        for file in files
    )
    return body + b"--XyX--\r\n", "multipart/form-data; boundary=XyX"


def connected(port: int, sent: bytes) -> socket.socket:
    """A connection on which these bytes were sent."""
    client = socket.create_connection((HOST, port), timeout=20)
    client.sendall(sent)
    return client


def head(*lines: str, path: str = "/predict") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: x", *lines, "", "")).encode()


def everything(client: socket.socket) -> bytes:
    """All that the server sends before it closes the connection."""
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received
