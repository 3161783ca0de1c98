from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from seedpin.clip.clip import Clip
from seedpin.compare.clips import ClipMetrics, compare_clips
from seedpin.compare.fallback import Fallback, choose_fallback, parse_fallbacks
from seedpin.compare.tensors import TensorMetric, TensorMetrics, compare_tensors
from seedpin.compare.tolerance import (
    Tolerance,
    check_limits,
    choose_tolerance,
    parse_tolerance,
    parse_tolerances,
)
from seedpin.errors import ToleranceError
from seedpin.records import as_plain

H100 = "cuda-sm90-nvidia_h100_80gb_hbm3-132sm"


def test_a_tolerance_is_read_and_written_back() -> None:
    """Limits, and whether they hold in the golden's own environment; the default is the caller's."""
    read = parse_tolerance({"psnr": 60, "max_abs": 2}, "here")
    assert read == Tolerance({"psnr": 60.0, "max_abs": 2.0}, same_environment=False)
    assert parse_tolerance({"psnr": 60}, "here", same_environment=True).same_environment
    assert not parse_tolerance(
        {"psnr": 60, "same_environment": False}, "x", same_environment=True
    ).same_environment
    assert parse_tolerance(json.loads(json.dumps(read.as_dict())), "here") == read
    tensors = parse_tolerance({"cosine": 1e-4, "relative_l2": 0.01}, "here", kind="tensors")
    assert tensors.limits == {"cosine": 1e-4, "relative_l2": 0.01}


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"smim": 0.9}, "did you mean 'ssim'"),
        ({"relative_l2": 0.1}, "is for tensors"),
        ({"psnr": "60"}, "psnr = '60'"),
        ({"psnr": True}, "psnr = True"),
        ({"psnr": math.nan}, "psnr = nan"),
        ({"psnr": math.inf}, "psnr = inf"),
        ({"ssim": 1.01}, "between 0 and 1"),
        ({"changed": -0.1}, "between 0 and 1"),
        ({"max_abs": -1}, "from 0 on"),
        ({"psnr": 60, "same_environment": "yes"}, "true or false"),
        ({}, "no limit is declared"),
        ({"same_environment": True}, "no limit is declared"),
        (0.98, "table of limits"),
    ],
)
def test_a_wrong_tolerance_is_an_error_that_names_the_place(mapping: Any, says: str) -> None:
    """Unknown keys name the valid ones; types and ranges are checked."""
    with pytest.raises(ToleranceError, match="marker of test_x") as caught:
        parse_tolerance(mapping, "marker of test_x")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "mapping"),
    [
        ("clip", {"ssim": 0}),
        ("clip", {"ssim": -1}),
        ("clip", {"psnr": 0}),
        ("clip", {"changed": 1}),
    ],
)
def test_a_limit_that_permits_everything_is_refused(kind: str, mapping: dict[str, float]) -> None:
    """What garbage reaches is no limit."""
    with pytest.raises(ToleranceError, match="can never fail"):
        parse_tolerance(mapping, "here", kind=kind)


def test_an_integer_beyond_all_floats_is_no_limit() -> None:
    """TOML holds integers of any length."""
    with pytest.raises(ToleranceError, match="psnr = inf is no limit"):
        parse_tolerance({"psnr": 10**5000}, "here", kind="clip")


@pytest.mark.parametrize(
    ("kind", "key", "blind", "good"),
    [
        ("clip", "psnr", 0.001, 20),
        ("clip", "psnr", 19.9, 20),
        ("clip", "ssim", 0.001, 0.5),
        ("clip", "ssim", 0.49, 0.5),
        ("clip", "changed", 0.999, 0.8),
        ("tensors", "cosine", 0.999, 0.01),
        ("tensors", "cosine", 0.02, 0.019),
        ("tensors", "relative_l2", 1, 0.1),
        ("tensors", "relative_l2", 1e6, 0.19),
    ],
)
def test_a_limit_that_unrelated_content_meets_is_refused(
    kind: str, key: str, blind: float, good: float
) -> None:
    """Among them a cosine similarity where the distance is meant; what lies on the other side is taken."""
    with pytest.raises(ToleranceError, match=f"{key} = .* guards next to nothing"):
        parse_tolerance({key: blind}, "here", kind=kind)
    assert parse_tolerance({key: good}, "here", kind=kind).limits == {key: good}


def test_unrelated_content_meets_no_limit_that_is_taken() -> None:
    """Black, noise and flat grey fail each limit that stands at the edge of what is refused."""
    noise = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3, 3)).astype("uint8")
    y, x = np.mgrid[0:64, 0:64]
    picture = np.stack([3 * x, 4 * y, 2 * x + 2 * y], axis=-1).astype("uint8")[None]
    for other in (np.zeros_like(picture), noise[:1, ..., 0], np.full_like(picture, 128)):
        found = compare_clips(Clip(picture), Clip(other))
        for limits in (
            {"psnr": 20.0},
            {"ssim": 0.5},
            {"changed": 0.84},
            {"max_abs": 127.0},
            {"mean_abs": 20.0},
        ):
            assert not check_limits(parse_tolerance(limits, "here"), found)[0].ok, (limits, found)


@pytest.mark.parametrize(
    ("key", "blind", "good"), [("max_abs", 254.9, 127), ("mean_abs", 80, 20), ("temporal", 100, 20)]
)
def test_a_limit_near_the_range_of_the_values_is_refused(key: str, blind: float, good: float) -> None:
    """Flat grey is nowhere off by more than half the range."""
    golden = np.full((2, 8, 8, 3), 100, "uint8")
    found = compare_clips(Clip(golden), Clip(golden + np.uint8(1)))
    with pytest.raises(ToleranceError, match=f"{key} = .* guards next to nothing"):
        check_limits(parse_tolerance({key: blind}, "here"), found)
    assert check_limits(parse_tolerance({key: good}, "here"), found)[0].ok


def test_what_is_no_number_never_passes() -> None:
    """A metric that cannot be computed is the worst there is, and breaks every limit."""
    one = TensorMetric("a", math.nan, math.nan, math.nan, math.nan, 1.0, 1.0)
    two = TensorMetric("b", 0.01, 0.01, 0.01, 0.01, 1.0, 1.0)
    for tensors in ((one, two), (two, one)):
        metrics = TensorMetrics(tensors)
        for key in ("relative_l2", "cosine", "max_abs", "mean_abs"):
            margin = check_limits(parse_tolerance({key: 0.015}, "here", kind="tensors"), metrics)[0]
            assert (margin.ok, margin.place) == (False, "a")
            assert json.dumps(as_plain(margin), allow_nan=False)
        assert json.dumps(metrics.as_dict(), allow_nan=False)
    clip = ClipMetrics(*(((0.9, math.nan, 0.8),) * 6), 255.0)
    assert check_limits(Tolerance({"ssim": 0.5}), clip)[0].ok is False
    assert clip.worst("ssim")[0] == clip.worst("max_abs")[0] == 1


def test_a_limit_beyond_the_data_is_refused_when_it_meets_the_data() -> None:
    """max_abs = 1 is strict for levels and blind for floats in [0, 1]."""
    for dtype, blind in (("uint8", False), ("float32", True)):
        frames = np.zeros((1, 8, 8, 3), dtype)
        span = (0.0, 255.0) if dtype == "uint8" else (0.0, 1.0)
        found = compare_clips(Clip(frames, value_range=span), Clip(frames, value_range=span))
        if blind:
            with pytest.raises(ToleranceError, match="can never fail"):
                check_limits(Tolerance({"max_abs": 1.0}), found)
        else:
            assert check_limits(Tolerance({"max_abs": 1.0}), found)[0].ok
    tensors = compare_tensors({"x": np.ones(3)}, {"x": np.zeros(3)})
    with pytest.raises(ToleranceError, match="output of zeros"):
        check_limits(Tolerance({"max_abs": 1e10}, "tensors"), tensors)


def test_limits_are_held_against_the_worst_frame() -> None:
    """Value, frame, room left and share used are those of the worst frame."""
    golden = np.full((3, 8, 8, 3), 100, "uint8")
    obtained = golden.copy()
    obtained[1] += 4
    obtained[2] += 1
    found = compare_clips(Clip(golden), Clip(obtained))
    max_abs, psnr = check_limits(Tolerance({"max_abs": 5.0, "psnr": 5.0}), found)[::-1]
    assert (max_abs.value, max_abs.frame, max_abs.ok, max_abs.margin, max_abs.used) == (
        4.0,
        1,
        True,
        1.0,
        0.8,
    )
    assert (max_abs.direction, psnr.direction) == ("max", "min")
    assert (psnr.frame, psnr.ok) == (1, True)
    assert psnr.margin == pytest.approx(found.psnr[1] - 5)
    broken = check_limits(Tolerance({"max_abs": 3.0}), found)[0]
    assert (broken.ok, broken.margin) == (False, -1.0)
    assert check_limits(Tolerance({"max_abs": 4.0}), found)[0].ok
    zero = check_limits(Tolerance({"max_abs": 0.0}), found)[0]
    assert zero.used is None


def test_a_tolerance_of_another_kind_is_refused() -> None:
    """Limits for clips are not silently ignored for tensors."""
    tensors = compare_tensors({"x": np.ones(3)}, {"x": np.zeros(3)})
    with pytest.raises(ToleranceError, match="for clip was held against tensors"):
        check_limits(Tolerance({"psnr": 3.0}), tensors)


def test_the_most_specific_pattern_wins() -> None:
    """An exact name beats patterns, then most literal characters; a whole name has to match."""
    table = {"cuda-*": 1, "cuda-sm90-*": 2, "*": 3, H100: 4, "cpu-x86_64-portable": 5}
    assert choose_tolerance(table, H100) == (H100, 4)
    assert choose_tolerance(table, "cuda-sm90-nvidia_h200-132sm") == ("cuda-sm90-*", 2)
    assert choose_tolerance(table, "cuda-sm80-nvidia_a100-108sm") == ("cuda-*", 1)
    assert choose_tolerance(table, "mps-apple_m2") == ("*", 3)
    assert choose_tolerance({"h100": 1, "cuda": 2, "nvidia_h100*": 3}, H100) is None
    assert choose_tolerance({"cuda-*-nvidia_b200-*": 1}, "cuda-sm100-nvidia_gb200-148sm") is None
    assert choose_tolerance({"cuda-sm[89]0-*": 1, "cuda-sm90-*": 2}, H100) == ("cuda-sm90-*", 2)


def test_a_tie_between_patterns_names_both() -> None:
    """Neither of two equally specific patterns is picked in silence."""
    with pytest.raises(ToleranceError, match=r'"cuda-sm90-\*" and "cuda-\*132sm"'):
        choose_tolerance({"cuda-sm90-*": 1, "cuda-*132sm": 2}, H100)


def test_the_table_is_read_for_clips_and_for_tensors() -> None:
    """Limits for tensors have a table of their own; a slip in either shows whatever is asked for."""
    table: dict[str, Any] = {
        "cuda-*": {"psnr": 60, "tensors": {"cosine": 1e-3}},
        "cpu-*": {"ssim": 0.99},
        "mps-*": {"tensors": {"max_abs": 0.1}},
    }
    assert parse_tolerances(table) == {
        "cuda-*": Tolerance({"psnr": 60.0}),
        "cpu-*": Tolerance({"ssim": 0.99}),
    }
    assert parse_tolerances(table, kind="tensors") == {
        "cuda-*": Tolerance({"cosine": 1e-3}, "tensors"),
        "mps-*": Tolerance({"max_abs": 0.1}, "tensors"),
    }
    with pytest.raises(ToleranceError, match="mps"):
        parse_tolerances({"mps-*": {"tensors": {"cosin": 0.1}}})
    with pytest.raises(ToleranceError, match="no limit"):
        parse_tolerances({"mps-*": {}})
    with pytest.raises(ToleranceError, match="no table"):
        parse_tolerances({"psnr": 60})  # type: ignore[dict-item]


def test_limits_of_clips_and_of_tensors_may_stand_in_one_table() -> None:
    """Each kind takes what only it knows; a unit that both know is a clip's; unknown keys stay errors."""
    table: dict[str, Any] = {
        "cpu-*": {"psnr": 60, "relative_l2": 1e-4, "max_abs": 3, "same_environment": True},
        "mps-*": {"cosine": 1e-3, "tensors": {"max_abs": 0.1, "same_environment": True}},
    }
    assert parse_tolerances(table) == {
        "cpu-*": Tolerance({"psnr": 60.0, "max_abs": 3.0}, same_environment=True)
    }
    assert parse_tolerances(table, kind="tensors") == {
        "cpu-*": Tolerance({"relative_l2": 1e-4}, "tensors", same_environment=True),
        "mps-*": Tolerance({"cosine": 1e-3, "max_abs": 0.1}, "tensors", same_environment=True),
    }
    use = {"cuda-*": {"use": H100, "psnr": 60, "cosine": 1e-3}}
    assert parse_fallbacks(use, kind="tensors")["cuda-*"].tolerance == Tolerance({"cosine": 1e-3}, "tensors")
    for wrong, words in (
        ({"psnr": 60, "cosin": 1e-3}, "unknown key 'cosin'"),
        ({"cosine": 1e-3, "tensors": {"cosine": 1e-3}}, "cosine is given twice"),
        ({"tensors": 3}, "is no table"),
        ({"same_environment": True}, "no limit"),
    ):
        with pytest.raises(ToleranceError, match=words):
            parse_tolerances({"cpu-*": wrong})


def test_a_fallback_names_one_class_and_its_limits() -> None:
    """Declared per class here; without limits only identical passes."""
    table: dict[str, Any] = {"cuda-sm90-nvidia_h200-*": {"use": H100, "psnr": 60}, "mps-*": {"use": H100}}
    found = parse_fallbacks(table)
    assert choose_fallback(found, "cuda-sm90-nvidia_h200-132sm") == (
        "cuda-sm90-nvidia_h200-*",
        Fallback(H100, Tolerance({"psnr": 60.0})),
    )
    assert found["mps-*"].tolerance is None
    assert choose_fallback(found, "cpu-x86_64-portable") is None
    assert parse_fallbacks(table, kind="tensors")["cuda-sm90-nvidia_h200-*"].tolerance is None


@pytest.mark.parametrize(
    "values", [{}, {"use": "cuda-*"}, {"use": 3}, {"use": "cpu-x"}, {"use": H100, "psrn": 60}, "cuda"]
)
def test_a_fallback_that_is_vague_or_misspelt_is_an_error(values: Any) -> None:
    """No wildcards in the class to use, no class to itself, no unknown key."""
    with pytest.raises(ToleranceError, match="cpu-x"):
        parse_fallbacks({"cpu-x": values})
