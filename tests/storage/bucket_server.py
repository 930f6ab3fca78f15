"""A server that speaks S3, moto's, and a proxy before it that injects faults."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
Fault = Callable[[str, str], str | None]
"""From method and path to "503", "403", "cut", "slow" or None."""


class Bucket:
    """A bucket, as boto3 sees it, beside what is tested.

    Attributes:
        client: boto3's.
        proxy: what the tested code talks to.
    """

    def __init__(self, client: Any, proxy: "Proxy") -> None:
        self.client, self.proxy = client, proxy

    def put(self, files: dict[str, bytes]) -> None:
        for key, data in files.items():
            self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def files(self, prefix: str = "") -> dict[str, bytes]:
        keys = self.keys(prefix)
        return {
            key.removeprefix(prefix): self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in keys
        }

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.client.delete_object(Bucket=BUCKET, Key=key)

    def clear(self) -> None:
        self.delete(*self.keys())
        self.proxy.fault, self.proxy.asked = None, []


class Proxy(ThreadingHTTPServer):
    """Passes requests on to the server, or a fault in place of the answer.

    Attributes:
        fault: says what happens to a request; None passes all.
        asked: method and path of each request.
        sent: bytes of contents in all answers.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.asked = port, list[tuple[str, str]]()
        self.fault: Fault | None = None
        self.sent = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that was killed is no error here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fetched(self) -> list[str]:
        """Paths of objects whose content was asked for, in order."""
        return [path for method, path in self.asked if method == "GET" and "?" not in path]


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self._body()
        self.server.asked.append((self.command, self.path))
        fault = self.server.fault and self.server.fault(self.command, self.path)
        if fault in ("503", "403"):
            code = "SlowDown" if fault == "503" else "AccessDenied"
            self._answer(int(fault), f"<Error><Code>{code}</Code></Error>".encode(), {})
            return
        if fault == "slow":
            time.sleep(0.3)
        behind = HTTPConnection("127.0.0.1", self.server.behind)
        hop = ("expect", "transfer-encoding", "content-length")
        kept = {key: value for key, value in self.headers.items() if key.lower() not in hop}
        behind.request(self.command, self.path, body, kept)
        answer = behind.getresponse()
        data = answer.read()
        if fault == "cut":
            self._answer(answer.status, data[: len(data) // 2], _headers(answer))
            self.close_connection = True
            return
        self._answer(answer.status, data, _headers(answer))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            continue
        return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.server.sent += len(body)
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the output is that of the tests."""


def _headers(answer: HTTPResponse) -> dict[str, str]:
    hidden = ("connection", "transfer-encoding", "date", "server", "keep-alive")
    return {key: value for key, value in answer.getheaders() if key.lower() not in hidden}


@contextmanager
def bucket_server() -> Iterator[Bucket]:
    """A running server with an empty bucket, which the environment names while it runs."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    url = f"http://127.0.0.1:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    with Proxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        steering = {
            **{name.upper(): value for name, value in keys.items()},
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        before = {name: os.environ.get(name) for name in steering}
        os.environ.update(steering)
        try:
            yield Bucket(client, proxy)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            proxy.shutdown()
            thread.join()
            server.stop()
