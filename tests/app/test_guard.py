"""Requests of the page are bounded while they arrive."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from hierclf.app.guard import guarded


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    length = 0
    while (message := await receive()).get("more_body"):
        length += len(message["body"])
    length += len(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def answered(pieces: list[bytes], max_bytes: int) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []
    left = list(pieces)

    async def receive() -> Message:
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Any = {"type": "http"}

    async def ask() -> None:
        await guarded(echo, max_bytes)(scope, receive, send)

    asyncio.run(ask())
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize("pieces", [[b"x" * 10], [b"x" * 4, b"x" * 6]])
def test_a_body_beyond_the_limit_is_refused_in_one_line(pieces: list[bytes]) -> None:
    assert answered(pieces, 10)[::2] == (200, b"10")
    status, _, text = answered(pieces, 9)
    assert status == 413
    assert text == b"a request must have at most 9 bytes (--max-bytes), but has more\n"


def test_a_page_may_load_nothing_from_elsewhere() -> None:
    policy = answered([b""], 9)[1][b"content-security-policy"].decode()
    sources = {source for rule in policy.split(";") for source in rule.split()[1:]}
    assert not {source for source in sources if "." in source or source in ("*", "https:")}


def test_the_end_of_the_server_ends_a_stream_that_would_outlast_it() -> None:
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"still here", "more_body": True})
            await asyncio.sleep(0.01)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        scope: Any = {"type": "http"}
        await guarded(stream, 9, lambda: len(sent) > 3)(scope, receive, send)

    asyncio.run(asyncio.wait_for(ask(), 10))
    assert sent[-1] == {"type": "http.response.body", "body": b""}
