"""The report: one static page with its data and media beside it, and the same page for the review server.

    index.html              the list, readable without JavaScript
    assets/*.js, *.css      plain scripts, no modules, nothing from a network
    data/index.js           the list for filters and keys
    data/<n>.js             one check in full, loaded by a script tag when it is looked at
    media/<n>/*.webp        frames, loaded when they are looked at; sounds and pictures of other kinds

All links are relative, and nothing uses fetch() unless a review server is there, so that the folder works
from ``file://``, after being moved or unzipped. The page's Content-Security-Policy forbids all other origins.

Contract with the review server
    The server writes the report with ``review=True``, serves the folder at ``/``, and passes ``index.html``
    through ``with_review(page, {"token": token})`` for each request: this sets ``window.SEEDPIN_REVIEW`` by
    an inline script and allows that very script in the page's Content-Security-Policy by its hash (an inline
    script that is added in another way is blocked by the policy). The page then uses two addresses, both
    with the header ``X-Seedpin-Token: <token>``:

    GET /api/state      -> {"decided": {id: {"decision": "accept"|"reject", "reason": str}}, "total": int}
    POST /api/decide    <- {"id": str, "decision": "accept"|"reject"|"undo", "reason": str}
                        -> the same object as /api/state

    ``id`` is ``CheckResult.id``. The page asks for a reason before it accepts; the server must refuse an
    empty one, too. Any status but 2xx is shown to the person: the body's {"error": str, "hint": str} if it is
    such JSON, else the status. Only checks with ``CheckRow.decidable`` can be decided.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedpin.errors import UsageError
from seedpin.printing import printable
from seedpin.report.data import RunView, view_check, view_run
from seedpin.report.media import write_media
from seedpin.report.panels import write_panels
from seedpin.run.ledger import Run, latest_results
from seedpin.run.result import by_severity

_HERE = Path(__file__).parent
_SCRIPTS = "script-src 'self' file:"
_HEAD = "</head>"
_OURS = ("assets", "data", "media")


def write_report(
    run: Run, out: Path | None = None, *, golden_root: Path | None = None, review: bool = False
) -> Path:
    """Writes the report of ``run`` into the folder ``out`` (``<run>/report``) and returns its index.html.

    ``golden_root`` is the folder of goldens, for checks whose golden was not copied into the run; a golden
    that changed since the run is not shown. ``review`` is for the review server. What an earlier report left
    in ``out`` is replaced; other files stay.

    Raises:
        UsageError: the run has no results, or ``out`` holds something that is no report.
        OSError: the folder cannot be written.
    """
    results = by_severity(latest_results(run))
    if not results:
        raise UsageError(f"{run.path} holds no results", hint="run pytest, then seedpin report")
    out = run.path / "report" if out is None else out
    _clear(out)
    meta = run.read_meta()
    view = view_run(run.id, meta, results)
    for row, result in zip(view.checks, results, strict=True):
        media = write_media(out, run.path, row.number, result, golden_root)
        check = view_check(row, result, run=run.id, run_path=_shown_path(run))
        panels = write_panels(out, run.path, row.number, result, golden_root)
        shown = {"media": media, "panels": panels}
        detail = _shown({**check.as_dict(), **{key: one and one.as_dict() for key, one in shown.items()}})
        _write_script(out / "data" / f"{row.number}.js", f"seedpin.receive({row.number}", detail)
    listed = {**_shown(view.as_dict()), "review": review}
    _write_script(out / "data" / "index.js", "seedpin.open(0", listed)
    page = out / "index.html"
    page.write_text(render_page(view, review=review), encoding="utf-8")
    return page


def _shown(data: Any) -> Any:
    """``data`` with texts as they may be shown; ids stay, for the page names checks to the server by them."""
    if isinstance(data, Mapping):
        return {key: value if key == "id" else _shown(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_shown(value) for value in data]
    return printable(data, lines=True) if isinstance(data, str) else data


def render_page(view: RunView, *, review: bool = False) -> str:
    """The HTML of the page. Everything is escaped: names of tests may hold markup."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html").render(run=view, review=review, scripts=_SCRIPTS)


def with_review(page: str, settings: Mapping[str, Any]) -> str:
    """``page`` with ``window.SEEDPIN_REVIEW`` set to ``settings``, which must hold the token."""
    script = f"window.SEEDPIN_REVIEW = {_safe_json(settings)};"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = page.replace(_SCRIPTS, f"{_SCRIPTS} 'sha256-{digest}'", 1)
    return page.replace(_HEAD, f"<script>{script}</script>\n{_HEAD}", 1)


def _safe_json(data: Any) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _write_script(path: Path, call: str, data: Mapping[str, Any]) -> None:
    path.write_text(f"{call}, {_safe_json(data)});\n", encoding="ascii")


def _clear(out: Path) -> None:
    """An empty report folder with the assets in it."""
    if out.is_dir() and not (out / "index.html").is_file() and any((out / name).exists() for name in _OURS):
        raise UsageError(
            f"{out} holds folders that a report would replace, and no report",
            hint="name another folder",
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in _OURS:
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "data").mkdir()
    shutil.copytree(_HERE / "assets", out / "assets")


def _shown_path(run: Run) -> str:
    """The run's folder as one types it in the project: from ``.seedpin`` on, where it lies there."""
    parts = run.path.resolve().parts
    if ".seedpin" in parts:
        return "/".join(parts[len(parts) - 1 - parts[::-1].index(".seedpin") :])
    return run.path.as_posix()
