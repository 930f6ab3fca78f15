"""Whatever a client sends, it gets one line of JSON with a 4xx, and the next one gets an answer."""

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hierclf.serving.limits import Limits
from tests.image_bytes import png_header
from tests.serving.served import (
    Reply,
    ask,
    connected,
    everything,
    head,
    multipart,
    post,
    post_json,
    running,
)
from tests.tiny_models import encoded, picture

GOOD = encoded(picture(0))
LIMITS = Limits(max_images=3, max_bytes=100_000, max_requests=2, timeout=1.0)


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[int]:
    with running(model, LIMITS) as port:
        yield port


@pytest.fixture
def port(server: int, caplog: pytest.LogCaptureFixture) -> Iterator[int]:
    """The server, which must go on after each test and have logged no traceback."""
    answer = post(server, GOOD).json
    with caplog.at_level(logging.ERROR):
        yield server
    # Of a connection that a test left open, the server may learn a moment later.
    end = time.monotonic() + 5
    while (after := post(server, GOOD)).status == 503 and time.monotonic() < end:
        time.sleep(0.05)
    assert after.json == answer
    assert not caplog.records


def pieces(body: bytes) -> Iterator[bytes]:
    """As an iterator, the body is sent in chunks, without a Content-Length."""
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


def images(*items: Any) -> bytes:
    return json.dumps({"images": items}).encode()


JSON = "application/json"
LARGE = b"x" * 100_001
FOUR = multipart([(b"a.png", b"x")] * 4)
FIELD = b'--XyX\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--XyX--\r\n'
REFUSED: dict[str, tuple[Callable[[int], Reply], int, str]] = {
    "no image": (lambda port: post(port, b"no image"), 422, "not a readable JPEG"),
    "a cut image": (lambda port: post(port, GOOD[:-200]), 422, "none of 1 is; 0: "),
    "nothing": (lambda port: post(port, b""), 400, "must hold an image"),
    "too large": (lambda port: post(port, LARGE), 413, "at most 100000 bytes (--max-bytes)"),
    "too large in chunks": (lambda port: post(port, pieces(LARGE)), 413, "at most 100000 bytes"),
    "too large files": (
        lambda port: post(port, pieces(multipart([(b"a", LARGE)])[0]), FOUR[1]),
        413,
        "at most 100000 bytes",
    ),
    "too large JSON": (lambda port: post(port, pieces(LARGE), JSON), 413, "at most 100000 bytes"),
    "too many files": (lambda port: post(port, *FOUR), 400, "at most 3 images (--max-images)"),
    "too many texts": (
        lambda port: post(port, images(*"abcd"), JSON),
        400,
        "at most 3 images (--max-images), but holds 4",
    ),
    "no files": (lambda port: post(port, b"--XyX--\r\n", FOUR[1]), 400, "must hold an image"),
    "a field": (lambda port: post(port, FIELD, FOUR[1]), 400, "must be a file"),
    "no boundary": (lambda port: post(port, FOUR[0], "multipart/form-data"), 400, "boundary"),
    "another boundary": (lambda port: post(port, FOUR[0], FOUR[1] + "Z"), 400, "well formed"),
    "no JSON": (lambda port: post(port, b"{", JSON), 400, "the body must be {"),
    "JSON of bytes": (lambda port: post(port, b"\xff\xfe\x00", JSON), 400, "the body must be {"),
    "deep JSON": (lambda port: post(port, b"[" * 99_000, JSON), 400, "the body must be {"),
    "a list": (lambda port: post_json(port, ["a"]), 400, "no object with the one key images"),
    "another key": (lambda port: post_json(port, {"urls": []}), 400, "no object with"),
    "no list": (lambda port: post_json(port, {"images": "abc"}), 400, "images is no list"),
    "no images": (lambda port: post_json(port, {"images": []}), 400, "must hold an image"),
    "a number": (lambda port: post_json(port, {"images": [1]}), 400, "image 0 is neither"),
    "a path": (
        lambda port: post_json(port, {"images": [{"path": "/etc/passwd"}]}),
        400,
        "image 0 is neither",
    ),
    "no base64": (
        lambda port: post_json(port, {"images": ["?"]}),
        422,
        "must be base64 text",
    ),
    "a bomb": (
        lambda port: post(port, png_header(60_000, 60_000)),
        422,
        "more pixels than the limit of 64000000",
    ),
    "no such path": (lambda port: ask(port, "GET", "/etc/passwd"), 404, "no such path"),
    "a path of dots": (lambda port: ask(port, "GET", "/../../x"), 404, "no such path"),
    "a slash too many": (lambda port: ask(port, "POST", "/predict/", GOOD), 404, "no such path"),
    "another method": (lambda port: ask(port, "DELETE", "/predict"), 405, "must be POST"),
    "an odd method": (lambda port: ask(port, "BREW", "/model"), 405, "but got BREW"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_gets_one_line(port: int, name: str) -> None:
    send, status, words = REFUSED[name]
    reply = send(port)
    assert reply.status == status
    assert words in reply.error
    assert "Traceback" not in reply.error


def body_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_a_body_that_comes_too_slowly_is_refused(port: int) -> None:
    with connected(port, head("Content-Length: 100") + b"begun") as client:
        started = time.monotonic()
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "must arrive within 1 s (--timeout)" in body_of(answer)["error"]
    assert 0.9 < time.monotonic() - started < 10


@pytest.mark.parametrize("sent", [b"", b"POST /pre", head()[:-2], head("Content-Length: 9")])
def test_dripping_bytes_hold_no_connection(port: int, sent: bytes) -> None:
    with connected(port, sent) as client:
        client.settimeout(0.2)
        started = time.monotonic()
        closed = False
        while not closed and time.monotonic() - started < 20:
            try:
                client.sendall(b"a")
                closed = client.recv(1000) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
        assert closed
        assert time.monotonic() - started < 10


def test_a_length_that_is_a_lie_does_not_matter(port: int) -> None:
    with connected(
        port, head(f"Content-Length: {len(GOOD) // 2}", "Connection: close") + GOOD
    ) as c:
        assert everything(c).startswith(b"HTTP/1.1 422 ")
    for lie in ("-1", "1e9", "9" * 5000, "99999999999999999999"):
        with connected(port, head(f"Content-Length: {lie}", "Connection: close") + GOOD) as client:
            status = everything(client).split(b" ", 2)[1]
        assert status in (b"400", b"413")


def test_a_client_that_closes_its_own_half_gets_its_answer(port: int) -> None:
    whole = head(f"Content-Length: {len(GOOD)}", "Connection: close") + GOOD
    with connected(port, whole) as client:
        client.shutdown(socket.SHUT_WR)
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert body_of(answer) == post(port, GOOD).json


def test_a_client_may_leave_at_any_point(port: int) -> None:
    whole = head(f"Content-Length: {len(GOOD)}") + GOOD
    for length in (0, 5, len(whole) - len(GOOD), len(whole) - 1, len(whole)):
        connected(port, whole[:length]).close()
        with connected(port, whole[:length]) as client:
            client.shutdown(socket.SHUT_WR)
            everything(client)


def test_what_is_no_http_is_refused(port: int) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET /\r\n\r\n", b"A" * 200_000 + b"\r\n\r\n"):
        with connected(port, sent) as client:
            try:
                answer = everything(client)
            except ConnectionError:  # it was closed before all was read
                continue
            assert answer.startswith(b"HTTP/1.1 400 ") or not answer


def test_beyond_the_limit_of_requests_a_client_is_asked_to_come_again(port: int) -> None:
    begun = head(f"Content-Length: {len(GOOD)}", "Connection: close") + GOOD[:-1]
    first, second = connected(port, begun), connected(port, begun)
    end = time.monotonic() + 5
    while ask(port, "GET", "/ready").status == 200 and time.monotonic() < end:
        time.sleep(0.01)
    for reply in (post(port, GOOD), ask(port, "GET", "/ready")):
        assert reply.status == 503
        assert "at most 2 requests" in reply.error
        assert int(reply.headers["retry-after"]) >= 1
    assert ask(port, "GET", "/health").status == 200
    for client in (first, second):
        with client:
            client.sendall(GOOD[-1:])
            assert everything(client).startswith(b"HTTP/1.1 200 ")
    assert ask(port, "GET", "/ready").status == 200


def test_one_connection_carries_many_requests(port: int) -> None:
    """Also after one whose body was refused before it was read."""
    large = head("Content-Length: 200000") + b"x" * 200_000
    good = head(f"Content-Length: {len(GOOD)}") + GOOD
    with connected(port, large + good) as client:
        client.settimeout(5)
        received = b""
        while received.count(b"HTTP/1.1 ") < 2 or not received.endswith(b"}\n"):
            received += client.recv(65536)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"HTTP/1.1 200 " in received


@pytest.mark.parametrize("name", ["max_images", "max_bytes", "max_requests", "timeout"])
def test_a_limit_must_be_above_0(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} must be above 0"):
        Limits(**values)
