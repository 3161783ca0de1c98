"""The review server's life: a socket of its own, the report written for it, and the end."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedpin.errors import ReviewError, UsageError
from seedpin.report.html import write_report
from seedpin.review.decisions import ReviewSession
from seedpin.review.guard import LOOPBACK, Guard
from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run

if TYPE_CHECKING:
    import uvicorn

_EXTRA = "pip install 'seedpin[review]'"


@dataclass(frozen=True, slots=True)
class Review:
    """A server that is ready: ``server.run(sockets=[socket])`` serves until ``server.should_exit``."""

    server: uvicorn.Server
    socket: socket.socket
    guard: Guard
    decisions: ReviewSession


@contextlib.contextmanager
def open_review(
    run: Run,
    folders: ProjectFolders,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    exposed: bool = False,
    request_seconds: float | None = None,
) -> Iterator[Review]:
    """Writes the report of ``run`` to a folder of its own and prepares a server for it.

    ``port`` 0 takes a free one. ``exposed`` allows a host that others can reach. A request that is not whole
    after ``request_seconds`` (10) is dropped: unfinished ones do not keep others out.

    Raises:
        ReviewError: starlette or uvicorn is not installed, or the address cannot be had.
        UsageError: a host that others can reach, without ``exposed``.
    """
    if host not in LOOPBACK and not exposed:
        raise UsageError(
            f"on {host} the review could be reached from other machines, and nothing is encrypted",
            hint="if that is meant, add --i-know-this-is-not-private",
        )
    try:
        import uvicorn

        from seedpin.review.app import make_app
        from seedpin.review.protocol import REQUEST_SECONDS, deadline_protocol
    except ImportError as error:
        raise ReviewError(
            f"the review server needs {error.name}, which is not installed", hint=_EXTRA
        ) from error
    with tempfile.TemporaryDirectory(prefix="seedpin-review-") as folder:
        report = Path(folder) / "report"
        write_report(run, report, golden_root=folders.golden_root, review=True)
        with _listening(host, port) as listening:
            guard = Guard(host, int(listening.getsockname()[1]))
            decisions = ReviewSession(run, folders, Path(folder) / "undo")
            config = uvicorn.Config(
                make_app(decisions, guard, report),
                http=deadline_protocol(request_seconds or REQUEST_SECONDS),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                h11_max_incomplete_event_size=32 * 1024,
                limit_concurrency=64,
                timeout_graceful_shutdown=2,
            )
            yield Review(uvicorn.Server(config), listening, guard, decisions)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)  # the address is printed before the server accepts
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise ReviewError(
            f"the address {host}:{port} cannot be had: {error}",
            hint="choose another: --port N, or 0 for a free one",
        ) from error
    with listening:
        yield listening
