"""The table of switches: each can be read, set, and restored; float32 precision; the compiler."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils import _device

from seedpin.blas import BlasThreads
from seedpin.errors import AutotuneError
from seedpin.pinning import accessors, fp32, kept_switches, switches
from seedpin.pinning.pin import pin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_keys = pytest.mark.skipif(not fp32.HAS_KEYS, reason="needs the fp32_precision API")

# As Any: torch's stubs leave these untyped.
CUDA: Any = torch.backends.cuda
OVERRIDES: Any = torch.overrides
DETERMINISTIC: Any = torch.utils.deterministic
META = accessors.DefaultDevice(_device.DeviceContext("meta"), torch.device("meta"))
FLIPPED: dict[type, Callable[[Any], Any]] = {bool: lambda v: not v, int: lambda v: v - 1 if v > 1 else v + 1}
# Another value for each row whose value is neither.
OTHER: dict[str, Callable[[Any], Any]] = {
    "float32_precision": lambda v: fp32.Float32Precision("high", not v.cudnn_tf32, v.keys),
    "matmul.allow_fp16_reduced_precision_reduction": lambda v: True,
    "matmul.allow_bf16_reduced_precision_reduction": lambda v: True,
    "numpy_blas_threads": lambda v: BlasThreads(tuple((path, 2) for path, _ in v.libraries)),
    "portable_kernels": lambda v: "" if v else "strict",
    "sdpa.priority_order": lambda v: v[::-1],
    "preferred_blas_library": lambda v: getattr(torch._C._BlasBackend, "Default", v),
    "preferred_linalg_library": lambda v: torch._C._LinalgBackend.Default,
    "preferred_rocm_fa_library": lambda v: torch._C._ROCmFABackend.Default,
    "opt_einsum": lambda v: (not v[0], "optimal"),
    "default_dtype": lambda v: torch.float64,
    "default_device": lambda v: META,
    "autocast": lambda v: (not v[0], ("cpu", not v[1][1], torch.float16), *v[2:]),
    "anomaly_mode": lambda v: (not v[0], not v[1]),
    "numpy.errstate": lambda v: ({**v[0], "over": "raise", "under": "print"}, print),
}
# On a build for CPU only these take no other value than the default.
FIXED = ("preferred_blas_library", "preferred_linalg_library", "preferred_rocm_fa_library")


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
        other = OTHER.get(name) or FLIPPED[type(switch.read())]
        switch.write(other(switch.read()))
        assert name in FIXED or switch.read() != switch.held(level, found)
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


def test_what_the_block_itself_changed_is_put_back_and_nothing_else() -> None:
    """Grad mode, autocast, default dtype and device that were set outside hold inside, and after it."""
    with (
        torch.no_grad(),
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.device("meta"),
        np.errstate(over="raise"),
        pin(1),
    ):
        assert not torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.empty(1).device.type == "meta"
        assert np.geterr()["over"] == "raise"
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", False)
        torch.set_default_dtype(torch.float64)
        np.seterr(over="ignore")
        with pin(2):
            torch.set_grad_enabled(False)
            torch.set_default_dtype(torch.float16)
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert torch.get_default_dtype() == torch.float32
    assert torch.empty(1).device.type == "cpu"


@pytest.mark.parametrize("outside", ["nothing", "with", "set"])
@pytest.mark.parametrize("inside", ["cpu", "meta", None])
def test_default_device_is_restored_below_a_context_of_the_caller(outside: str, inside: str | None) -> None:
    """Whatever default device a block sets, afterwards it is the caller's, and the caller's contexts end."""

    def where() -> str:
        return torch.empty(1).device.type

    with contextlib.ExitStack() as stack:
        if outside == "set":
            torch.set_default_device("meta")
            stack.callback(lambda: torch.set_default_device(None))
        if outside == "with":
            stack.enter_context(torch.device("meta"))
        mode = stack.enter_context(torch.overrides.BaseTorchFunctionMode())
        here = where()
        with pin(1):
            assert where() == here
            torch.set_default_device(inside)
            if outside != "with" or hasattr(
                META.mode, "prev_mode"
            ):  # older torch itself fails at a second one
                torch.set_default_device(inside)
        assert where() == here
        assert OVERRIDES._get_current_function_mode_stack()[-1] is mode
    assert where() == "cpu"


def test_a_pin_that_ends_inside_of_a_later_device_context_leaves_that_one_alone() -> None:
    """A generator's pin that ends while its caller is in a ``with torch.device`` does not end that too."""

    def frames() -> Iterator[None]:
        with pin(1):
            yield
            torch.set_default_device("cpu")

    running = frames()
    next(running)
    with torch.device("meta"):
        assert next(running, None) is None
        assert torch.empty(1).device.type == "meta"
    assert torch.empty(1).device.type == "cpu"


def test_another_threads_own_settings_are_left_alone() -> None:
    """A pin that ends in another thread restores what the process has, not what a thread has for itself."""
    seen: list[bool] = []
    block = pin(1)

    def begin() -> None:
        torch.set_grad_enabled(False)
        block.__enter__()

    def end() -> None:
        block.__exit__(None, None, None)
        seen.append(torch.is_grad_enabled())

    for work in (begin, end):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [True]


class FakeTunable:
    """torch.cuda.tunable of a build for CUDA, after its source."""

    def __init__(self) -> None:
        self.on, self.tunes = False, True

    def is_enabled(self) -> bool:
        return self.on

    def tuning_is_enabled(self) -> bool:
        return self.tunes


def test_tunableop_that_tunes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under strict, TunableOp may read its results and may not make new ones."""
    tunable = FakeTunable()
    monkeypatch.setattr(kept_switches, "_tunable", tunable)
    monkeypatch.setattr(kept_switches, "TUNABLE", True)
    with pin(1):
        pass
    tunable.on = True
    with pytest.raises(AutotuneError, match=r"(?s)TunableOp is on and tunes.*tuning_enable\(False\)"), pin(1):
        pass
    tunable.tunes = False
    with pin(1):
        pass


def test_every_switch_is_in_the_docs() -> None:
    """docs/pinning.md names every row of the table."""
    page = (Path(__file__).parents[2] / "docs" / "pinning.md").read_text(encoding="utf-8")
    assert [switch.name for switch in switches.SWITCHES if f"`{switch.name}`" not in page] == []


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
