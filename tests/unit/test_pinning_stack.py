"""Pins that end in any order, in other threads and tasks, in suspended generators, or cut short (rule 10)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import random
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from seedpin.errors import ConcurrentPinError, DeferredBodyError, PinError, PinOrderWarning
from seedpin.pinning import devices, stack
from seedpin.pinning.model import seeded_model
from seedpin.pinning.pin import PinOrHole, current_pin, pin, unpinned
from support.process import State, draw, everything, spoil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator


@pytest.fixture(autouse=True)
def _leaves_no_pin() -> Iterator[None]:
    yield
    assert current_pin() is None
    assert stack._STACK.frames == []


def settled() -> State:
    """What a test must leave behind; away from the state that a test runner may have seeded."""
    draw()
    return everything()


def test_equal_pins_three_deep() -> None:
    """Pins that are equal in every value are still told apart, each ending as itself."""
    torch.manual_seed(0)
    start = torch.get_rng_state()
    with pin(1), pin(1), pin(1), pin(1):
        torch.rand(1)
    assert torch.equal(torch.get_rng_state(), start)
    assert current_pin() is None


def test_seeded_model_inside_a_seeded_model_after_the_user_seeded_alike() -> None:
    """A seeded model that calls seeded models gives back the user's generators."""
    torch.manual_seed(0)
    start = torch.get_rng_state()
    inner = seeded_model(lambda x: torch.rand(3) + x, seed=0)
    outer = seeded_model(lambda x: inner(x) + inner(x), seed=0)
    assert torch.equal(outer(1.0), 2 * inner(1.0))
    assert torch.equal(torch.get_rng_state(), start)


@pytest.mark.parametrize("seed", range(60))
def test_rule_10_restored_in_whatever_order_pins_and_holes_end(seed: int) -> None:
    """After the last of several pins and holes ended, in any order, all is as before the first."""
    before = settled()
    chance = random.Random(seed)
    active: list[PinOrHole[Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinOrderWarning)
        for left in range(14, 0, -1):
            if len(active) < left and chance.random() < 0.6:
                level = chance.choice(["strict", "warn", "seeds"])
                # Few seeds, so that equal pins meet.
                new: PinOrHole[Any] = (
                    unpinned() if chance.random() < 0.3 else pin(chance.randrange(2), level=level)
                )
                new.__enter__()
                active.append(new)
                if current_pin() is not None:
                    spoil()
            elif active:
                # Often the innermost, as usual.
                index = chance.choice([-1, chance.randrange(len(active))])
                active.pop(index).__exit__(None, None, None)
        chance.shuffle(active)
        for one in active:
            one.__exit__(None, None, None)
    assert everything() == before


def _suspended(block: PinOrHole[Any]) -> Generator[None, None, None]:
    with block:
        if current_pin() is not None:
            spoil()
        yield
        if current_pin() is not None:
            draw()


@pytest.mark.parametrize("seed", range(40))
def test_rule_10_restored_in_whatever_order_generators_end(seed: int) -> None:
    """The same of pins and holes in suspended generators that end, are closed, fail, or are dropped."""
    before = settled()
    chance = random.Random(seed)
    active: list[Generator[None, None, None]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinOrderWarning)
        for _ in range(14):
            if not active or chance.random() < 0.6:
                active.append(_suspended(unpinned() if chance.random() < 0.3 else pin(chance.randrange(2))))
                next(active[-1])
            else:
                _end_somehow(active.pop(chance.randrange(len(active))), chance)
        while active:
            _end_somehow(active.pop(chance.randrange(len(active))), chance)
    assert everything() == before


def _end_somehow(running: Generator[None, None, None], chance: random.Random) -> None:
    with contextlib.suppress(PinError, ZeroDivisionError):
        how = chance.choice(["run", "close", "throw", "drop"])
        if how == "run":
            next(running, None)
        elif how == "close":
            running.close()
        elif how == "throw":
            running.throw(ZeroDivisionError())


def test_pin_that_ends_early_leaves_the_later_one_in_force() -> None:
    """Of two overlapping blocks the later one goes on undisturbed; a warning names both."""
    before = settled()
    with pin(2):
        expected = draw(), draw()
    first, second = pin(1), pin(2)
    first.__enter__()
    second.__enter__()
    seen = [draw()]
    with pytest.warns(
        PinOrderWarning, match=r"^pin\(1, .*_stack\.py:\d+ ended before pin\(2, .*_stack\.py:\d+"
    ):
        first.__exit__(None, None, None)
    seen.append(draw())
    assert tuple(seen) == expected
    assert torch.get_num_threads() == 1
    second.__exit__(None, None, None)
    assert everything() == before


def frames_of(seed: int) -> Generator[tuple[float, float, float], None, None]:
    with pin(seed):
        while True:
            yield draw()


def test_suspended_generator_loses_its_pin_when_the_pin_around_it_ends() -> None:
    """A generator that keeps a pin open past the end of the outer pin is named, and nothing stays pinned."""
    before = settled()
    frames = frames_of(2)
    with (
        pytest.warns(PinOrderWarning, match=r"pin\(2, level='strict'\) at .*_stack\.py:\d+ is suspended"),
        pin(1),
    ):
        next(frames)
    assert everything() == before
    frames.close()
    assert everything() == before


def test_suspended_coroutine_loses_its_pin_when_the_pin_around_it_ends() -> None:
    """An ``async with`` that is left open in a coroutine is noticed as a generator's pin is."""
    before = settled()

    @contextlib.asynccontextmanager
    async def pinned() -> AsyncIterator[None]:
        with pin(2):
            yield

    async def draws() -> None:
        async with pinned():
            await asyncio.sleep(0)

    running = draws()
    with pytest.warns(PinOrderWarning, match=r"pin\(2, level='strict'\) at .* is suspended"), pin(1):
        running.send(None)
    assert everything() == before
    with pytest.raises(PinError, match="ran on unpinned"):
        running.send(None)
    assert everything() == before


def test_block_that_ran_on_after_its_pin_was_given_up_is_an_error() -> None:
    """What such a generator still makes was not pinned, and its end says so."""
    before = settled()

    def frames() -> Iterator[None]:
        with pin(2):
            yield

    running = frames()
    with pytest.warns(PinOrderWarning), pin(1):
        next(running)
    with pytest.raises(
        PinError, match=r"(?s)pin\(2, .* was given up when pin\(1, .*ran on unpinned.*next: end"
    ):
        next(running)
    assert everything() == before


def test_generator_that_is_collected_late_takes_nobodys_pin_away() -> None:
    """A forgotten generator whose pin began earlier may be collected in the middle of a later pin."""
    before = settled()
    with pin(2):
        expected = draw(), draw()

    def later() -> Iterator[None]:
        with pin(2):
            yield

    holder: list[Any] = [frames_of(1)]
    next(holder[0])
    holder.append(holder)
    fixture = later()  # like a fixture of pytest: suspended, and in force
    next(fixture)
    seen = [draw()]
    del holder
    with pytest.warns(PinOrderWarning, match=r"pin\(1, .* ended before pin\(2"):
        gc.collect()
    seen.append(draw())
    assert tuple(seen) == expected
    assert next(fixture, None) is None
    assert everything() == before


def test_hole_that_outlives_its_pin_changes_nothing_any_more() -> None:
    """What a hole drew stays drawn when the pin around it ends first; the hole's own end does nothing."""
    outer, hole = pin(1), unpinned()
    outer.__enter__()
    hole.__enter__()
    torch.rand(1)
    drawn = everything()
    with pytest.warns(PinOrderWarning, match="ended before unpinned"):
        outer.__exit__(None, None, None)
    hole.__exit__(None, None, None)
    assert everything() == drawn


def test_what_a_hole_drew_is_kept_when_it_ends_before_a_pin_inside_of_it() -> None:
    """The outer streams go on where the hole left them, in whatever order hole and inner pin end."""
    outer, hole, inner = pin(1), unpinned(), pin(2)
    outer.__enter__()
    hole.__enter__()
    draw()
    drawn = everything()
    inner.__enter__()
    draw()
    with pytest.warns(PinOrderWarning, match=r"^unpinned\(\) at .* ended before pin\(2"):
        hole.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    assert everything() == drawn


def in_thread(work: Callable[[], object]) -> list[BaseException]:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run, name="second")
    thread.start()
    thread.join()
    return caught


@pytest.mark.parametrize("begin", [lambda: pin(2), unpinned], ids=["pin", "hole"])
def test_second_thread_is_refused_and_changes_nothing(begin: Callable[[], Any]) -> None:
    """While one thread holds a pin, another gets a named error at once, and the pin goes on undisturbed."""
    before = settled()

    def second() -> None:
        with begin():
            pytest.fail("the block must not run")

    with pin(1):
        expected = everything()
        (error,) = in_thread(second)
        assert everything() == expected
    assert isinstance(error, ConcurrentPinError)
    assert "thread 'MainThread' holds pin(1, level='strict') at " in str(error)
    assert "next: run the two one after another" in str(error)
    assert everything() == before


def test_thread_may_pin_after_thread() -> None:
    """Threads may pin one after another, and one that died with its pin open does not block the others."""
    kept: list[Any] = []

    def dies() -> None:
        kept.append(pin(1))
        kept[0].__enter__()

    assert in_thread(dies) == []
    with pin(2):
        draw()
    assert in_thread(lambda: kept[0].__exit__(None, None, None)) == []


def test_the_number_of_threads_comes_back_after_an_end_in_another_thread() -> None:
    """New threads start with it at once; the first one lacks it, which is said, and its next pin mends it."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen: list[int] = []
    try:
        block = pin(1)
        block.__enter__()
        with pytest.warns(PinOrderWarning, match=r"'MainThread' goes on as pinned.*set_num_threads\(3\)"):
            assert in_thread(lambda: block.__exit__(None, None, None)) == []
        assert in_thread(lambda: seen.append(torch.get_num_threads())) == []
        with pin(2):
            assert torch.get_num_threads() == 1
        assert (seen, torch.get_num_threads()) == ([3], 3)
    finally:
        torch.set_num_threads(before)


def test_a_number_of_threads_that_was_set_meanwhile_stays() -> None:
    """Who followed the warning, or chose another number since, keeps that."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        block = pin(1)
        block.__enter__()
        with pytest.warns(PinOrderWarning):
            in_thread(lambda: block.__exit__(None, None, None))
        torch.set_num_threads(2)
        with pin(2):
            pass
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_second_task_is_refused() -> None:
    """A task that would pin while another task's pin is open gets a named error; the first is undisturbed."""
    before = settled()

    async def main() -> list[Any]:
        opened, refused = asyncio.Event(), asyncio.Event()

        async def first() -> list[Any]:
            with pin(1):
                seen = [draw()]
                opened.set()
                await refused.wait()
                return [*seen, draw()]

        async def second() -> None:
            await opened.wait()
            try:
                with pin(2):
                    pytest.fail("the block must not run")
            finally:
                refused.set()

        return list(await asyncio.gather(first(), second(), return_exceptions=True))

    with pin(1):
        expected = [draw(), draw()]
    seen, error = asyncio.run(main())
    assert seen == expected
    assert isinstance(error, ConcurrentPinError)
    assert "the task 'Task-" in str(error)
    assert everything() == before


def test_tasks_one_after_another_and_nested_awaits_may_pin() -> None:
    """Pins nest along awaits, follow one another in tasks, and outlast the finished task that began them."""
    before = settled()

    @contextlib.asynccontextmanager
    async def pinned(seed: int) -> AsyncIterator[None]:
        with pin(seed):
            yield

    async def draws() -> tuple[float, float, float]:
        async with pinned(3):
            await asyncio.sleep(0)
            return draw()

    async def main() -> Any:
        first = await asyncio.create_task(draws())
        with pin(1):
            nested = await draws()
        held = pinned(4)
        await asyncio.create_task(_enter(held))  # as asynchronous fixtures of pytest do
        third = await draws()
        await held.__aexit__(None, None, None)
        return first, nested, third

    async def _enter(held: Any) -> None:
        await held.__aenter__()

    first, nested, third = asyncio.run(main())
    assert first == nested == third
    assert everything() == before


@pytest.mark.parametrize("kind", ["generator", "async", "async generator", "partial", "object", "returned"])
def test_decorating_what_runs_later_is_refused(kind: str) -> None:
    """On a generator or an async function a pin would hold nothing; the error says what to write instead."""

    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> int:
        return 1

    async def asynchronous_generator() -> AsyncIterator[int]:
        yield 1

    class Model:
        async def __call__(self) -> int:
            return 1

    def returned() -> Awaitable[int]:
        return coroutine()

    functions: dict[str, Any] = {
        "generator": generator,
        "async": coroutine,
        "async generator": asynchronous_generator,
        "partial": functools.partial(generator),
        "object": Model(),
        "returned": returned,
    }
    for block in (pin(1), unpinned()):
        with pytest.raises(
            DeferredBodyError, match=r"(?s)@seedpin\..*its body runs only after.*next: write `with"
        ):
            block(functions[kind])()


def test_manager_that_is_dropped_ends_its_pin() -> None:
    """A pin that was begun by hand, and whose manager nobody kept, ends at once and is named."""
    before = settled()
    with pytest.warns(PinOrderWarning, match=r"pin\(1, .*_stack\.py:\d+ was begun and never ended"):
        pin(1).__enter__()
    assert everything() == before


def test_one_manager_may_be_entered_again() -> None:
    """The same manager pins anew each time, also inside of itself."""
    block = pin(1)
    with block as outer:
        first = draw()
        with block as inner:
            assert draw() == first
        assert current_pin() is outer
        assert inner is not outer
    with block:
        assert draw() == first


@pytest.mark.parametrize("fails_at", [1, 2])
def test_rule_10_restored_where_a_device_cannot_be_asked(
    fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accelerator whose counters cannot be read at the begin or the end of a pin leaves nothing pinned."""
    before = settled()
    calls = 0

    def allocations() -> dict[str, int]:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise RuntimeError("the device fell off the bus")
        return {}

    monkeypatch.setattr(devices, "allocations", allocations)
    with pytest.raises(RuntimeError, match="fell off the bus"), pin(1):
        spoil()
    assert everything() == before


FOLDER = stack.__file__.rpartition("stack.py")[0]


class Interruption:
    """Raises KeyboardInterrupt at the ``at``-th place in seedpin's pinning where Python would run a signal's
    handler: at the start of a Python function, and after the return of a built-in one."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: Any, event: str, _arg: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(FOLDER):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


def _pinned() -> None:
    with pin(7):
        pass


def _warned() -> None:
    with pin(7, level="warn"):
        pass


def _holed() -> None:
    with unpinned():
        pass


def _overlapping() -> None:
    first, second = pin(7), pin(8, level="warn")
    first.__enter__()
    try:
        second.__enter__()
    except KeyboardInterrupt:
        first.__exit__(None, None, None)
        raise
    try:
        first.__exit__(None, None, None)
    finally:
        second.__exit__(None, None, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupted finalizers
@pytest.mark.parametrize("block", [_pinned, _warned, _holed, _overlapping])
def test_rule_10_restored_after_a_signal_at_any_place_of_enter_and_leave(block: Callable[[], None]) -> None:
    """Wherever KeyboardInterrupt comes in the middle of a pin's or a hole's begin or end, all is restored."""
    before = settled()
    with pin(5) if block is _holed else contextlib.nullcontext():
        found, frames = everything(), len(stack._STACK.frames)
        filters, show = list(warnings.filters), warnings.showwarning
        at = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PinOrderWarning)
            while True:
                at += 1
                interruption = Interruption(at)
                sys.setprofile(interruption)
                try:
                    block()
                except KeyboardInterrupt:
                    pass
                finally:
                    sys.setprofile(None)
                assert len(stack._STACK.frames) == frames, at
                assert everything() == found, at
                assert gc.isenabled()
                if interruption.left > 0:
                    break
        assert at > 100
        assert (list(warnings.filters), warnings.showwarning) == (filters, show)
    assert everything() == before
