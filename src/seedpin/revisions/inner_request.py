"""What the process that runs tests in another work tree is asked, as a file that it can read early."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seedpin.process import REQUEST_VARIABLE
from seedpin.revisions.arguments import Selection


@dataclass(frozen=True, slots=True)
class InnerRequest:
    """``here`` must not be imported from, ``tree`` is where the tests run, ``out`` takes what was found.

    ``wanted`` are the only tests to run (None: all that ``selections`` hold), ``known`` those that need no
    run. ``from_folder``: whether the working folder is to be on the import path.
    """

    here: str
    tree: str
    out: str
    wanted: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    selections: tuple[Selection, ...] | None = None
    from_folder: bool = False

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_request(environment: Mapping[str, str] = os.environ) -> InnerRequest:
    """The request of this process."""
    data: dict[str, Any] = json.loads(Path(environment[REQUEST_VARIABLE]).read_text(encoding="utf-8"))
    wanted, selections = data["wanted"], data["selections"]
    return InnerRequest(
        here=data["here"],
        tree=data["tree"],
        out=data["out"],
        wanted=None if wanted is None else tuple(wanted),
        known=tuple(data["known"]),
        selections=None
        if selections is None
        else tuple(Selection(entry["path"], tuple(entry["names"])) for entry in selections),
        from_folder=data["from_folder"],
    )
