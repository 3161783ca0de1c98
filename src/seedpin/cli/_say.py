"""The one way in which commands print: nothing of what others named reaches a terminal raw."""

from __future__ import annotations

from typing import Any

import click

from seedpin.printing import printable


def say(text: object = "", *, lines: bool = False, err: bool = False, **style: Any) -> None:
    """Prints one line, or with ``lines`` a text of several, styled as ``click.style`` does."""
    click.secho(printable(text, lines=lines), err=err, **style)
