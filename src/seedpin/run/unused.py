"""Goldens that nobody asks for any more, as far as a complete run tells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seedpin.errors import PruneRefusedError
from seedpin.goldens.inventory import Entry, Inventory
from seedpin.run.ledger import Run


@dataclass(frozen=True, slots=True)
class Unused:
    """Goldens that no check of a complete run asked for, and how many of other device classes were kept."""

    entries: tuple[Entry, ...] = ()
    skipped: tuple[Entry, ...] = ()
    other_classes: tuple[str, ...] = ()


def find_unused(inventory: Inventory, run: Run, classes: Collection[str]) -> Unused:
    """What ``run``, the last one, shows to be unused.

    Kept: goldens of device classes that the run had no check on, of tests that it skipped, that were
    written or moved after it, and those whose manifest cannot be read.

    Raises:
        PruneRefusedError: the run was partial or failed, or it does not tell.
    """
    meta = run.read_meta()
    if meta.get("complete") is not True:
        reasons = meta.get("partial_because")
        why = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else "it did not end"
        raise PruneRefusedError(
            f"the last run, {run.id}, does not tell which goldens are unused: {why}",
            hint="run pytest, whole and green, then prune",
        )
    claimed, skipped = set(meta.get("claimed", ())), tuple(map(str, meta.get("skipped", ())))
    began = f"{run.id[0:4]}-{run.id[4:6]}-{run.id[6:8]}T{run.id[9:11]}:{run.id[11:13]}:{run.id[13:15]}Z"
    found, kept = [], []
    for entry in inventory.entries:
        if entry.manifest is None or entry.stem in claimed or entry.device_class not in classes:
            continue
        updated = entry.manifest.updated
        newer = str(updated.get("when", "")) > began or str(updated.get("moved", "")) >= began
        if newer or _below(entry.manifest.test, skipped):
            kept.append(entry)
        else:
            found.append(entry)
    others = {entry.device_class for entry in inventory.entries} - set(classes)
    return Unused(tuple(found), tuple(kept), tuple(sorted(others)))


def _below(test: str, nodes: Sequence[str]) -> bool:
    """Whether ``test`` is one of ``nodes`` or lies in it."""
    return any(test == node or (test.startswith(node) and test[len(node)] in ":/[") for node in nodes)
