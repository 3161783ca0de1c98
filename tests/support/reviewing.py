"""A real review server in a thread, and plain HTTP to talk to it."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seedpin.review.server import Review, open_review
from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(run: Run, folders: ProjectFolders, **options: Any) -> Iterator[Review]:
    """Serves until the block's end."""
    with open_review(run, folders, **options) as review:
        thread = threading.Thread(target=lambda: review.server.run(sockets=[review.socket]), daemon=True)
        thread.start()
        end = time.monotonic() + 10
        while not review.server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        try:
            yield review
        finally:
            review.server.should_exit = True
            thread.join(10)


class Browser:
    """Sends what it is told, byte for byte: paths and headers are not tidied."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.port = review.guard.port
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = ""
        self.token = ""

    def send(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """One request with cookie and Host; a header of None is left out."""
        sent: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie or None, **(headers or {})}
        if body is not None and "Content-Length" not in sent:
            sent["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            if body:
                connection.send(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def enter(self) -> Answer:
        """Opens the printed address, then the page, and remembers cookie and token."""
        entered = self.send(self.review.guard.url.partition(str(self.port))[2])
        self.cookie = entered.headers.get("set-cookie", "").partition(";")[0]
        page = self.send("/")
        found = re.search(rb'SEEDPIN_REVIEW = \{"token":"([^"]+)"\}', page.body)
        self.token = found.group(1).decode() if found else ""
        return page

    def decide(
        self, check: str, decision: str, reason: str = "", headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        body = json.dumps({"id": check, "decision": decision, "reason": reason}).encode()
        own = {
            "Origin": f"http://{self.host}",
            "Content-Type": "application/json",
            "X-Seedpin-Token": self.token,
            **(headers or {}),
        }
        return self.send("/api/decide", method="POST", body=body, headers=own)

    def state(self) -> Any:
        return self.send("/api/state", headers={"X-Seedpin-Token": self.token}).json()
