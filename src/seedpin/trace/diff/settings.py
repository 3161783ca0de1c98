"""Hyper-parameters that changed and can have done it: of what ran, at or inside the place, on both sides."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from seedpin.trace.model import ModuleInfo, Record, Trace, names_a_path

_EMPTY = ("None", "False", "''", "()", "[]")
_COUNTERPARTS = {"decode": ("encoder", "quant_conv"), "encode": ("decoder", "post_quant_conv")}
_SHOWN = 8


def owner_of(trace: Trace, record: Record) -> str:
    """The module or scheduler whose code a record ran: ``vae`` for ``vae.decode``; empty for none."""
    known = {info.name for info in trace.modules}
    name = record.name.rpartition(".")[0] if record.kind == "scheduler" else record.name
    if name not in known:
        name = name.rpartition(".")[0]
    return name if name in known else ""


def suspect_modules(trace: Trace, record: Record, inside: Collection[str]) -> list[str]:
    """Modules whose settings can matter to a record's output: its own, and those that ran inside of it.

    inside: names of the records within it. At level ``stages`` modules are no records: then all below the
    owner count, but for the half of an autoencoder that a method ``decode`` or ``encode`` does not use.
    """
    owner = owner_of(trace, record)
    if not owner:
        return []
    if record.kind == "scheduler":
        return [owner]
    if trace.level != "stages":
        # In the order in which they ran: the first that changed is the likeliest.
        return list(dict.fromkeys([owner, *inside]))
    idle = _COUNTERPARTS.get(record.name.rpartition(".")[2], ()) if record.name != owner else ()
    names = [info.name for info in trace.modules if info.name == owner or info.name.startswith(f"{owner}.")]
    return [name for name in names if name.removeprefix(f"{owner}.").partition(".")[0] not in idle]


def changed_settings(golden: Trace, here: Trace, names: Sequence[str]) -> list[str]:
    """Sentences on settings and classes that differ, one for each change, with the modules that share it.

    A setting that one side does not have counts as unchanged where the other has it empty (None, False):
    between two releases of a library such keys come and go. Places on a disk are no settings.
    """
    left = {info.name: info for info in golden.modules}
    right = {info.name: info for info in here.modules}
    certain: dict[tuple[str, str, str], list[str]] = {}
    one_sided: dict[tuple[str, str, str], list[str]] = {}
    for name in names:
        old, new = left.get(name), right.get(name)
        if old is None or new is None or old == new:
            continue
        if old.cls != new.cls:
            certain.setdefault((f"class {old.cls} -> {new.cls}", "", ""), []).append(f"{name}:")
        for key in dict.fromkeys([*new.config, *old.config]):
            was, now = _texts(old, new, key)
            if was is None or now is None:
                if (was or now) not in _EMPTY and not names_a_path(key, str(was or now)):
                    text = (key, "absent" if was is None else was, "absent" if now is None else now)
                    one_sided.setdefault(text, []).append(f"{name} {new.cls}:")
            elif was != now and not names_a_path(key, was):
                certain.setdefault((key, was, now), []).append(f"{name} {old.cls}:")
    sentences = [*map(_sentence, certain.items()), *map(_sentence, one_sided.items())]
    if len(sentences) > _SHOWN:
        sentences[_SHOWN:] = [f"and {len(sentences) - _SHOWN} more settings"]
    return sentences


def _texts(old: ModuleInfo, new: ModuleInfo, key: str) -> tuple[str | None, str | None]:
    return old.config.get(key), new.config.get(key)


def _sentence(item: tuple[tuple[str, str, str], list[str]]) -> str:
    (key, was, now), places = item
    more = f", and in {len(places) - 1} more" if len(places) > 1 else ""
    return f"{places[0]} {key} {was} -> {now}{more}" if was else f"{places[0]} {key}{more}"
