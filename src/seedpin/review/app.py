"""The review server's routes: the report's page and files, and the two addresses of its contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from seedpin.errors import SeedpinError
from seedpin.records import read_record
from seedpin.report.html import with_review
from seedpin.review.decisions import ReviewSession
from seedpin.review.guard import Guard, Refusal

LARGEST_BODY = 16 * 1024
_SERVED = ("assets", "data", "media")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The page itself asks for "/" next: a browser that came from elsewhere sends no strict cookie on a redirect.
_ENTER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">
<title>seedpin review</title></head><body><p><a href="/">To the review</a></p></body></html>
"""


@dataclass(frozen=True, slots=True)
class AskedDecision:
    """The body of a request to decide."""

    id: str
    decision: str
    reason: str


def make_app(decisions: ReviewSession, guard: Guard, report: Path) -> ASGIApp:
    """The application. ``report`` is a folder written by ``write_report(..., review=True)``."""

    async def page(request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            refusal = guard.refuse(request.headers, entering=True)
            if refusal is None and request.method == "GET" and guard.use_entry(token):
                response = HTMLResponse(_ENTER)
                response.set_cookie(guard.cookie_name, guard.cookie, httponly=True, samesite="strict")
                return response
            known = guard.refuse(request.headers)
            if known is not None:
                return _refused(refusal or Refusal(403, "this address was used already, or was never given"))
        refusal = guard.refuse(request.headers)
        if refusal is not None:
            return _refused(refusal)
        text = await run_in_threadpool((report / "index.html").read_text, encoding="utf-8")
        return HTMLResponse(with_review(text, {"token": guard.page}))

    async def state(request: Request) -> Response:
        refusal = guard.refuse_api(request.headers, writing=False)
        return _refused(refusal) if refusal else JSONResponse(await run_in_threadpool(decisions.state))

    async def decide(request: Request) -> Response:
        refusal = guard.refuse_api(request.headers, writing=True)
        if refusal is not None:
            return _refused(refusal)
        body = await _body(request)
        if isinstance(body, Refusal):
            return _refused(body)
        try:
            state = await run_in_threadpool(decisions.decide, body.id, body.decision, body.reason)
        except SeedpinError as error:
            return JSONResponse({"error": error.what, "hint": error.hint}, status_code=409)
        except OSError as error:
            return JSONResponse({"error": str(error), "hint": "nothing was decided"}, status_code=500)
        return JSONResponse(state)

    async def icon(request: Request) -> Response:
        return Response(status_code=204)  # browsers ask for it, also before they have the cookie

    files = [
        Mount(f"/{name}", _Guarded(StaticFiles(directory=report / name, check_dir=False), guard), name=name)
        for name in _SERVED
    ]
    routes = [
        Route("/", page, methods=["GET"]),
        Route("/index.html", page, methods=["GET"]),
        Route("/favicon.ico", icon, methods=["GET"]),
        Route("/api/state", state, methods=["GET"]),
        Route("/api/decide", decide, methods=["POST"]),
        *files,
    ]
    return _with_headers(Starlette(routes=routes, exception_handlers={HTTPException: _missing}))


class _Guarded:
    """Files for browsers that have shown the token."""

    def __init__(self, inner: ASGIApp, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._guard.refuse(Request(scope).headers)
        answer = self._inner if refusal is None else _refused(refusal)
        await answer(scope, receive, send)


async def _body(request: Request) -> AskedDecision | Refusal:
    """What the page asks for; no more is read than a decision can need."""
    too_big = Refusal(413, f"a decision has at most {LARGEST_BODY} bytes", "write a shorter reason")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        return too_big
    data = b""
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > LARGEST_BODY:
                return too_big
    except ClientDisconnect:
        return Refusal(408, "the decision did not arrive whole", "reload the page")
    try:
        return read_record(AskedDecision, data)
    except ValueError:
        return Refusal(400, "this is no decision: id, decision and reason are texts", "reload the page")


def _refused(refusal: Refusal) -> Response:
    return JSONResponse({"error": refusal.error, "hint": refusal.hint}, status_code=refusal.status)


async def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": str(error.detail), "hint": "open the page at /"},
        status_code=error.status_code,
    )


def _with_headers(inner: ASGIApp) -> ASGIApp:
    """Adds the headers that keep the page from being framed, cached or taken for something else."""
    extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await inner(scope, receive, send_with if scope["type"] == "http" else send)

    return app
