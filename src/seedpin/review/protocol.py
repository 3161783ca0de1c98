"""HTTP with a deadline: whoever does not finish a request in time loses its connection, and so its place."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""From the beginning of a connection, or the end of the last answer, to the last byte of a request."""


class DeadlineProtocol(H11Protocol):
    """uvicorn's own protocol, which waits for the rest of a request for ever; this one does not."""

    request_seconds = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self.request_seconds, self._end)

    def _end(self) -> None:
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):  # headers, or the body, are not whole
            self.transport.close()


def deadline_protocol(seconds: float) -> type[Any]:
    """The protocol with another deadline."""
    return type("DeadlineProtocol", (DeadlineProtocol,), {"request_seconds": seconds})
