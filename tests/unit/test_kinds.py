"""Kinds of goldens: what each has to answer, and that nobody else asks which one it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedpin.clip.digest import clip_digest
from seedpin.compare.measured import Metrics
from seedpin.errors import DamagedGoldenError, ExportError, KindError, UnknownKindError
from seedpin.kinds.base import AnyKind, Kind, Obtained, obtain, recorded
from seedpin.kinds.clip import CLIP
from seedpin.kinds.registry import golden_fixtures, kind_named, kind_of_fixture, kind_that_opens

SOURCE = Path(__file__).parents[2] / "src" / "seedpin"

VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "video": (np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3), {}),
    "image": (np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3), {}),
    "tensors": ({"a": np.ones(3, np.float32), "b": np.zeros((2, 2), np.int64)}, {}),
    "audio": (np.sin(np.arange(2500) / 9).astype(np.float32), {"rate": 1000}),
    "text": (["one\ntwo\r\n", "", "drei\u2028\U0001f600"], {}),
}


@pytest.fixture(params=sorted(VALUES))
def of(request: pytest.FixtureRequest) -> tuple[AnyKind, Obtained]:
    kind = kind_of_fixture(request.param)
    obj, how = VALUES[request.param]
    return kind, obtain(kind, obj, request.param, **how)


def test_every_fixture_has_a_kind() -> None:
    """golden_<name> is there for each kind, and each kind is one."""
    assert golden_fixtures() == {f"golden_{name}" for name in VALUES}
    for name in VALUES:
        kind = kind_of_fixture(name)
        assert isinstance(kind, Kind)
        assert name in kind.fixtures
        assert kind_named(kind.name) is kind


def test_values_come_back_bit_for_bit_and_verified(of: tuple[AnyKind, Obtained]) -> None:
    """Encoding gives the same bytes each time; decoding gives the same digests, as many as the facts tell."""
    kind, obtained = of
    assert obtained.digest == clip_digest(obtained.digests)
    assert kind.count(obtained.facts) == len(obtained.digests) == len(obtained.items())
    assert obtained.names == () or len(obtained.names) == len(obtained.digests)
    extension, data = kind.encode(obtained.value)
    assert (extension, data) == kind.encode(obtained.value)
    assert extension in kind.extensions
    back = kind.decode(data, extension, obtained.facts, obtained.value_range)
    assert kind.digests(back) == obtained.digests
    assert kind.facts(back) == obtained.facts


def test_equal_values_differ_nowhere(of: tuple[AnyKind, Obtained]) -> None:
    """Metrics of a value against itself name nothing that differs."""
    kind, value = of[0], of[1].value
    metrics = kind.compare(value, value)
    assert metrics.kind == kind.name == metrics.as_dict()["kind"]
    assert metrics.summary() == ""
    assert kind.hints(value, value) == ()


def test_files_that_are_no_golden_are_damaged(of: tuple[AnyKind, Obtained], tmp_path: Path) -> None:
    """Truncated, foreign and contradicting files raise DamagedGoldenError, or hold another value, as told."""
    kind, obtained = of
    extension, data = kind.encode(obtained.value)
    lies = [{**obtained.facts, key: 10**12} for key, size in obtained.facts.items() if isinstance(size, int)]
    cases = [
        (content, obtained.facts)
        for content in (data[: len(data) // 2], data[:-3], b"\0" * 200, b"[" * 10**5)
    ]
    for content, facts in [*cases, *((data, facts) for facts in lies)]:
        path = tmp_path / f"x.{extension}"
        path.write_bytes(content)
        try:
            found = kind.verify(path, extension, facts, obtained.value_range, obtained.digests)
        except DamagedGoldenError:
            continue
        assert found is None


def test_an_unknown_kind_says_what_to_install() -> None:
    """The error names the entry point that a package must have."""
    with pytest.raises(UnknownKindError, match="no kind of golden called 'mesh'") as caught:
        kind_named("mesh")
    assert "'mesh' of the group seedpin.kinds" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.safetensors", "tensors"), ("a.WAV", "audio"), ("a.txt", "text"), ("a.png", "clip"), ("a", "clip")],
)
def test_a_file_goes_to_the_kind_that_opens_it(name: str, kind: str) -> None:
    """What no kind claims is taken for a clip."""
    assert kind_that_opens(Path(name)).name == kind


def test_nobody_but_the_kinds_asks_which_kind_it_is() -> None:
    """Outside of kinds/ nothing compares with a kind's name; records of traces have kinds of their own."""
    names = "|".join(("clip", "tensors", "audio", "text", "video", "image"))
    of_others = "".join(rf"(?<!{owner}\.)" for owner in ("found", "parted", "row", "divergence"))
    asked = re.compile(rf"""{of_others}\bkind (==|!=|in|not in) [(\[{{]?["']({names})["']""")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in ("kinds", "trace")
        for line in path.read_text(encoding="utf-8").splitlines()
        if asked.search(line)
    ]
    assert not found, found


def test_metrics_that_cannot_be_kept_are_an_error_of_their_kind() -> None:
    """What a kind of one's own gives is held to the types of a record before it is written."""

    class Odd(Metrics):
        kind = "clip"

        def as_dict(self) -> dict[str, Any]:
            return {"worst": {"psnr": {"value": "high"}}}

        def worst(self, name: str) -> tuple[int, float]:
            return 0, 0.0

        def summary(self) -> str:
            return ""

    with pytest.raises(KindError, match=r"'clip' gives metrics that .*: worst\[\.\.\.\]\.value is no number"):
        recorded(CLIP, Odd())


class Notes(Kind[list[str]]):
    """What is left to a kind that answers only what it must."""

    name = role = "notes"
    word = "note"
    extensions = frozenset({"txt"})
    fixtures = ("notes",)

    def adapt(self, obj: object, fixture: str = "", **how: Any) -> list[str]:
        assert isinstance(obj, list)
        return obj

    def items(self, value: list[str]) -> Sequence[Any]:
        return [np.frombuffer(note.encode(), np.uint8) for note in value]

    def facts(self, value: list[str]) -> Mapping[str, Any]:
        return {"notes": len(value)}

    def encode(self, value: list[str]) -> tuple[str, bytes]:
        return "txt", "\n".join(value).encode()

    def decode(self, source: Any, extension: str, facts: Any, value_range: Any) -> list[str]:
        return bytes(source).decode().split("\n")


def test_a_kind_that_only_reads_and_writes_is_compared_item_by_item() -> None:
    """Without a comparison of its own it tells which items differ, holds no limits, and can be exported."""
    kind = Notes()
    metrics = kind.compare(["a", "b", "c"], ["a", "x", "y"])
    assert metrics.summary() == "2 of 3 differ, the first is note 1."
    assert recorded(kind, metrics).entries == (1, 2)
    assert kind.compare(["a"], ["b"]).summary() == "The note differs."
    assert kind.compare(["a"], ["a"]).summary() == ""
    with pytest.raises(KeyError):
        metrics.worst("max_abs")
    assert kind.export(["a", "b"], ".txt") == (b"a\nb", ())
    with pytest.raises(ExportError, match=r"notes cannot be written as \.png"):
        kind.export(["a"], ".png")
    assert len(set(kind.digests(["a", "b", "a"]))) == 2
    assert kind.count({"notes": 3}) is None
