"""Goldens of a test that got another name: found by their bits, and moved with it."""

from __future__ import annotations

import dataclasses
import difflib
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import DamagedGoldenError, MoveRefusedError, SeedpinError
from seedpin.goldens.commit import GoldenWrite, write_changes
from seedpin.goldens.inventory import GoldenEntry, Inventory, golden_files
from seedpin.goldens.manifest import Manifest, from_json
from seedpin.goldens.names import is_below
from seedpin.goldens.provenance import now
from seedpin.goldens.store import LARGEST_MANIFEST, GoldenKey, GoldenStore, change_of
from seedpin.untrusted import read_plain


@dataclass(frozen=True, slots=True)
class Move:
    """One golden, and the key under which it shall lie."""

    entry: GoldenEntry
    key: GoldenKey

    @property
    def stem(self) -> str:
        return self.key.stem


def plan_moves(inventory: Inventory, old: str, new: str) -> list[Move]:
    """What ``seedpin mv OLD NEW`` moves: goldens of all device classes.

    ``old`` is a folder, a file, a class, a test (with all of its parameters), or a check as ``test::check``.
    A golden counts by the name in its manifest, wherever it lies.

    Raises:
        MoveRefusedError: nothing is called so, ``new`` would make other tests of them than names can be,
            goldens lie where they would go, or one of them cannot be read.
    """
    old, new = (name.rstrip("/").removeprefix("./") for name in (old, new))
    known = [(entry, entry.manifest) for entry in inventory.entries if entry.manifest is not None]
    for entry in inventory.entries:
        if entry.manifest is None and old and is_below(entry.stem, old):
            git = f"git checkout -- {shlex.quote(str(entry.path))}"
            raise MoveRefusedError(
                f"{entry.stem} could not follow: {entry.problem}; nothing was moved",
                hint=f"put it right first, if it is damaged: {git} (in a merge with --ours or --theirs)",
            )
    moves = []
    for entry, manifest in known:
        rest = _rest(manifest.test, old)
        if rest is not None:
            moves.append(Move(entry, GoldenKey(new + rest, manifest.check, manifest.device_class)))
    if not moves:
        moves = _moves_of_check(known, old, new)
    if not moves:
        names = {manifest.test for _, manifest in known}
        near = difflib.get_close_matches(old, names | {name.partition("::")[0] for name in names}, n=1)
        raise MoveRefusedError(
            f"no golden in {inventory.root} belongs to {old!r}",
            hint=f"did you mean {near[0]!r}?" if near else "seedpin status names goldens without a test file",
        )
    _check(inventory, moves)
    return moves


def _rest(test: str, prefix: str) -> str | None:
    """What follows ``prefix`` in a test's name, if it is one of its folders, its file, class or function."""
    if test == prefix:
        return ""
    rest = test[len(prefix) :]
    return rest if test.startswith(prefix) and rest.startswith(("/", "::", "[")) else None


def _moves_of_check(known: Sequence[tuple[GoldenEntry, Manifest]], old: str, new: str) -> list[Move]:
    test, _, check = new.rpartition("::")
    return [
        Move(entry, GoldenKey(test, check, manifest.device_class))
        for entry, manifest in known
        if f"{manifest.test}::{manifest.check}" == old
    ]


def _check(inventory: Inventory, moves: Sequence[Move]) -> None:
    for move in moves:
        path, separator, name = move.key.test.partition("::")
        if not (path and separator and name and move.key.check):
            raise MoveRefusedError(
                f"{move.key.test!r} is no test: a golden belongs to file::test",
                hint="both are of one kind: seedpin mv tests/test_a.py::test_old tests/test_a.py::test_new",
            )
        if not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise MoveRefusedError(
                f"{path!r} leads out of the project, or is not as pytest writes it",
                hint="write it from the project's folder on, as in pytest's node ids",
            )
    leaving = {move.entry.path for move in moves}
    taken: set[str] = set()
    for move in moves:
        target = inventory.root / f"{move.stem}.json"
        if move.stem in taken or (target.exists() and target not in leaving):
            raise MoveRefusedError(
                f"{move.entry.stem} would take the place of the golden {target}; nothing was moved",
                hint="delete the one that is not wanted, or accept the clip under its new name instead",
            )
        taken.add(move.stem)


def write_moved(store: GoldenStore, moves: Sequence[Move]) -> None:
    """Moves goldens, all of them or none; their manifests tell when, and from where.

    Raises:
        MoveRefusedError: a golden is not what it was when the move was planned.
        DamagedGoldenError: a file beside a manifest is missing.
        GoldenWriteError: the file system refused.
    """
    with store.locked():
        leaving = [f"{move.entry.stem}.json" for move in moves]
        contents = {path: GoldenWrite(path, None) for path in leaving}
        for move in moves:
            change = _change(move)
            if change.path not in leaving and (store.root / change.path).exists():
                raise MoveRefusedError(
                    f"a golden has appeared at {store.root / change.path} meanwhile; nothing was moved",
                    hint="look at it, then move again",
                )
            contents[change.path] = change
        write_changes(store.root, list(contents.values()))


def _change(move: Move) -> GoldenWrite:
    path = move.entry.path
    manifest = from_json(read_plain(path, LARGEST_MANIFEST), path)
    if manifest != move.entry.manifest:
        raise MoveRefusedError(f"{path} changed meanwhile; nothing was moved", hint="move again")
    payloads = {file.name: path.parent / file.name for file in manifest.files.values()}
    for payload in payloads.values():
        if not payload.is_file():
            raise DamagedGoldenError(
                f"{payload} is missing though its manifest names it; nothing was moved",
                hint=f"restore it from version control (git checkout -- {shlex.quote(str(payload))})",
            )
    told = dataclasses.replace(manifest.updated, moved=now(), moved_from=manifest.test)
    renamed = dataclasses.replace(manifest, test=move.key.test, check=move.key.check, updated=told)
    return change_of(move.key, renamed, payloads)


def find_moved(root: Path, key: GoldenKey, digest: str, alive: Collection[str] = ()) -> tuple[GoldenKey, ...]:
    """Goldens of other tests or checks with these very bits, of the same device class, likeliest first.

    ``alive`` are tests that are known to be there still; theirs are left out. Only manifests that hold the
    digest are read whole.
    """
    same = []
    for path in golden_files(root):
        if not path.name.endswith(".json") or path.name.count(".") != 2:
            continue
        try:
            raw = read_plain(path, LARGEST_MANIFEST)
            if digest.encode("ascii") not in raw:
                continue
            manifest = from_json(raw, path)
        except (OSError, SeedpinError):
            continue
        other = GoldenKey(manifest.test, manifest.check, manifest.device_class)
        if manifest.digest == digest and other.device_class == key.device_class and other != key:
            same.append(other)
    return tuple(sorted((one for one in same if one.test not in alive), key=lambda one: _distance(one, key)))


def _distance(one: GoldenKey, other: GoldenKey) -> tuple[float, str, str]:
    same = difflib.SequenceMatcher(None, f"{one.test}::{one.check}", f"{other.test}::{other.check}").ratio()
    return -same, one.test, one.check
