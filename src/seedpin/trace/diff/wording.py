"""The phrases of which a divergence's sentence is made."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.trace.diff.align import Node
from seedpin.trace.drawing import HELPERS
from seedpin.trace.model import Fingerprint, Record, Seen, Trace, all_agree, hashes_agree


def label(record: Record) -> str:
    """A record's short name: ``transformer call 2, step 1`` or ``scheduler.step 1``."""
    if record.kind == "clip":
        return record.extra.get("of", "frames")
    if record.kind == "mark":
        return f"mark {record.name!r}" + (f" ({record.call})" if record.call else "")
    if (
        record.kind == "scheduler"
        and record.loop
        and record.step is not None
        and record.name.endswith(".step")
    ):
        return f"{record.name} {record.step} of loop {record.loop}"
    if record.kind == "scheduler":
        return f"{record.name} {record.call}" if record.name.endswith(".step") or record.call else record.name
    name = f"{record.name} call {record.call}" if record.call else record.name
    if record.kind == "op":
        name = f"{record.name} in {record.extra.get('module') or 'the pipeline'}"
    if record.step is None or record.kind == "draw":
        return name
    return f"{name}, step {record.step}{f' of loop {record.loop}' if record.loop else ''}"


def describe(record: Record | None) -> str:
    """A record with its inputs and outputs, on one line; empty for none."""
    if record is None:
        return ""

    def side(items: Sequence[tuple[str, Seen]]) -> str:
        shown = ", ".join(
            f"{name}={_brief(seen)}" if name and not name.isdecimal() else _brief(seen)
            for name, seen in items[:6]
        )
        return shown + (", …" if len(items) > 6 else "")

    if record.kind == "draw":
        return draw(record)
    site = f" at {record.site}" if record.site else ""
    return f"{label(record)}({side(record.inputs)}) -> {side(record.outputs) or 'nothing'}{site}"


def _brief(seen: Seen) -> str:
    return f"{seen} #{seen.hash[:8]}" if isinstance(seen, Fingerprint) else str(seen)[:60]


def after(record: Record | None) -> str:
    """``after transformer call 3, step 1`` or ``at the beginning``."""
    return f"after {label(record)}" if record is not None else "at the beginning"


def before(record: Record | None, parent: Node | None) -> str:
    """What came before a record, for ``between … and …``."""
    if record is not None:
        return label(record)
    return f"the beginning of {label(parent.record)}" if parent is not None else "the call"


def draw(record: Record) -> str:
    """``torch.randn (1, 4, 8, 8) float32 at pipeline.py:210``."""
    tensor = next((item for _, item in record.outputs if isinstance(item, Fingerprint)), None)
    what = f" {tensor.shape} {tensor.dtype}" if tensor is not None else ""
    inside = f" ({record.extra['in']})" if record.extra.get("in") else ""
    own = f" from the {record.extra['generator']} generator" if record.extra.get("generator") else ""
    return f"{record.name}{what}{own}" + (f" at {record.site}{inside}" if record.site else "")


def draw_number(trace: Trace, record: Record) -> int:
    """Position among the draws that were seen, from 0."""
    seen = [item for item in trace.records if item.kind == "draw" and "unseen" not in item.extra]
    return next((index for index, item in enumerate(seen) if item is record), len(seen))


def draw_place(record: Record) -> str:
    """``draw in prepare_latents``: the function that asked, past helpers that all share."""
    functions = [name for name in record.extra.get("in", "").split(" < ") if name not in ("", *HELPERS)]
    return (
        f"draw in {functions[0]}" if functions else f"draw from {record.extra.get('generator', record.name)}"
    )


def change(golden: Seen | None, here: Seen | None) -> str:
    """``is None here, was 7.5``."""

    def text(seen: Seen | None) -> str:
        return (
            "absent" if seen is None else f"a tensor {seen}" if isinstance(seen, Fingerprint) else str(seen)
        )

    return f"is {text(here)} here, was {text(golden)}"


def changed_weights(golden: Trace, here: Trace, record: Record) -> list[str]:
    """Parameters of a call whose hashes differ: of the module alone, at level ``stages`` of all below it."""
    prefix = f"{record.name}."
    known = list(dict.fromkeys([*golden.weights, *here.weights]))
    inside = [key for key in known if key.startswith(prefix)]
    if not inside and "." not in record.name:
        inside = [key for key in known if key in golden.weights and key in here.weights]
    names = [key for key in inside if _weight_differs(golden, here, key)]
    return names if golden.level == "stages" else [key for key in names if owner([key]) == record.name]


def _weight_differs(golden: Trace, here: Trace, name: str) -> bool:
    if name in golden.unread or name in here.unread:
        return False
    left, right = golden.weights.get(name), here.weights.get(name)
    return left is not right and (left is None or right is None or hashes_agree(left, right) is False)


def not_read(pairs: Sequence[tuple[Record, Record]], calls: Sequence[Record]) -> str:
    """Those at the end of ``calls`` whose outputs could not be read, in words."""
    dark: list[str] = []
    for call in reversed(calls):
        here = partner(pairs, call)
        if here is None or all_agree(call.outputs, here.outputs) is not None:
            break
        dark.append(label(call))
    shown = dark[::-1] if len(dark) < 4 else [dark[-1], f"{len(dark) - 2} more", dark[0]]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def owner(parameters: Sequence[str]) -> str:
    """The innermost module that holds all of these parameters; empty for none."""
    shared: list[str] = []
    for parts in zip(*(name.split(".")[:-1] for name in parameters), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def kernels(golden: Record, here: Record) -> list[str]:
    """``attention kernel of transformer: flash -> math``, where both sides noted one and they differ."""
    old, new = golden.extra.get("attention"), here.extra.get("attention")
    return [f"attention kernel of {golden.name}: {old} -> {new}"] if old and new and old != new else []


def short(record: Record | None, parent: str) -> str:
    """Name within a parent: ``norm_k`` for ``blocks.0.attn1.norm_k``."""
    if record is None:
        return "its beginning"
    if record.kind in ("draw", "mark"):
        return label(record)
    return record.name.removeprefix(f"{parent}.")


def partner(pairs: Sequence[tuple[Record, Record]], golden: Record) -> Record | None:
    """The record here that was laid beside a golden one."""
    return next((here for record, here in pairs if record is golden), None)


def index_of(pairs: Sequence[tuple[Record, Record]], golden: Record) -> int:
    """Position of a golden record among the pairs."""
    return next((index for index, pair in enumerate(pairs) if pair[0] is golden), len(pairs))


def suspects(first: Record | None, second: Record) -> str:
    """What usually stands between two records."""
    name = second.name.lower()
    if first is None:
        return "the arguments of the call"
    if name.endswith(".step"):
        return "guidance, or other glue code before the step"
    if "decode" in name:
        return "scaling of the latents before the decoder"
    if "postprocess" in name:
        return "glue code between the decoder and post-processing"
    if first.name.endswith((".step", ".set_timesteps", "scale_model_input")):
        return "scaling, concatenation or glue code before the model"
    return "scaling or glue code"


def swapped_sites(golden: Trace, here: Trace) -> list[str]:
    """Draws that gave the same values to other callers."""
    left = [item for item in golden.records if item.kind == "draw"]
    right = [item for item in here.records if item.kind == "draw"]
    return [
        f"random draw {index} has the same values but another caller: {_asked(old)} -> {_asked(new)}"
        for index, (old, new) in enumerate(zip(left, right, strict=False))
        if old.outputs == new.outputs and _asked(old) != _asked(new)
    ][:3]


def _asked(record: Record) -> str:
    functions = record.extra.get("in", "")
    for helper in HELPERS:
        functions = functions.removeprefix(f"{helper} < ")
    return functions


def result(changed: Sequence[tuple[str, Seen | None, Seen | None]]) -> str:
    """``the output does not``, with shape or dtype where these changed."""
    name, left, right = changed[0]
    which = f"the output `{name}`" if name and not name.isdecimal() else "the output"
    if isinstance(left, Fingerprint) and isinstance(right, Fingerprint):
        if left.shape != right.shape:
            return f"{which} does not (shape {left.shape} -> {right.shape})"
        if left.dtype != right.dtype:
            return f"{which} does not (dtype {left.dtype} -> {right.dtype})"
    return f"{which} does not"
