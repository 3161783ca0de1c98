"""The table of metrics, what a project or a package adds to it, and the functions behind its rows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seedpin
from seedpin.clip.clip import Clip
from seedpin.compare import extra, registry
from seedpin.compare.audio import AudioMetrics
from seedpin.compare.clips import ClipMetrics
from seedpin.compare.metric import OWN, Metric, checked, words_of
from seedpin.compare.recorded import MetricWords, RecordedMetrics
from seedpin.compare.registry import metric_named, metrics_of
from seedpin.compare.tensors import TensorMetric
from seedpin.compare.tolerance import check_limits, parse_kinds, parse_tolerance
from seedpin.errors import MetricError, ToleranceError
from seedpin.kinds.clip import CLIP
from seedpin.kinds.measure import measure
from seedpin.kinds.tensors import TENSORS
from seedpin.records import as_record

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_brought", dict)


def bring(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """Makes an installed package bring ``value`` as the metric ``name``."""
    monkeypatch.setattr(sys.modules[__name__], "BROUGHT", value, raising=False)
    point = EntryPoint(name, f"{__name__}:BROUGHT", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: value)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    monkeypatch.setattr(registry, "_brought", BROUGHT_BY_PACKAGES.__wrapped__)


BROUGHT_BY_PACKAGES: Any = registry._brought


def register(compare: Callable[[Any, Any], Any], **fields: Any) -> None:
    seedpin.register_metric(Metric(name="mine", compare=compare, **fields))


def clips(count: int = 3, channels: int = 3) -> tuple[Clip, Clip]:
    """A clip, and one in which each frame is brighter than the golden's by its index."""
    golden = np.full((count, 12, 16, channels), 100, "uint8")
    return Clip(golden), Clip(golden + np.arange(count, dtype="uint8")[:, None, None, None])


def line_of(row: Metric) -> str:
    """The row as the docs have it."""
    unit = "the clip's own: levels for 8 bit" if row.in_values else row.unit or "-"
    if row.in_values and row.kind != "clip":
        unit = "the values' own"
    if row.unit == "%":
        unit = "a share, 0 to 1"
    if row.blind_share is None:
        refused = f"below {row.blind_from:g}" if row.higher else f"from {row.blind_from:g} on"
    elif row.kind != "clip":
        refused = f"from {row.blind_share:g} of what zeros would be off by on"
    else:
        refused = f"from {row.blind_share:g} of the range on"
    limit = "least" if row.higher else "most"
    return f"| `{row.name}` | {row.kind} | {row.meaning} | {unit} | {limit} | {refused} |"


def test_the_docs_have_the_table() -> None:
    """docs/tolerances.md lists each row of the table with its meaning, unit and edge, and no other."""
    text = (ROOT / "docs" / "tolerances.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert lines == [line_of(row) for row in OWN]


def test_every_row_can_be_limited_and_shown() -> None:
    """Each row has words, a format that works, and an edge below which a limit is taken or refused."""
    for row in OWN:
        assert checked(row) is row
        assert row.label
        assert row.meaning
        assert row.text(None) == "inf"
        assert row.text(0.5)
        assert (row.blind_from is None) != (row.blind_share is None)
        assert row.blind_share is not None or row.blind_why
    for kind in ("clip", "tensors", "audio"):
        assert sum(row.leads for row in OWN if row.kind == kind) == 1


def test_comparisons_give_what_the_table_says() -> None:
    """The kinds' own comparisons have a field for each row that has no function."""
    clip, tensors, audio = (
        {row.name for row in metrics_of(kind) if not row.compare} for kind in ("clip", "tensors", "audio")
    )
    assert clip == set(ClipMetrics.__dataclass_fields__) - {"data_range"}
    assert tensors == set(TensorMetric.__dataclass_fields__) - {"name", "peak", "level"}
    assert audio == set(AudioMetrics.__dataclass_fields__) - {"peak"}


def test_a_registered_metric_is_computed_only_where_a_limit_asks() -> None:
    """One value a frame, of which the worst counts; frames come as float32 in [0, 1]."""
    seen = []

    def mine(golden: Any, obtained: Any) -> float:
        seen.append((golden.dtype.name, golden.shape, float(golden.max())))
        return float(np.abs(golden - obtained).max())

    register(mine, label="my own")
    golden, obtained = clips()
    assert "mine" not in measure(CLIP, golden, obtained).as_dict()["worst"]
    assert not seen
    metrics = measure(CLIP, golden, obtained, ["psnr", "mine"])
    assert seen[0][:2] == ("float32", (12, 16, 3))
    assert seen[0][2] == pytest.approx(100 / 255)
    data = metrics.as_dict()
    assert data["worst"]["mine"] == {"value": pytest.approx(2 / 255), "place": "frame 2", "frame": 2}
    assert data["frames"]["mine"] == pytest.approx([0, 1 / 255, 2 / 255], abs=1e-7)
    assert words_of("mine", as_record(RecordedMetrics, data)).title == "my own"
    loose, tight = (check_limits(parse_tolerance({"mine": x}, "x"), metrics)[0] for x in (0.01, 0.005))
    assert (loose.ok, tight.ok, tight.frame, tight.direction) == (True, False, 2, "max")
    assert parse_kinds({"mine": 0.1, "cosine": 0.01}, "[x]").keys() == {"clip", "tensors"}


def test_a_metric_may_be_of_the_whole_and_of_higher_values() -> None:
    """`per="whole"` takes both clips, gives one value or one a frame; `better="higher"` turns the limit."""
    golden, obtained = clips()
    register(lambda g, o: torch.tensor(0.25), per="whole", better="higher", best=1.0)
    margin = check_limits(parse_tolerance({"mine": 0.5}, "x"), measure(CLIP, golden, obtained, ["mine"]))[0]
    assert (margin.ok, margin.direction, margin.used) == (False, "min", 1.5)
    assert (margin.frame, margin.place) == (None, None)
    registry._registered.clear()
    register(lambda g, o: np.array([0.0, 3.0, 1.0]), per="whole")
    assert measure(CLIP, golden, obtained, ["mine"]).worst("mine") == (1, 3.0)


def test_a_metric_of_tensors_gets_tensors() -> None:
    """One value a tensor, told by the tensor's name."""
    register(lambda g, o: (g - o).abs().sum(), kind="tensors")
    old = {"a": torch.zeros(2), "b": torch.zeros(2)}
    metrics = measure(TENSORS, old, {"a": torch.zeros(2), "b": torch.ones(2)}, ["mine"])
    assert metrics.worst("mine") == ("b", 2.0)
    assert [entry["further"]["mine"] for entry in metrics.as_dict()["tensors"]] == [0.0, 2.0]
    assert metrics.place_in_words("b") == "tensor b"


@pytest.mark.parametrize(
    ("compare", "says"),
    [
        (lambda g, o: 1 / 0, "failed in frame 0: ZeroDivisionError"),
        (lambda g, o: math.nan, "gave NaN in frame 0"),
        (lambda g, o: "0.3", "gave '0.3' in frame 0, which is no number"),
        (lambda g, o: None, "gave None in frame 0, which is no number"),
        (lambda g, o: True, "gave True in frame 0, which is no number"),
        (lambda g, o: g, "gave 576 values in frame 0, where one is wanted"),
    ],
)
def test_a_function_that_gives_no_number_is_an_error(compare: Callable[[Any, Any], Any], says: str) -> None:
    """The message names the metric, the place of its function, and the frame."""
    register(compare)
    golden, obtained = clips()
    with pytest.raises(MetricError) as caught:
        measure(CLIP, golden, obtained, ["mine"])
    assert f"'mine' ({__file__}:" in str(caught.value)
    assert says in str(caught.value)


def test_frames_that_a_metric_does_not_take_are_an_error() -> None:
    """Channels and size are looked at before the function is called."""
    register(lambda g, o: 0.0, channels=(3,), least_side=20)
    with pytest.raises(MetricError, match="frames of 3 channels in frame 0, not of 1"):
        measure(CLIP, *clips(channels=1), ["mine"])
    with pytest.raises(MetricError, match="at least 20 pixels a side, not of 12 x 16"):
        measure(CLIP, *clips(), ["mine"])


def test_an_unknown_metric_says_what_is_near_and_how_one_is_registered() -> None:
    """The error of a limit that nothing knows leads to both."""
    register(lambda g, o: 0.0)
    with pytest.raises(ToleranceError, match=r"did you mean 'mine'.*register_metric"):
        parse_tolerance({"mime": 0.1}, "x")
    with pytest.raises(ToleranceError, match=r"mine is for clip"):
        parse_tolerance({"mine": 0.1}, "x", kind="tensors")


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (Metric("psnr", lambda g, o: 0.0), "is seedpin's own"),
        (Metric("mine"), "has no function"),
        (Metric("my own", lambda g, o: 0.0), "is an identifier"),
        (Metric("same_environment", lambda g, o: 0.0), "means something else"),
        (Metric("mine", "numpy.mean"), "cannot be called"),  # type: ignore[arg-type]
        (Metric("mine", lambda g, o: 0.0, better="more"), 'write "lower" or "higher"'),  # type: ignore[arg-type]
        (Metric("mine", lambda g, o: 0.0, per="frame"), 'write "item" or "whole"'),  # type: ignore[arg-type]
        (Metric("mine", lambda g, o: 0.0, low=1.0, high=0.0), "is not below"),
        (Metric("mine", lambda g, o: 0.0, format="x"), 'write for example ".3f"'),
        (lambda g, o: 0.0, "is no metric"),
    ],
)
def test_what_is_no_metric_is_refused_where_it_is_registered(metric: Any, says: str) -> None:
    """What could not be named, called or shown never gets into the table."""
    with pytest.raises(MetricError) as caught:
        seedpin.register_metric(metric)
    assert says in str(caught.value)


def test_one_function_may_register_again_and_another_may_not() -> None:
    """A conftest that is imported twice is no clash; two functions of one name are."""

    def mine(golden: Any, obtained: Any) -> float:
        return 0.0

    register(mine)
    register(mine, label="again")
    assert metric_named("mine", "clip") == Metric("mine", mine, label="again")
    with pytest.raises(MetricError, match=r"registered already by .*test_compare_metric.py:\d+, now by"):
        register(lambda g, o: 1.0)


def test_a_package_brings_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group is a row as any other; nothing of it is loaded for seedpin's own."""
    bring(monkeypatch, "theirs", Metric("theirs", lambda g, o: 0.5))
    golden, obtained = clips()
    assert measure(CLIP, golden, obtained, ["theirs"]).worst("theirs") == (0, 0.5)
    monkeypatch.setattr(registry, "entry_points", lambda group: pytest.fail("was asked"))
    parse_tolerance({"psnr": 60}, "x")
    parse_kinds({"psnr": 60, "tensors": {"max_abs": 0.1}}, "[x]")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("theirs", Metric("other", lambda g, o: 0.0), "it is called 'other'"),
        ("psnr", Metric("psnr", lambda g, o: 0.0), "that name is taken"),
        ("theirs", 3, "is no metric"),
    ],
)
def test_a_package_that_brings_no_metric_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, says: str
) -> None:
    """The error names the entry point's metric and says what is wrong with it."""
    bring(monkeypatch, name, value)
    with pytest.raises(MetricError, match=f"'{name}' of an unknown package cannot be used: .*{says}"):
        metric_named("theirs", "clip")


def test_words_of_a_record_come_from_the_record() -> None:
    """A metric that is not known here is shown as the record says, and a hostile description does no harm."""
    far = MetricWords("Far", unit="m", format=".1f", better="higher")
    told = RecordedMetrics(described={"far": far})
    assert words_of("far", told).text(2.0) == "2.0 m"
    assert words_of("far", told).higher
    assert words_of("far", RecordedMetrics(described={"far": MetricWords(format="{0}" * 9)})).text(2.0) == "2"
    assert words_of("far", None).text(2.0) == "2"
    assert words_of("psnr", RecordedMetrics(kind="clip")).text(2.0) == "2.00 dB"


def test_flip_is_the_packages() -> None:
    """Mean LDR-FLIP of each frame, as flip-evaluator gives it; 0 for equal frames."""
    reference: Any = pytest.importorskip("flip_evaluator", reason="the extra `flip` is not installed")
    golden, obtained = clips()
    metrics = measure(CLIP, golden, obtained, ["flip"])
    frames = [frame[2].astype("float32") / 255 for frame in (golden.frames, obtained.frames)]
    expected = reference.evaluate(*frames, "LDR", applyMagma=False)[1]
    assert metrics.worst("flip")[0] == 2
    assert metrics.worst("flip")[1] == pytest.approx(expected, abs=1e-6)
    assert 0 < expected < 0.2
    assert metrics.as_dict()["frames"]["flip"][0] == 0
    with pytest.raises(MetricError, match="frames of 3 channels"):
        measure(CLIP, *clips(channels=4), ["flip"])


def test_gaussian_ssim_is_scikit_images() -> None:
    """SSIM as in its paper: 1 for equal frames, less for others, and what scikit-image gives for levels."""
    from skimage import metrics as reference_metrics

    reference: Any = reference_metrics.structural_similarity
    rng = np.random.default_rng(3)
    golden = rng.integers(0, 256, (1, 24, 30, 3)).astype("uint8")
    obtained = golden.copy()
    obtained[0, 4:12, 4:12] //= 2
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = reference(golden[0], obtained[0], channel_axis=-1, data_range=255, **how)
    found = measure(CLIP, Clip(golden), Clip(obtained), ["ssim_gaussian"]).worst("ssim_gaussian")
    assert found[1] == pytest.approx(expected, abs=1e-6)
    assert measure(CLIP, Clip(golden), Clip(golden), ["ssim_gaussian"]).worst("ssim_gaussian")[1] == 1.0


@pytest.mark.parametrize(("metric", "name"), [("flip", "flip"), ("ssim_gaussian", "skimage")])
def test_a_metric_whose_extra_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, metric: str, name: str
) -> None:
    """The error is the extra's command."""

    def absent(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr(extra, "import_module", absent)
    with pytest.raises(MetricError, match=rf"pip install 'seedpin\[{name}\]'"):
        measure(CLIP, *clips(), [metric])
