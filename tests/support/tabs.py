"""Pages of the browser tests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


class Tabs:
    """Opens pages without network, and watches their errors and requests."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.problems: list[str] = []
        self.requests: list[str] = []

    def __call__(
        self, where: Path | str, place: str = "", *, size: tuple[int, int] = (1280, 860), **options: Any
    ) -> Page:
        """A page at a file, or at an address ``http://host:port/``; ``place`` is its hash."""
        address, scheme = (where.as_uri(), "file:") if isinstance(where, Path) else (where, where)
        options.setdefault("offline", isinstance(where, Path))
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("request", lambda request: self._asked(scheme, request.url))
        page.goto(address + place)
        return page

    def _said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.problems.append(text)

    def _asked(self, scheme: str, address: str) -> None:
        self.requests.append(address)
        if not address.startswith(scheme):
            self.problems.append(f"asked for {address}")


def until(page: Page, condition: str) -> None:
    """Waits for a JavaScript expression; Playwright's own way needs eval, which the page's policy forbids."""
    end = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never came true: {condition}"
        page.wait_for_timeout(15)
