"""``python -m seedpin``: the command line."""

from __future__ import annotations

from seedpin.cli import main

main()
