"""Records that are stored or sent: read strictly by their types, written as plain data."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seedpin.checking.waiting import Waiting
from seedpin.goldens.manifest import Manifest, from_json, to_json
from seedpin.goldens.store import GoldenKey, StagedGolden
from seedpin.records import RecordError, as_plain, as_record, read_record
from seedpin.run.ledger import ReviewDecision
from seedpin.run.result import CheckResult
from support.report_runs import demo_run

ROOT = Path(__file__).parents[2]
OLD_RUN = Path(__file__).parent / "data" / "results_of_0.1.0.jsonl"
STORED = (CheckResult, Manifest, Waiting, ReviewDecision)
LEAST = {"test": "t", "check": "c", "kind": "video", "verdict": "changed", "device_class": "d"}
LEAST |= {"golden": "g.json", "message": ""}


def types_within(kind: Any, seen: set[Any] | None = None) -> Iterator[Any]:
    """A type, and all that its fields and arguments are made of."""
    seen = set() if seen is None else seen
    if not isinstance(kind, typing.Hashable) or kind in seen:
        return
    seen.add(kind)
    yield kind
    inner = list(typing.get_args(kind))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        inner += typing.get_type_hints(kind).values()
    for one in inner:
        yield from types_within(one, seen)


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_nothing_that_is_stored_or_sent_is_of_any_type(kind: type) -> None:
    """No field of a record, however deep, may hold just anything: neither Any nor object, nor a bare dict."""
    found = set(types_within(kind))
    assert not found & {Any, object, dict, list, tuple}
    for record in found:
        if dataclasses.is_dataclass(record):
            assert record.__dataclass_params__.frozen  # type: ignore[union-attr]
            assert hasattr(record, "__slots__"), record


def test_a_record_survives_json_and_a_report(tmp_path: Path) -> None:
    """Every record of a run with all verdicts is the same again, from JSON as from plain data."""
    for result in demo_run(tmp_path).results():
        plain = as_plain(result)
        assert as_record(CheckResult, plain) == result
        assert read_record(CheckResult, json.dumps(plain, allow_nan=False)) == result


def test_what_waits_for_a_fresh_process_travels_as_plain_data() -> None:
    """Worker and controller exchange dicts, lists, texts and numbers alone; paths are paths again there."""
    key = GoldenKey("t.py::test", "video", "cpu")
    waiting = Waiting(StagedGolden(Path("a") / "b.json", key, "sha256:1"), {"psnr": 60.0}, ("drew",))
    plain = as_plain(waiting)
    assert json.loads(json.dumps(plain)) == {**plain, "noticed": ["drew"]}
    assert as_record(Waiting, plain) == waiting


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"margins": [{"metric": "psnr", "value": "x", "limit": 1.0, "ok": True}]}, r"margins\[0\]\.value is no"),
    ({"margins": [{"metric": "psnr", "value": 1.0, "ok": True}]}, r"margins\[0\]\.limit is absent"),
    ({"metrics": {"worst": {"psnr": {"value": True}}}}, "metrics.worst.*value is no number or null"),
    ({"metrics": {"frames": {"a": [1.0, "b"]}}}, r"metrics.frames\[...\]\[1\] is no number or null"),
    ({"seed": 1.5}, "seed is no integer or null"),
    ({"seed": True}, "seed is no integer or null"),
    ({"facts_golden": {"frames": 1 << 80}}, "facts_golden"),
    ({"facts_golden": {"a": [[[[[[1]]]]]]}}, "facts_golden"),
    ({"environment": {"moves_bits": {"torch": 2}}}, r"environment.moves_bits\[...\] is no text"),
    ({"verdict": "splendid"}, "verdict: the text does not match"),
    ({"divergence": {"kind": "fate", "place": "", "step": None, "sentence": ""}}, "divergence.kind"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG, ids=[str(index) for index in range(len(WRONG))])
def test_a_wrong_field_is_named_by_its_place(fields: dict[str, Any], words: str) -> None:
    """The error says where in the record, and what would belong there."""
    with pytest.raises(RecordError, match=words):
        read_record(CheckResult, json.dumps({**LEAST, **fields}))
    with pytest.raises(RecordError, match=words):
        as_record(CheckResult, {**LEAST, **fields})


@pytest.mark.parametrize(
    "raw", ["NaN", "Infinity", '"\\ud800"', "1e999", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, '"\x01"']
)
def test_no_hostile_value_gets_in(raw: str) -> None:
    """NaN, infinities, halves of characters, numbers without end and values without bottom are errors."""
    for text in (raw, json.dumps({**LEAST, "reason": "@"}).replace('"@"', raw)):
        with pytest.raises(ValueError, match=r"\w"):
            read_record(CheckResult, text)


def test_fields_of_later_versions_are_left_out() -> None:
    """A record may hold more than this version knows, at any depth."""
    margin = {"metric": "psnr", "value": None, "limit": 1.0, "ok": True, "colour": "red"}
    result = read_record(CheckResult, json.dumps({**LEAST, "mood": {"a": [1]}, "margins": [margin]}))
    assert result.margins[0].share == 0.0
    assert result.margins[0].value is None


def test_runs_of_earlier_versions_are_read() -> None:
    """Records of before they were typed are read whole, and written with the same values."""

    def told(value: Any) -> Any:
        """Without what is not said: None, and what is empty."""
        if isinstance(value, dict):
            inner = {key: told(one) for key, one in value.items()}
            return {key: one for key, one in inner.items() if one not in (None, {}, [], "")}
        return [told(one) for one in value] if isinstance(value, (list, tuple)) else value

    lines = OLD_RUN.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 5
    for line in lines:
        assert told(as_plain(read_record(CheckResult, line))) == told(json.loads(line))


GOLDENS = sorted((ROOT / "golden").rglob("*.json"))


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.parent.name)
def test_a_manifest_is_written_as_it_was_read(path: Path) -> None:
    """Byte for byte; in a manifest of before, fields that were added since stand with nothing in them."""
    raw = path.read_bytes()
    written = to_json(from_json(raw, path))
    added: dict[str, Any] = {"born": {}, "draws": None}
    data = {**added, **json.loads(raw)}
    assert written == json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert written.encode() == raw or data != json.loads(raw)
