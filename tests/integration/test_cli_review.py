"""The review server over real HTTP: decisions change files, and nobody but its page is answered."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedpin.errors import ReviewError, UsageError
from seedpin.review.guard import Guard
from seedpin.review.server import open_review
from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run
from support.commands import files_below
from support.report_runs import CPU, RunFolder, moving_shapes
from support.reviewing import Browser, serving

pytest.importorskip("starlette", reason="the review server's libraries: pip install 'seedpin[review]'")
pytest.importorskip("uvicorn", reason="the review server's libraries: pip install 'seedpin[review]'")

CHANGED = "tests/test_a.py::test_changed::video"
MISSING = "tests/test_a.py::test_missing::video"
UNSTABLE = "tests/test_a.py::test_unstable::video"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one golden, and a run with three checks to decide on."""
    root = tmp_path_factory.mktemp("made")
    folder = RunFolder(root / ".seedpin")
    old, new = moving_shapes(2, 16, 24), moving_shapes(2, 16, 24, seed=1)
    folder.add(CHANGED.removesuffix("::video"), old, new, "changed", device=CPU)
    folder.add(MISSING.removesuffix("::video"), None, new, "missing", device=CPU)
    folder.add(UNSTABLE.removesuffix("::video"), None, old, "unstable", device=CPU)
    shutil.copytree(folder.run.path / "golden", root / "golden")
    (root / "secret.txt").write_text("secret")
    return root


@pytest.fixture
def folders(made: Path, tmp_path: Path) -> ProjectFolders:
    root = Path(shutil.copytree(made, tmp_path / "project"))
    return ProjectFolders(root, root / "golden", root / ".seedpin")


@pytest.fixture
def run(folders: ProjectFolders) -> Run:
    return Run(next((folders.state / "runs").iterdir()))


@pytest.fixture
def outsider(run: Run, folders: ProjectFolders) -> Iterator[Browser]:
    """A browser that has not shown the token yet."""
    with serving(run, folders) as review:
        yield Browser(review)


@pytest.fixture
def browser(outsider: Browser) -> Browser:
    outsider.enter()
    return outsider


def test_the_page_comes_with_its_token_and_files(browser: Browser) -> None:
    """The printed address leads to the page; its scripts, data and frames are served, with safe headers."""
    page = browser.send("/")
    assert page.status == 200
    assert browser.token
    for name in ("assets/core.js", "data/index.js", "data/0.js"):
        assert browser.send(f"/{name}").status == 200
    media = json.loads(browser.send("/data/0.js").body.decode().partition(", ")[2].rpartition(")")[0])[
        "media"
    ]
    frame = browser.send(f"/{media['obtained'][0]}")
    assert (frame.status, frame.body[:4]) == (200, b"RIFF")
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in page.headers
    assert browser.state() == {"decided": {}, "total": 3}


def test_accept_changes_files_and_undo_restores_them(browser: Browser, folders: ProjectFolders) -> None:
    """Accept writes the golden, undo puts back every byte; both are counted."""
    before = files_below(folders.golden_root)
    done = browser.decide(CHANGED, "accept", "meant")
    assert done.status == 200
    assert done.json() == {"decided": {CHANGED: {"decision": "accept", "reason": "meant"}}, "total": 3}
    after = files_below(folders.golden_root)
    manifests = {name for name in before if name.endswith(".json")}
    assert {name for name in after if name.endswith(".json")} == manifests
    assert after != before
    assert browser.decide(CHANGED, "undo").json()["decided"] == {}
    assert files_below(folders.golden_root) == before
    assert browser.decide(CHANGED, "accept", "meant after all").status == 200
    assert files_below(folders.golden_root) != before


def test_a_first_golden_is_accepted_and_undone(browser: Browser, folders: ProjectFolders) -> None:
    """Undoing a golden that was not there leaves nothing of it."""
    before = files_below(folders.golden_root)
    assert browser.decide(MISSING, "accept", "first").status == 200
    assert len(files_below(folders.golden_root)) > len(before)
    assert browser.decide(MISSING, "undo").status == 200
    assert files_below(folders.golden_root) == before


def test_reject_is_recorded_and_undone(browser: Browser, folders: ProjectFolders, run: Run) -> None:
    """Reject needs no reason and touches no golden."""
    before = files_below(folders.golden_root)
    assert browser.decide(CHANGED, "reject").status == 200
    assert run.decisions()[CHANGED].decision == "reject"
    assert files_below(folders.golden_root) == before
    assert browser.decide(CHANGED, "undo").status == 200
    assert run.decisions() == {}


@pytest.mark.parametrize(
    ("check", "decision", "reason", "words"),
    [
        (CHANGED, "accept", " ", "needs a reason"),
        (UNSTABLE, "accept", "x", "does not repeat"),
        (CHANGED, "undo", "", "is not decided"),
        (CHANGED, "delete", "", "is no decision"),
        ("nobody", "accept", "x", "no check 'nobody'"),
        ("../../secret", "accept", "x", "no check"),
    ],
)
def test_what_cannot_be_decided_is_told(
    browser: Browser, folders: ProjectFolders, check: str, decision: str, reason: str, words: str
) -> None:
    """Each refusal has a status, an error and a hint, and changes nothing."""
    before = files_below(folders.golden_root)
    done = browser.decide(check, decision, reason)
    assert done.status == 409
    assert words in done.json()["error"]
    assert done.json()["hint"]
    assert files_below(folders.golden_root) == before
    assert browser.state()["decided"] == {}


def test_a_second_decision_needs_an_undo(browser: Browser) -> None:
    """What was decided is not decided over."""
    assert browser.decide(CHANGED, "reject").status == 200
    assert browser.decide(CHANGED, "accept", "x").status == 409


def test_an_accept_from_before_is_not_undone(browser: Browser, run: Run, folders: ProjectFolders) -> None:
    """The former golden of another session's accept is not at hand."""
    assert browser.decide(CHANGED, "accept", "x").status == 200
    with serving(run, folders) as review:
        other = Browser(review)
        other.enter()
        assert other.state()["decided"][CHANGED]["decision"] == "accept"
        done = other.decide(CHANGED, "undo")
        assert done.status == 409
        assert "before this review began" in done.json()["error"]


UNFINISHED = {
    "nothing": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: x",
    "half a body": b"POST /api/decide HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nOrigin: http://{host}\r\n"
    b"X-Seedpin-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
}


@pytest.mark.parametrize("what", UNFINISHED)
def test_unfinished_requests_keep_nobody_out(run: Run, folders: ProjectFolders, what: str) -> None:
    """As many unfinished requests as the server has places are dropped after a while; others are answered."""
    with serving(run, folders, request_seconds=0.5) as review:
        browser = Browser(review)
        browser.enter()
        sent = UNFINISHED[what].replace(b"{host}", browser.host.encode())
        sent = sent.replace(b"{cookie}", browser.cookie.encode()).replace(b"{token}", browser.token.encode())
        # Where all places are taken, whole headers get 503 at once: nobody would wait for a body.
        count = 60 if what == "half a body" else 64
        held = [socket.create_connection(("127.0.0.1", browser.port), timeout=20) for _ in range(count)]
        try:
            for connection in held:
                connection.sendall(sent)
            # Each is closed by the server: a read ends instead of waiting.
            for connection in held:
                with contextlib.suppress(ConnectionError):
                    while connection.recv(4096):
                        pass
            assert browser.state()["total"] == 3
            assert browser.decide(CHANGED, "accept", "meant").status == 200
        finally:
            for connection in held:
                connection.close()


def test_a_stale_golden_is_told(browser: Browser, folders: ProjectFolders) -> None:
    """The page shows both digests of a golden that changed meanwhile."""
    manifest = next(folders.golden_root.rglob("*.json"))
    manifest.write_text(manifest.read_text() + "\n")
    done = browser.decide(CHANGED, "accept", "x")
    assert done.status == 409
    assert done.json()["error"].count("sha256:") == 2


FORGED: dict[str, dict[str, str | None]] = {
    "a foreign origin": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "no origin": {"Origin": None},
    "an opaque origin": {"Origin": "null"},
    "a foreign host": {"Host": "evil.example"},
    "a foreign name on our port": {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
    "no port": {"Host": "127.0.0.1"},
    "a cross-site request": {"Sec-Fetch-Site": "cross-site"},
    "a same-site request": {"Sec-Fetch-Site": "same-site"},
    "no cookie": {"Cookie": None},
    "a wrong cookie": {"Cookie": "seedpin_review_{port}=x"},
    "no token": {"X-Seedpin-Token": None},
    "a wrong token": {"X-Seedpin-Token": "x"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "plain text": {"Content-Type": "text/plain"},
}


@pytest.mark.parametrize("forged", FORGED)
def test_forged_decisions_are_refused(
    browser: Browser, folders: ProjectFolders, run: Run, forged: str
) -> None:
    """Origin, Host, cookie, token and type must all be those of the page."""
    before = files_below(folders.golden_root)
    headers = {
        name: None if value is None else value.format(port=browser.port)
        for name, value in FORGED[forged].items()
    }
    done = browser.decide(CHANGED, "accept", "x", headers)
    assert done.status in (400, 403, 415)
    assert done.json()["error"]
    assert files_below(folders.golden_root) == before
    assert run.decisions() == {}


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/assets/core.js", "/data/0.js", "/data/index.js", "/api/state"]
)
def test_nothing_is_shown_without_the_token(outsider: Browser, path: str) -> None:
    """Neither the page nor its files are given to a browser that has not shown the token."""
    assert outsider.send(path).status == 403
    assert outsider.send(path, headers={"X-Seedpin-Token": outsider.review.guard.page}).status == 403
    outsider.enter()
    assert outsider.send(path, headers={"Host": f"evil.example:{outsider.port}"}).status == 400


def test_the_address_works_once(outsider: Browser) -> None:
    """A wrong token gets nothing, the right one one cookie; who has that may open the address again."""
    path = outsider.review.guard.url.partition(str(outsider.port))[2]
    assert outsider.send("/?token=x").status == 403
    assert outsider.send(path, headers={"Host": "evil.example"}).status == 400
    assert outsider.send(path, method="HEAD").status in (403, 405)
    outsider.enter()
    cookie = outsider.cookie
    assert cookie
    assert outsider.send(path).status == 200
    outsider.cookie = ""
    second = outsider.send(path)
    assert second.status == 403
    assert "set-cookie" not in second.headers


def test_the_cookie_is_for_this_server_alone(outsider: Browser) -> None:
    """Scripts cannot read it and other sites cannot send it."""
    entered = outsider.send(outsider.review.guard.url.partition(str(outsider.port))[2])
    said = entered.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert f"seedpin_review_{outsider.port}=" in said


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/assets/../index.html",
        "/data/..%2f..%2fsecret.txt",
        "/data/%2e%2e/%2e%2e/secret.txt",
        "/media/....//secret.txt",
        "/media//etc/passwd",
        "/assets/%2Fetc%2Fpasswd",
        "/assets/..\\..\\secret.txt",
        "/assets/%00",
        "//etc/passwd",
        "/results.jsonl",
        "/undo/1",
        "/golden/tests",
        "/assets/",
        "/data",
    ],
)
def test_no_other_file_is_served(browser: Browser, path: str) -> None:
    """Paths that lead out of the report's three folders find nothing."""
    answer = browser.send(path)
    assert answer.status in (307, 400, 404, 405), answer.body
    assert b"secret" not in answer.body.replace(b"secret.txt", b"")
    assert b"root:" not in answer.body


def test_a_link_in_the_report_is_not_followed(browser: Browser, folders: ProjectFolders) -> None:
    """Files are served from the report's own folders only, links to elsewhere not."""
    assets = browser.review.decisions.scratch.parent / "report" / "assets"
    (assets / "own.txt").write_text("own")
    (assets / "link.txt").symlink_to(folders.root / "secret.txt")
    assert browser.send("/assets/own.txt").body == b"own"
    assert browser.send("/assets/link.txt").status == 404


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_refused(browser: Browser, run: Run, declared: bool) -> None:
    """A decision has a few hundred bytes; megabytes are refused, whether the length is declared or not."""
    reason = "x" * (1 << 20)
    if declared:
        assert browser.decide(CHANGED, "accept", reason).status == 413
    else:
        body = json.dumps({"id": CHANGED, "decision": "accept", "reason": reason}).encode()
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:20000], body[20000:40000]))
        answer = browser.send(
            "/api/decide",
            method="POST",
            body=chunked + b"0\r\n\r\n",
            headers={
                "Transfer-Encoding": "chunked",
                "Content-Length": None,
                "Origin": f"http://{browser.host}",
                "Content-Type": "application/json",
                "X-Seedpin-Token": browser.token,
            },
        )
        assert answer.status == 413
    assert run.decisions() == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"id": 1, "decision": "accept", "reason": "x"}',
        b'{"id": "x"}',
        b"\xff",
        b"[" * 9000,
    ],
)
def test_a_body_that_is_no_decision_is_refused(browser: Browser, body: bytes) -> None:
    """Anything but three texts is a bad request."""
    headers = {
        "Origin": f"http://{browser.host}",
        "Content-Type": "application/json",
        "X-Seedpin-Token": browser.token,
    }
    assert browser.send("/api/decide", method="POST", body=body, headers=headers).status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post_decides(browser: Browser, method: str) -> None:
    """No other method reaches a decision, and no preflight is answered."""
    answer = browser.send("/api/decide", method=method, headers={"Origin": f"http://{browser.host}"})
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_interfaces_are_asked_for_in_words(run: Run, folders: ProjectFolders, host: str) -> None:
    """A host that others can reach needs the long option."""
    with pytest.raises(UsageError, match="other machines") as caught, open_review(run, folders, host=host):
        pass
    assert "--i-know-this-is-not-private" in caught.value.hint


def test_on_all_interfaces_names_are_still_refused() -> None:
    """Any address may then be meant, but a name can be made to lead here."""
    guard = Guard("0.0.0.0", 80)
    assert guard.refuse({"host": "192.0.2.7:80"}, entering=True) is None
    assert guard.refuse({"host": "evil.example:80"}, entering=True) is not None


def test_a_missing_library_is_named(
    run: Run, folders: ProjectFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without uvicorn the error says what to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ReviewError, match="uvicorn") as caught, open_review(run, folders):
        pass
    assert "seedpin[review]" in caught.value.hint


def test_a_port_that_is_taken_is_told(run: Run, folders: ProjectFolders, browser: Browser) -> None:
    """Another program's port is an error, not a crash."""
    with pytest.raises(ReviewError, match="cannot be had"), open_review(run, folders, port=browser.port):
        pass


def test_the_command_serves_and_ends_with_ctrl_c(folders: ProjectFolders) -> None:
    """`seedpin review` prints its address, answers there, and ends with 0 on Ctrl-C."""
    main = "from seedpin.cli import main; main()"
    command = [sys.executable, "-c", main, "review", "--root", str(folders.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folders.root) as process:
        assert process.stdout is not None
        assert "3 check(s) await a decision" in process.stdout.readline()
        address = process.stdout.readline().removeprefix("open ").strip()
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert "3 left to decide" in rest
