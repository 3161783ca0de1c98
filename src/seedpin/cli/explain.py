"""``seedpin explain [SLUG]``: the help on a message."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import click

from seedpin.cli._say import say
from seedpin.config import suggest
from seedpin.errors import UsageError


def read_messages() -> dict[str, str]:
    """Slug to section, from docs/messages.md (packaged in a wheel, in ``docs/`` of a checkout)."""
    packaged = resources.files("seedpin") / "messages.md"
    if packaged.is_file():
        text = packaged.read_text(encoding="utf-8")
    else:
        text = (Path(__file__).parents[3] / "docs" / "messages.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (\S+)$", text, flags=re.MULTILINE)[1:]
    return {slug: body.strip() for slug, body in zip(parts[::2], parts[1::2], strict=True)}


@click.command("explain")
@click.argument("slug", required=False)
def command(slug: str | None) -> None:
    """Print what a message means and what to do about it. Without SLUG: the list of slugs."""
    messages = read_messages()
    if slug is None:
        say("\n".join(messages), lines=True)
    elif slug in messages:
        say(f"{slug}\n\n{messages[slug]}", lines=True)
    else:
        raise UsageError(f"there is no message {slug!r}", hint=suggest(slug, messages))
