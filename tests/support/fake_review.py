"""A tiny stand-in for the review server, which follows the contract in ``seedpin.report.html``."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedpin.report.html import with_review

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "t0k</script>en"


class FakeReview:
    """What was decided; ``refusals`` maps ids to the error that deciding them gives."""

    def __init__(self, folder: Path, total: int) -> None:
        self.folder = folder
        self.total = total
        self.decided: dict[str, dict[str, str]] = {}
        self.refusals: dict[str, str] = {}
        self.posts: list[dict[str, Any]] = []
        self.address = ""

    def state(self) -> dict[str, Any]:
        return {"decided": self.decided, "total": self.total}

    def decide(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.posts.append(body)
        if body["id"] in self.refusals:
            return 409, {"error": self.refusals[body["id"]], "hint": "run the test again"}
        if body["decision"] == "undo":
            self.decided.pop(body["id"], None)
        else:
            self.decided[body["id"]] = {"decision": body["decision"], "reason": body["reason"]}
        return 200, self.state()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, review: FakeReview, *args: Any) -> None:
        self.review = review
        super().__init__(*args, directory=str(review.folder))

    def do_GET(self) -> None:
        if self.path == "/":
            page = (self.review.folder / "index.html").read_text(encoding="utf-8")
            self._answer(200, with_review(page, {"token": TOKEN}).encode(), "text/html; charset=utf-8")
        elif self.path == "/api/state":
            self._json(*self._checked(lambda: (200, self.review.state())))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._json(*self._checked(lambda: self.review.decide(body)))

    def _checked(self, act: Any) -> tuple[int, dict[str, Any]]:
        if self.headers["X-Seedpin-Token"] != TOKEN:
            return 403, {"error": "wrong token"}
        answer: tuple[int, dict[str, Any]] = act()
        return answer

    def _json(self, status: int, data: dict[str, Any]) -> None:
        self._answer(status, json.dumps(data).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(folder: Path, total: int) -> Iterator[FakeReview]:
    """Serves the report in ``folder`` on a free port."""
    review = FakeReview(folder, total)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, review))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    review.address = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield review
    finally:
        server.shutdown()
        server.server_close()
