"""Where two kept clips part, from the traces beside them."""

from __future__ import annotations

from pathlib import Path

from seedpin.errors import GoldenError, TraceError
from seedpin.goldens.store import read_golden
from seedpin.trace.diff.divergence import Divergence
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Trace
from seedpin.trace.storage import from_bytes


def divergence_between(before: Path, after: Path) -> Divergence | None:
    """The first divergence of two goldens (or obtained clips), by their manifests.

    None where a trace is absent or unreadable.
    """
    there, here = _trace(before), _trace(after)
    if there is None or here is None:
        return None
    return first_divergence(there, here)


def _trace(manifest: Path) -> Trace | None:
    try:
        golden = read_golden(manifest)
        if golden is None or "trace" not in golden.manifest.files:
            return None
        return from_bytes(golden.file("trace").read_bytes())
    except (GoldenError, TraceError, OSError):
        return None
