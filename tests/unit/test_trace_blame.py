"""Which of several differences is told: the one that can be the cause of what differs for certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.model import Fingerprint, Record, Trace
from support.records import CHANGED, CLIP, LATENTS, bits, call, draw, parted, trace

DIT = call("stage", "dit", {"x": bits("x")}, bits("v"))
NORM = call("stage", "norm", {"x": bits("v")}, bits("n"))
MARK = call("mark", "here", output=bits("m"))
MOVED_MARK = replace(MARK, outputs=(("", bits("other")),))


def both_ways(golden: tuple[Record, ...], here: tuple[Record, ...], lost: str, new: str) -> None:
    """A record more on one side is lost seen from there, and new seen from the other side."""
    found = parted(trace(*golden, CLIP), trace(*here, CHANGED))
    assert (found.kind, found.sentence) == ("records", lost)
    found = parted(trace(*here, CHANGED), trace(*golden, CLIP))
    assert (found.kind, found.sentence) == ("records", new)


def test_frames_that_differ_after_a_lost_call_are_its_fault() -> None:
    """A call that is gone in the gap right before the frames is told, not post-processing."""
    both_ways((DIT, NORM), (DIT,), "norm is lost after dit", "norm is new after dit")


def test_a_mark_that_differs_after_a_lost_call_is_its_fault() -> None:
    """Before a mark that differs not all agrees where a call is gone between it and the record before."""
    both_ways((DIT, NORM, MARK), (DIT, MOVED_MARK), "norm is lost after dit", "norm is new after dit")


def test_an_input_that_differs_after_a_lost_call_is_its_fault() -> None:
    """The next call's input differs because the call before it is gone."""

    def decoded(latents: str) -> Record:
        return call("stage", "decoder", {"z": bits(latents)}, bits(f"decoded {latents}"))

    lost, new = "norm is lost after dit", "norm is new after dit"
    both_ways((DIT, NORM, decoded("n")), (DIT, decoded("v")), lost, new)


def test_an_output_that_differs_after_a_lost_inner_call_is_its_fault() -> None:
    """What a call gives differs because one of its own calls is gone."""
    outer = call("stage", "pipe", {"x": bits("x")}, bits("a"))
    other = replace(outer, outputs=(("", bits("b")),))
    inside = [replace(record, depth=1) for record in (DIT, NORM)]
    both_ways((outer, *inside), (other, inside[0]), "norm is lost after dit", "norm is new after dit")


def test_a_lost_call_before_one_that_agrees_explains_nothing_after_it() -> None:
    """Where a later call agrees, what was lost before it is not why the frames differ."""
    found = parted(trace(NORM, DIT, CLIP), trace(DIT, CHANGED))
    assert (found.kind, found.place) == ("clip", "post-processing")


def test_a_lost_mark_explains_nothing() -> None:
    """A mark computes nothing: that it is gone is not why the frames differ."""
    found = parted(trace(DIT, MARK, CLIP), trace(DIT, CHANGED))
    assert (found.kind, found.place) == ("clip", "post-processing")


def test_a_timestep_table_is_not_the_near_end_of_an_interval() -> None:
    """Nothing flows through ``set_timesteps``: code before it may as well have made the input differ."""
    table = call("scheduler", "scheduler.set_timesteps", output=bits("table", (20,)))

    def run(latents: str, clip: Record) -> Trace:
        return trace(table, call("stage", "dit", {"x": bits(latents)}, bits(f"v {latents}")), clip)

    found = parted(run("a", CLIP), run("b", CHANGED))
    assert found.place == "the call -> dit"
    assert found.sentence.startswith("between the call and dit: the input `x` differs")


@pytest.mark.parametrize("generator", ["global cpu", "own cpu"])
def test_draws_of_one_generator_change_places(generator: str) -> None:
    """A draw's other state is explained by a draw that came after it, if both take from one generator."""

    def moved(content: str, state: str) -> Record:
        return draw(bits(content, (3,)), name="torch.rand", generator=generator, state=state, function="a")

    def stays(content: str, state: str) -> Record:
        return draw(bits(content), state=state, function="b")

    golden = trace(moved("m0", "s0"), stays("n1", "s1"), CLIP)
    here = trace(stays("n0", "s0"), moved("m1", "s1"), CHANGED)
    found = parted(golden, here)
    if generator == "global cpu":
        assert found.sentence.startswith("random draws changed places: torch.rand (3,) float32")
        assert found.sentence.endswith("is draw 1, was draw 0")
    else:
        assert found.sentence.startswith(
            "random draw 0 starts from another state of the global cpu generator"
        )


def test_what_one_side_did_not_read_is_no_divergence() -> None:
    """A content that one trace lacks is neither equal nor different: nothing is said for it."""
    blind = Fingerprint("", "float32", LATENTS, unread="on meta: it has no content")
    golden = trace(DIT, NORM, CLIP)
    here = trace(DIT, replace(NORM, inputs=(("x", blind),), outputs=(("", blind),)), CLIP)
    assert first_divergence(golden, here) is None
    assert first_divergence(here, golden) is None
