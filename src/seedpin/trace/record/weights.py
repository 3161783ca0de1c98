"""Fingerprints of parameters and buffers: once per recording, and again when they changed in place.

They are not kept from one recording to the next, though that would save the hashing: ``weight.data += x``
(as LoRA is fused) and ``weight.data[i] = x`` (as an embedding is added) leave object, address and version
as they were, and the next trace would say that weights agree which do not. Within one recording such an edit
is looked for at its end, by hashing small weights once more: what is found then is not known for the calls
between.

Nothing here keeps a module or a tensor alive: a model may drop a part during its call.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from seedpin.trace.model import Fingerprint
from seedpin.trace.record.fingerprint import Fingerprints, bytes_hash

DEVICE_DIGITS = 16
"""Length of a hash that was made on an accelerator."""

_MAX_NAMED = 8192
_MAX_WALKED = 20_000
_VERIFIED_BYTES = 64 << 20
"""How much is hashed again at the end of a recording: buffers first, then the smallest parameters."""

_State = tuple["weakref.ref[torch.Tensor]", int, int]
"""A tensor as it was: which, its version (-1: it has none), its address."""


@dataclass(slots=True, eq=False)
class HeldWeights:
    """The weights of one module (or of all below it) as they were when they were last read."""

    modules: tuple[weakref.ref[nn.Module], ...]
    names: tuple[str, ...]
    slots: tuple[int, ...]
    states: tuple[_State, ...]

    def unchanged(self) -> bool:
        """Whether these modules have the same tensors, in the same place, at the same version; modules that
        were added are not looked for. Asked before each call, so that every microsecond counts."""
        states = self.states
        index = 0
        try:
            for known in self.modules:
                attributes: Any = known().__dict__
                for holder in (attributes["_parameters"], attributes["_buffers"]):
                    for tensor in holder.values():
                        if tensor is not None:
                            ref, version, pointer = states[index]
                            # A tensor made under inference_mode raises here: it is read each time.
                            if (
                                tensor._version != version
                                or tensor.data_ptr() != pointer
                                or ref() is not tensor
                            ):
                                return False
                            index += 1
        except (IndexError, RuntimeError, AttributeError, KeyError):  # A module that is gone has no weights.
            return False
        return index == len(states)


class Weights:
    """Remembers the slots of each module's weights."""

    def __init__(self, table: Fingerprints) -> None:
        self.named: dict[str, int] = {}
        """Slot of each weight as it was read at first, by qualified name."""
        self.doubtful: list[tuple[str, int, int]] = []
        """(qualified name, slot, slot at the end) of what was hashed again: an edit that no version shows."""
        self.notes: list[str] = []
        self._table = table
        self._known: dict[int, tuple[_State, int]] = {}
        self._latest: dict[str, tuple[_State, int, bool]] = {}

    def own(self, module: nn.Module, name: str) -> HeldWeights:
        """The module's own weights as they are now."""
        return self._read(((name, module),), name)

    def below(self, module: nn.Module, name: str) -> HeldWeights:
        """The weights of the module and of all below it, as they are now."""
        return self._read(tuple(_modules_below(module, name)), name)

    def _read(self, modules: Sequence[tuple[str, nn.Module]], name: str) -> HeldWeights:
        names, slots, states = [], [], []
        for prefix, module in modules:
            holders: tuple[Mapping[str, torch.Tensor | None], ...] = module._parameters, module._buffers
            for is_buffer, holder in enumerate(holders):
                for key, tensor in holder.items():
                    if tensor is not None:
                        state, slot = self._slot(tensor)
                        qualified = f"{prefix}.{key}"
                        names.append(qualified[len(name) + 1 :])
                        slots.append(slot)
                        states.append(state)
                        self._name(qualified, state, slot, bool(is_buffer))
        refs = tuple([weakref.ref(module) for _, module in modules])
        return HeldWeights(refs, tuple(names), tuple(slots), tuple(states))

    def _slot(self, tensor: torch.Tensor) -> tuple[_State, int]:
        """The tensor's state and slot; it is hashed once for all the names and stages that have it."""
        version, pointer = _version(tensor), _pointer(tensor)
        known = self._known.get(id(tensor))
        if (
            known is not None
            and version >= 0
            and known[0][0]() is tensor
            and known[0][1:] == (version, pointer)
        ):
            return known
        state = weakref.ref(tensor), version, pointer
        fresh = self._known[id(tensor)] = state, self._table.weight(tensor)
        return fresh

    def _name(self, name: str, state: _State, slot: int, is_buffer: bool) -> None:
        if name in self.named:
            self._latest[name] = state, slot, is_buffer
        elif len(self.named) < _MAX_NAMED:
            self.named[name] = slot
            self._latest[name] = state, slot, is_buffer
        elif not self.notes:
            self.notes.append(f"weights beyond the first {_MAX_NAMED:,} are known by module only")

    def finish(self) -> None:
        """Read small weights once more, and let go of all tensors: the recording is over.

        A write through a NumPy view, through ``.data`` or from C moves no version, so that the calls after it
        were taken to have the weights of before.
        """
        room = _VERIFIED_BYTES
        # By tensor, as tied weights have several names: hashed once, they take their room once.
        again: dict[int, int] = {}
        held = [
            (not is_buffer, _bytes(tensor), name, tensor, slot)
            for name, (state, slot, is_buffer) in self._latest.items()
            # Gone, or changed in a way that is seen: nothing to look for.
            if (tensor := state[0]()) is not None and (_version(tensor), _pointer(tensor)) == state[1:]
        ]
        for _, size, name, tensor, slot in sorted(held, key=lambda item: item[:3]):
            if id(tensor) not in again:
                if size > room:
                    continue
                room -= size
                again[id(tensor)] = self._table.weight(tensor)
            if again[id(tensor)] != slot:
                self.doubtful.append((name, slot, again[id(tensor)]))
        self._known.clear()
        self._latest.clear()


def hash_of_weights(names: Sequence[str], prints: Sequence[Fingerprint]) -> tuple[str, tuple[str, ...]]:
    """One hash for weights by name, and the names of those that were not read (or only in part).

    The names are sorted: the order of registration is no property of the weights. Sums over hashes of another
    kind get a mark in front, so that they are not compared.
    """
    rows = sorted(zip(names, prints, strict=True), key=lambda row: row[0])
    if not rows:
        return "", ()
    text = "\n".join([f"{name} {item.dtype} {item.shape} {item.hash}" for name, item in rows])
    digest = bytes_hash(text.encode())
    kinds = [len(item.hash) for _, item in rows]
    known = {kind for kind in kinds if kind}
    if known == {DEVICE_DIGITS}:
        digest = f"device:{digest}"
    elif len(known) > 1:
        digest = f"mixed-{bytes_hash(repr(kinds).encode())[:8]}:{digest}"
    return digest, tuple([name for name, item in rows if item.unread])


def short_hash(item: Fingerprint) -> str:
    """The hash of one weight as a trace keeps it: 16 digits, with a mark where a device made them."""
    return f"device:{item.hash}" if len(item.hash) == DEVICE_DIGITS else item.hash[:16]


def _version(tensor: torch.Tensor) -> int:
    """-1 for tensors made under inference_mode, which have none, and for uninitialised ones."""
    try:
        return -1 if tensor.is_inference() else tensor._version
    except Exception:  # A class of tensors may raise anything.
        return -1


def _pointer(tensor: torch.Tensor) -> int:
    """0 for tensors without storage."""
    try:
        return tensor.data_ptr()
    except Exception:  # A class of tensors may raise anything.
        return 0


def _bytes(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.nbytes)
    except Exception:
        return 0


def _modules_below(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The module and all below it, under every name that leads to them: which of two names comes first is a
    matter of registration. A module within itself is not followed."""
    walked = 0
    stack: list[tuple[str, nn.Module, tuple[int, ...]]] = [(name, module, ())]
    while stack and walked < _MAX_WALKED:
        prefix, current, above = stack.pop()
        walked += 1
        yield prefix, current
        above = (*above, id(current))
        for key, child in current._modules.items():
            if child is not None and id(child) not in above:
                stack.append((f"{prefix}.{key}", child, above))
