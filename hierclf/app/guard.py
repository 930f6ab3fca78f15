"""How large and how long a request may be, and what a page may load."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_LOOK_S = 0.2


class _TooLargeError(Exception):
    pass


def guarded(app: ASGIApp, max_bytes: int, is_ending: Callable[[], bool] = lambda: False) -> ASGIApp:
    """An application whose requests are bounded, and whose pages load nothing from elsewhere.

    Args:
        app: the application.
        max_bytes: of a request's body, counted while it arrives; 413 beyond.
        is_ending: whether the server ends: an open page's stream of events would outlast it.
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        received, started, over = 0, False, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _TooLargeError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal started, over
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            over = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            if await _finished(app(scope, counted, with_headers), is_ending):
                return
            status, text = 503, "the server ends\n"
        except _TooLargeError:
            what = f"a request must have at most {max_bytes} bytes (--max-bytes), but has more\n"
            status, text = 413, what
        if over:
            return
        if not started:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if started else text.encode()})

    return guard


async def _finished(answer: Awaitable[None], is_ending: Callable[[], bool]) -> bool:
    """Wait for an answer; False if the server ends first."""
    task = asyncio.ensure_future(answer)
    try:
        while not task.done() and not is_ending():
            await asyncio.wait({task}, timeout=_LOOK_S)
        if task.done():
            task.result()
            return True
        return False
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
