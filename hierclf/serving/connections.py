"""A connection whose client must send each request in time."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE_S = 1.0
"""So that a request that is refused for its slowness still gets its answer."""


class PunctualProtocol(H11Protocol):
    """Closes a connection on which a request, head and body, does not arrive in time.

    uvicorn itself limits only the time between two requests: a client that sends a byte now and
    then would keep its connection.

    Args:
        within: seconds from the connection, or from a request's first byte, to its last.
        options: of uvicorn's protocol.
    """

    def __init__(self, *, within: float, **options: Any) -> None:
        super().__init__(**options)
        self._within = within + GRACE_S
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        unread, _ = self.conn.trailing_data
        if self.conn.their_state is h11.IDLE and not unread:
            self._end()  # what followed an early answer has arrived; the next request begins anew
            self._begin()
        elif self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._begin()
        else:
            self._end()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for the answer where a client ends only its own half (`nc -N`)."""
        return self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)  # all of it has arrived

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._within, self.transport.abort)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
