"""Who may talk to the review server: the page that it gave out itself, in the browser of its user.

Every request must name the server by an address of its own (else a hostile site could have its name resolve
to 127.0.0.1), must not come from another origin, and must carry the session's cookie. The cookie is given
once, for the token in the address that the command prints. Decisions need a second secret besides, in a
header, which only the page itself knows.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

_OPEN = "open the address that seedpin review printed"
_USE = "use the page that this server gives"

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered; ``hint`` is for the person."""

    status: int
    error: str
    hint: str = "stop seedpin review and start it again: it prints a new address"


@dataclass(slots=True)
class Guard:
    """The secrets of one server on ``host`` and ``port``; ``entry`` is good for one use."""

    host: str
    port: int
    entry: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    page: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _used: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cookie_name(self) -> str:
        """Cookies do not tell ports apart, so their names do."""
        return f"seedpin_review_{self.port}"

    @property
    def url(self) -> str:
        """The address to open, with the one-time token."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/?token={self.entry}"

    def use_entry(self, token: str) -> bool:
        """Whether ``token`` is the entry token, used for the first time."""
        with self._lock:
            if self._used or not _same(token, self.entry):
                return False
            self._used = True
            return True

    def refuse(self, headers: Mapping[str, str], *, entering: bool = False) -> Refusal | None:
        """Why a request with these headers is refused, or None. ``entering``: it shows the entry token."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return Refusal(400, f"this server is not called {host!r}", _OPEN)
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return Refusal(403, f"requests from {origin} are refused", _USE)
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and not entering:
            return Refusal(403, f"{site} requests are refused", _USE)
        if entering:
            return None
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            morsel = None
        if morsel is None or not _same(morsel.value, self.cookie):
            return Refusal(403, "this browser has not shown the token of this review")
        return None

    def refuse_api(self, headers: Mapping[str, str], *, writing: bool) -> Refusal | None:
        """As ``refuse``, and the page's own token; a decision must name its origin and be JSON."""
        refusal = self.refuse(headers)
        if refusal is not None:
            return refusal
        if not _same(headers.get("x-seedpin-token", ""), self.page):
            return Refusal(403, "the token of this page is not that of this review", "reload the page")
        if writing and headers.get("origin") is None:
            return Refusal(403, "a decision must come from the page", _USE)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if writing and kind != "application/json":
            return Refusal(415, f"a decision is JSON, not {kind or 'nothing'}", _USE)
        return None

    def _is_own(self, host: str) -> bool:
        name, separator, port = host.rpartition(":")
        if not separator or port != str(self.port):
            return False
        name = name.removeprefix("[").removesuffix("]").lower()
        if self.host in LOOPBACK:
            return name in LOOPBACK
        if name == self.host.lower():
            return True
        # On all interfaces any address may be meant, but never a name: names are what others control.
        return self.host in ("0.0.0.0", "::") and _is_address(name)  # noqa: S104


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
