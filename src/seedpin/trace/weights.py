"""Fingerprints of parameters and buffers: once per recording, and again when they changed in place.

They are not kept from one recording to the next, though that would save the hashing: ``weight.data += x``
(as LoRA is fused) and ``weight.data[i] = x`` (as an embedding is added) leave object, address and version
as they were, and the next trace would say that weights agree which do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import nn

from seedpin.trace.fingerprint import Fingerprints

__all__ = ["Own", "Weights", "unchanged"]

_MAX_NAMED = 8192

_Place: TypeAlias = "tuple[Mapping[str, torch.Tensor | None], str, torch.Tensor, int]"
Own: TypeAlias = "tuple[int, tuple[_Place, ...], tuple[int, ...]]"
"""A module's own weights: how many, where each is (holder, key, tensor, version), and their slots."""


def unchanged(own: Own, module: nn.Module) -> bool:
    """Whether a module's own weights are the same tensors at the same version: asked before each call."""
    if len(module._parameters) + len(module._buffers) != own[0]:
        return False
    for holder, key, tensor, version in own[1]:
        if holder.get(key) is not tensor or (version >= 0 and tensor._version != version):
            return False
    return True


class Weights:
    """Remembers the slots of each module's weights."""

    def __init__(self, table: Fingerprints) -> None:
        self.named: dict[str, int] = {}
        self.notes: list[str] = []
        self._table = table
        self._deep: dict[int, tuple[list[tuple[str, torch.Tensor]], list[int], tuple[int, ...]]] = {}
        self._hashed: dict[int, tuple[int, int]] = {}
        self._seen: set[int] = set()

    def own(self, module: nn.Module, name: str) -> Own:
        """The module's own weights as they are now."""
        places = [
            (holder, key, tensor, _version(tensor))
            for holder in (module._parameters, module._buffers)
            for key, tensor in holder.items()
            if tensor is not None
        ]
        slots = tuple([self._table.weight(tensor) for _, _, tensor, _ in places])
        self._name(module, name, [key for _, key, _, _ in places], slots)
        return len(module._parameters) + len(module._buffers), tuple(places), slots

    def below(self, module: nn.Module, name: str) -> tuple[int, ...]:
        """Slots of the weights of the module and of all below it."""
        known = self._deep.get(id(module))
        # The members are kept for the recording: a walk through a large module costs more than hashing.
        members = _members(module) if known is None else known[0]
        try:
            state = [tensor._version for _, tensor in members]
        except RuntimeError:
            state = [_version(tensor) for _, tensor in members]
        if known is not None and known[1] == state:
            return known[2]
        slots = []
        for (_, tensor), version in zip(members, state, strict=True):
            # A stage within a stage has the same weights. The members keep them alive, so an id stays theirs.
            hashed = self._hashed.get(id(tensor))
            if hashed is None or hashed[0] != version:
                hashed = self._hashed[id(tensor)] = version, self._table.weight(tensor)
            slots.append(hashed[1])
        self._deep[id(module)] = members, state, tuple(slots)
        self._name(module, name, [suffix for suffix, _ in members], tuple(slots))
        return tuple(slots)

    def _name(self, module: nn.Module, name: str, suffixes: list[str], slots: tuple[int, ...]) -> None:
        if id(module) in self._seen:
            return
        self._seen.add(id(module))
        for suffix, slot in zip(suffixes, slots, strict=True):
            if len(self.named) < _MAX_NAMED:
                self.named[f"{name}.{suffix}"] = slot
            elif not self.notes:
                self.notes.append(f"weights beyond the first {_MAX_NAMED:,} are known by module only")


def _version(tensor: torch.Tensor) -> int:
    """-1 for tensors made under inference_mode, which have none."""
    return -1 if tensor.is_inference() else tensor._version


def _members(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters, then buffers, as ``named_parameters`` and ``named_buffers`` give them, in one walk."""
    modules: list[tuple[str, nn.Module]] = []
    _walk(module, "", modules, set())
    seen: set[int] = set()
    found: list[tuple[str, torch.Tensor]] = []
    for kind in ("_parameters", "_buffers"):
        for prefix, child in modules:
            for name, tensor in child.__dict__[kind].items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    found.append((prefix + name, tensor))
    return found


def _walk(module: nn.Module, prefix: str, into: list[tuple[str, nn.Module]], seen: set[int]) -> None:
    seen.add(id(module))
    into.append((prefix, module))
    for name, child in module._modules.items():
        if child is not None and id(child) not in seen:
            _walk(child, f"{prefix}{name}.", into, seen)
