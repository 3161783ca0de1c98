"""The table of switches: each can be read, set, and restored; float32 precision; the compiler."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from seedpin.errors import AutotuneError
from seedpin.pinning import fp32, switches
from seedpin.pinning.pin import pin

if TYPE_CHECKING:
    from collections.abc import Callable

needs_keys = pytest.mark.skipif(not fp32.HAS_KEYS, reason="needs the fp32_precision API")

# As Any: torch's stubs leave these untyped.
CUDA: Any = torch.backends.cuda
DETERMINISTIC: Any = torch.utils.deterministic
FLIPPED: dict[type, Callable[[Any], Any]] = {bool: lambda v: not v, int: lambda v: v - 1 if v > 1 else v + 1}


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Any:
    before = switches.snapshot()
    yield
    switches.restore(before)
    assert {k: v for k, v in switches.snapshot().items() if k in before} == before


def fresh(code: str, **environment: str) -> str:
    """What ``code`` prints in a fresh process."""
    import os

    env = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_names_are_unique_and_explained() -> None:
    """Every row of the table has a name of its own and says why it is there."""
    names = [switch.name for switch in switches.SWITCHES]
    assert len(names) == len(set(names))
    assert all(len(switch.why) > 15 for switch in switches.SWITCHES)


@pytest.mark.parametrize("level", ["strict", "warn"])
@pytest.mark.parametrize("name", [switch.name for switch in switches.SWITCHES if not switch.module])
def test_rule_10_each_switch_holds_and_is_restored(name: str, level: str) -> None:
    """Under a pin each switch has its level's value; after it the one before, whatever the block did."""
    switch = next(s for s in switches.SWITCHES if s.name == name)
    if not switch.available():
        pytest.skip("not in this torch")
    found = switch.read()
    with pin(1, level=level):
        assert switch.read() == switch.held(level, found)
        other = FLIPPED.get(type(switch.read()))
        if other is not None:
            switch.write(other(switch.read()))
            assert switch.read() != switch.held(level, found)
    assert switch.read() == found


def test_strict_values() -> None:
    """What a strict pin means, in values."""
    with pin(1):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.get_num_threads() == 1
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
        assert DETERMINISTIC.fill_uninitialized_memory
        assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        assert not CUDA.cudnn_sdp_enabled()
        assert CUDA.flash_sdp_enabled()
    with pin(1, level="warn"):
        assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_users_choice_of_attention_is_kept() -> None:
    """Flash and memory-efficient attention are the user's choice, put back if the model changes it."""
    torch.backends.cuda.enable_flash_sdp(False)
    with pin(1):
        assert not CUDA.flash_sdp_enabled()
        torch.backends.cuda.enable_flash_sdp(True)
    assert not CUDA.flash_sdp_enabled()


OLD = {
    "default": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "cublas": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "cudnn off": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
}
NEW: dict[str, Any] = {
    "generic": lambda b: setattr(b, "fp32_precision", "tf32"),
    "generic off": lambda b: setattr(b, "fp32_precision", "ieee"),
    "generic bf16": lambda b: setattr(b, "fp32_precision", "bf16"),
    "cuda": lambda b: setattr(b.cudnn, "fp32_precision", "tf32"),
    "cuda matmul": lambda b: setattr(b.cuda.matmul, "fp32_precision", "tf32"),
    "conv off": lambda b: setattr(b.cudnn.conv, "fp32_precision", "ieee"),
    "mkldnn conv": lambda b: setattr(b.mkldnn.conv, "fp32_precision", "bf16"),
}


def effective() -> list[str]:
    if not fp32.HAS_KEYS:
        return []
    keys = [("generic", "all"), ("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn")]
    keys += [("mkldnn", op) for op in ("matmul", "conv", "rnn")]
    return [fp32._get(*key) for key in keys]


def old_flags() -> list[Any]:
    """The old flags, or that reading them raises."""
    read: list[Any] = []
    for flag in (torch.get_float32_matmul_precision, lambda: torch.backends.cudnn.allow_tf32):
        try:
            read.append(flag())
        except RuntimeError:
            read.append("raises")
    return read


@needs_keys
@pytest.mark.parametrize("new", NEW)
def test_float32_precision_is_restored_in_a_fresh_process(new: str) -> None:
    """Starting from torch's own defaults, too, every key and old flag reads after a pin as before."""
    code = f"""
        import sys, torch
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_pinning_switches as here
        from seedpin.pinning.pin import pin
        here.NEW[{new!r}](torch.backends)
        before = here.effective(), here.old_flags()
        with pin(1):
            assert set(here.effective()) == {{"ieee"}}, here.effective()
            assert here.old_flags() == ["highest", False]
        after = here.effective(), here.old_flags()
        assert after == before, (before, after)
        print("ok")
    """
    assert fresh(code) == "ok"


@pytest.mark.parametrize("new", ["-", *NEW])
@pytest.mark.parametrize("old", OLD)
def test_float32_precision_is_restored_exactly(old: str, new: str) -> None:
    """However old and new settings were mixed, both read afterwards as they did before."""
    if new != "-" and not fp32.HAS_KEYS:
        pytest.skip("needs the fp32_precision API")
    OLD[old]()
    if new != "-":
        NEW[new](torch.backends)
    before, read = (effective(), old_flags()), fp32.read()
    with pin(1):
        assert set(effective()) <= {"ieee"}
        assert old_flags() == ["highest", False]
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
    assert (effective(), old_flags()) == before
    assert fp32.read() == read


@needs_keys
def test_inherited_precision_still_inherits() -> None:
    """Reading changes nothing, and a key that followed its parent before a pin follows it after it."""
    code = """
        import torch
        from seedpin.pinning import fp32
        from seedpin.pinning.pin import pin
        keys = [(b, op) for b in ("cuda", "mkldnn") for op in ("all", "matmul", "conv", "rnn")]
        keys.insert(0, ("generic", "all"))
        def show():
            return [fp32._get(*key) for key in keys]
        start = show()
        for parent in ("ieee", "tf32", "none"):
            fp32._set("generic", "all", parent)
            seen = show()
            fp32.read()
            with pin(1, level="seeds"): pass
            assert show() == seen, (seen, show())
        assert show() == start, (start, show())
        with pin(1):
            assert set(show()) == {"ieee"}
        assert show() == start, (start, show())
        fp32._set("generic", "all", "tf32")
        follows = show()
        assert follows[2] == follows[7] == "tf32", follows
        fp32._set("cuda", "all", "ieee")
        with pin(1): pass
        after = show()
        assert (after[1], after[2], after[7]) == ("ieee", "ieee", "tf32"), after
        print("ok")
    """
    assert fresh(code) == "ok"


def test_no_warning_from_a_pin() -> None:
    """Entering and leaving a pin in a fresh process warns about nothing."""
    code = """
        import warnings
        warnings.simplefilter("error")
        from seedpin.pinning.pin import pin
        for level in ("strict", "warn", "seeds"):
            with pin(1, level=level): pass
        print("quiet")
    """
    assert fresh(code) == "quiet"


def test_describe_is_words() -> None:
    """The record of all switches is a flat table of strings."""
    described = switches.describe()
    assert described["num_threads"] == str(torch.get_num_threads())
    assert all(isinstance(value, str) for value in described.values())


def test_a_pin_does_not_import_the_compiler() -> None:
    """Entering a strict pin leaves torch's compiler unimported (1.5 s), and no import hook behind."""
    code = """
        import sys
        hooks = len(sys.meta_path)
        from seedpin.pinning.pin import pin
        with pin(1):
            assert len(sys.meta_path) == hooks + 1
        print([m for m in ("torch._inductor.config", "torch._dynamo.config") if m in sys.modules],
              len(sys.meta_path) - hooks)
    """
    assert fresh(code) == "[] 0"


def test_compiler_imported_inside_of_a_pin_is_pinned_and_restored() -> None:
    """Settings of a compiler that arrives late are held in every enclosing pin, and restored in order."""
    code = """
        from seedpin.pinning.pin import pin, unpinned
        def show():
            import torch._inductor.config as i, torch._dynamo.config as d
            return (getattr(i, "deterministic", True), i.fallback_random, d.automatic_dynamic_shapes)
        seen = []
        with pin(1):
            with pin(2, level="warn"):
                with unpinned():
                    with pin(3, level="seeds"):
                        seen.append(show())
                seen.append(show())
            seen.append(show())
        seen.append(show())
        free, warn, strict, after = seen
        assert warn == strict == (True, True, False), seen
        assert free == after and free[1:] == (False, True), seen
        print("ok")
    """
    assert fresh(code) == "ok"


def test_compiled_noise_and_dropout_repeat_and_equal_eager() -> None:
    """A function compiled under the pin draws what the eager one draws, whatever was compiled before."""
    code = """
        import torch
        from seedpin.pinning.pin import pin
        def noisy(x):
            return torch.nn.functional.dropout(torch.sin(x) * torch.randn(x.shape))
        x = torch.linspace(0, 1, 96)
        compiled = torch.compile(noisy)
        compiled(x)  # outside of any pin, with inductor's own random numbers
        with pin(5):
            eager = noisy(x)
        seen = []
        for _ in range(2):
            with pin(5):
                seen.append(compiled(x))
        print(torch.equal(seen[0], seen[1]), torch.allclose(seen[0], eager))
    """
    import shutil

    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("needs a C++ compiler")
    assert fresh(code) == "True True"


def test_history_dependent_stance_is_replaced() -> None:
    """Stances by which the result depends on earlier calls become the default; ``force_eager`` stays."""
    code = """
        import torch
        import torch._dynamo.eval_frame as frame
        from seedpin.pinning.pin import pin
        seen = []
        for stance in ("eager_on_recompile", "force_eager"):
            torch.compiler.set_stance(stance)
            with pin(1):
                seen.append(frame._stance.stance)
            seen.append(frame._stance.stance)
        print(*seen)
    """
    assert fresh(code) == "default eager_on_recompile force_eager force_eager"


def test_autotune_by_variable_is_refused() -> None:
    """Under strict, max-autotune for all compiled code is refused before and after the compiler's import."""
    code = """
        from seedpin.errors import AutotuneError
        from seedpin.pinning.pin import pin
        def attempt(level="strict"):
            try:
                with pin(1, level=level):
                    return "ran"
            except AutotuneError as error:
                return error.what.split(":")[0]
        print(attempt("warn"), "|", attempt())
        import torch._inductor.config
        print(attempt("warn"), "|", attempt())
    """
    assert fresh(code, TORCHINDUCTOR_MAX_AUTOTUNE="1").splitlines() == [
        "ran | TORCHINDUCTOR_MAX_AUTOTUNE=1 is set",
        "ran | torch._inductor.config.max_autotune is on",
    ]


def test_autotune_of_one_module_is_refused() -> None:
    """A module compiled with mode='max-autotune' is named; other modes pass."""
    linear = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned: Any = torch.compile(linear, mode="max-autotune")
        plain: Any = torch.compile(linear)
        in_place = torch.nn.Conv1d(1, 1, 1)
        in_place.compile(mode="max-autotune-no-cudagraphs")
    switches.refuse_autotune([linear, plain])
    with pytest.raises(AutotuneError, match=r"(?s)Linear is compiled with max-autotune.*level=\"warn\""):
        switches.refuse_autotune([linear, tuned])
    with pytest.raises(AutotuneError, match="Conv1d is compiled"):
        switches.refuse_autotune([in_place])
