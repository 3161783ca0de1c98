"""What is said of a place: intervals, settings, weights, draws, two levels. Built from records by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seedpin.errors import TraceError
from seedpin.trace.diff.locate import first_divergence
from seedpin.trace.diff.reduce import at_level
from seedpin.trace.model import Fingerprint, ModuleInfo, Record, Trace, Value
from support.records import CHANGED, CLIP, LATENTS, bits, call, draw, parted, trace

# -- intervals -------------------------------------------------------------------------------------------


def loop(latents: Fingerprint, *, noise: Fingerprint | None = None, clip: Record = CLIP) -> Trace:
    """One scheduler step, then a second sampling loop that begins with noise, as Pyramid-Flow's stages do."""
    middle = (draw(noise),) if noise is not None else ()
    table = call("scheduler", "scheduler.set_timesteps", output=bits("table", (20,)))
    return trace(
        call("scheduler", "scheduler.step", {"sample": bits("x0")}, bits("x1")),
        *middle,
        table,
        call("stage", "dit", {"latents": latents}, bits(f"velocity of {latents.hash}")),
        clip,
    )


def test_the_near_end_of_an_interval_is_on_the_way_of_the_data() -> None:
    """Neither ``set_timesteps`` nor fresh noise is where latents come from once a step made some."""
    found = parted(loop(bits("a"), noise=bits("n")), loop(bits("b"), noise=bits("n"), clip=CHANGED))
    assert found.sentence.startswith("between scheduler.step 0 and dit: the input `latents` differs")
    assert found.place == "scheduler.step 0 -> dit"


def test_without_an_earlier_step_the_noise_is_the_near_end() -> None:
    """Latents that were just drawn come from their draw, not from the text encoder before it."""

    def begin(latents: str) -> Trace:
        text = call(
            "stage", "text_encoder", {"ids": bits("ids", (1, 16), "int64")}, bits("text", (1, 16, 32))
        )
        return trace(text, draw(bits("n")), call("stage", "dit", {"x": bits(latents)}, bits(latents)), CLIP)

    found = parted(begin("a"), begin("b"))
    assert found.place == "draw in prepare_latents -> dit"
    assert found.sentence.startswith(
        "between random draw 0 (torch.randn at pipeline.py:355) and dit: the input"
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (bits("a", (1, 4, 7, 8)), "a tensor float32 (1, 4, 7, 8) here, was a tensor float32 (1, 4, 8, 8)"),
        (bits("a", dtype="bfloat16"), "a tensor bfloat16 (1, 4, 8, 8) here, was a tensor float32"),
    ],
    ids=["shape", "dtype"],
)
def test_a_changed_shape_or_dtype_has_an_interval(changed: Fingerprint, says: str) -> None:
    """Between which records a tensor got another shape or dtype is told as for another value."""
    found = parted(loop(bits("a")), loop(changed, clip=CHANGED))
    assert found.sentence.startswith(f"between scheduler.step 0 and dit: the input `latents` is {says}")


def test_code_that_was_left_out_shows_as_an_output_that_is_handed_on() -> None:
    """An input that is an earlier output itself, on one side only, is told: the code between did nothing."""
    found = parted(loop(bits("scaled")), loop(bits("x1"), clip=CHANGED))
    assert "here it is the output of scheduler.step 0 itself" in found.sentence
    found = parted(loop(bits("x1")), loop(bits("scaled"), clip=CHANGED))
    assert "before it was the output of scheduler.step 0 itself" in found.sentence


def test_a_renamed_argument_is_no_divergence() -> None:
    """An argument that only has another name is laid beside its old one, by its bits or by its place."""

    def named(name: str, content: str = "a") -> Trace:
        inputs = {name: bits(content), "scale": Value("1.0")}
        return trace(call("stage", "dit", inputs, bits("v" + content)), CLIP if content == "a" else CHANGED)

    assert first_divergence(named("hidden_states"), named("x")) is None
    assert "the input `x` differs" in parted(named("hidden_states"), named("x", "b")).sentence


# -- what agreed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "unread", "says"),
    [
        ("", (), "vae.decode: inputs agree, the output"),
        ("w", (), "vae.decode: inputs and weights agree, the output"),
        ("w", ("vae.a",), "vae.decode: inputs agree, and so do the weights that could be read, the output"),
    ],
)
def test_only_what_was_read_is_said_to_agree(weights: str, unread: tuple[str, ...], says: str) -> None:
    """Weights are spoken of where they were hashed, and as far as they were."""

    def decoded(output: str, clip: Record) -> Trace:
        one = call("stage", "vae.decode", {"z": bits("z")}, bits(output), weights=weights, unread=unread)
        return trace(one, clip)

    assert parted(decoded("a", CLIP), decoded("b", CHANGED)).sentence.startswith(says)


@pytest.mark.parametrize(
    ("weights", "says"),
    [("", "Net: all that was recorded before agrees, the output"), ("w", "Net: weights agree, the output")],
)
def test_a_call_without_inputs_is_not_said_to_have_equal_ones(weights: str, says: str) -> None:
    """Inputs are spoken of where there are some."""

    def made(output: str, clip: Record) -> Trace:
        return trace(call("stage", "Net", {}, bits(output), weights=weights), clip)

    assert parted(made("a", CLIP), made("b", CHANGED)).sentence.startswith(says)


def test_inputs_that_were_not_read_are_not_said_to_agree() -> None:
    """An input whose content could not be read is left out of what agrees."""

    def decoded(output: str, clip: Record) -> Trace:
        blind = Fingerprint("", "float32", LATENTS, unread="on meta: it has no content")
        return trace(call("stage", "vae.decode", {"z": blind}, bits(output)), clip)

    assert "the inputs that could be read agree" in parted(decoded("a", CLIP), decoded("b", CHANGED)).sentence


def test_what_was_not_read_before_an_interval_is_left_out() -> None:
    """Before an interval everything agrees only as far as it was read."""
    blind = Fingerprint("", "float32", LATENTS, unread="on meta: it has no content")

    def after_blind(latents: str, clip: Record) -> Trace:
        first = call("stage", "encoder", {"x": bits("x")}, blind)
        return trace(first, call("stage", "dit", {"x": bits(latents)}, bits(latents)), clip)

    found = parted(after_blind("a", CLIP), after_blind("b", CHANGED))
    assert "differs though everything before that could be read agrees" in found.sentence


# -- settings --------------------------------------------------------------------------------------------


def built(config: dict[str, dict[str, str]], output: str = "a", level: Any = "stages") -> Trace:
    modules = tuple(ModuleInfo(name, "Norm", settings) for name, settings in config.items())
    ran = [call("module", "vae.decoder.norm", output=bits(output), depth=1)] if level == "modules" else []
    decoded = call("stage", "vae.decode", {"z": bits("z")}, bits(output))
    return trace(decoded, *ran, CLIP if output == "a" else CHANGED, modules=modules, level=level)


GOLDEN_SETTINGS = {
    "vae": {"name_or_path": "'/models/a'", "scale": "1.0"},
    "vae.encoder": {"eps": "1e-06"},
    "vae.decoder.norm": {"eps": "1e-06"},
    "vae.decoder.idle": {"eps": "1e-06"},
    "unet": {"eps": "1e-06"},
}


@pytest.mark.parametrize("level", ["stages", "modules"])
def test_the_hint_is_a_setting_of_what_ran(level: str) -> None:
    """Of several changed settings only those of modules at or inside the place are suspects, no paths."""
    changed = {
        "vae": {"name_or_path": "'/models/b'", "scale": "1.0"},
        "vae.encoder": {"eps": "1e-05"},
        "vae.decoder.norm": {"eps": "1e-05"},
        "vae.decoder.idle": {"eps": "1e-06"},
        "unet": {"eps": "1e-05"},
    }
    found = parted(built(GOLDEN_SETTINGS, level=level), built(changed, "b", level=level))
    assert found.sentence.endswith("the output does not [vae.decoder.norm Norm: eps 1e-06 -> 1e-05]")
    assert found.hints == ("vae.decoder.norm Norm: eps 1e-06 -> 1e-05",)


def test_modules_that_did_not_run_are_no_suspects() -> None:
    """Where modules are recorded, one that was not called has no part in the output."""
    changed = {**GOLDEN_SETTINGS, "vae.decoder.idle": {"eps": "1e-05"}}
    found = parted(built(GOLDEN_SETTINGS, level="modules"), built(changed, "b", level="modules"))
    assert found.hints == ()


def test_a_setting_that_came_or_went_empty_is_no_change() -> None:
    """Between releases keys come and go: one that is None or False where it exists says nothing."""
    more = {**GOLDEN_SETTINGS, "vae": {**GOLDEN_SETTINGS["vae"], "sigma_min": "None", "tiling": "False"}}
    assert parted(built(GOLDEN_SETTINGS), built(more, "b")).hints == ()
    more["vae"]["sigma_min"] = "0.002"
    assert parted(built(GOLDEN_SETTINGS), built(more, "b")).hints == ("vae Norm: sigma_min absent -> 0.002",)


def test_one_change_in_many_modules_is_told_once() -> None:
    """A setting that changed alike in several modules names the first and how many more."""
    config = {"vae": {}, **{f"vae.decoder.{index}": {"eps": "1e-06"} for index in range(5)}}
    changed = {"vae": {}, **{f"vae.decoder.{index}": {"eps": "1e-05"} for index in range(5)}}
    hints = parted(built(config), built(changed, "b")).hints
    assert hints == ("vae.decoder.0 Norm: eps 1e-06 -> 1e-05, and in 4 more",)


# -- weights ---------------------------------------------------------------------------------------------


def with_weights(*calls: str, output: str = "a", names: dict[str, str] | None = None, **more: Any) -> Trace:
    records = [
        call("stage", "dit", {"x": bits("x")}, bits(f"{output}{index}"), weights=text, call=index, **more)
        for index, text in enumerate(calls)
    ]
    return trace(*records, CLIP if output == "a" else CHANGED, weights=names or {})


def test_changed_weights_are_named() -> None:
    """The module and the parameter are named; several modules share the one that holds them all."""
    one = {"dit.proj.weight": "0" * 16, "dit.norm.bias": "1" * 16}
    other = {"dit.proj.weight": "2" * 16, "dit.norm.bias": "1" * 16}
    found = parted(with_weights("a", names=one), with_weights("b", output="b", names=other))
    assert found.sentence == "the weights of dit.proj differ (weight)"
    found = parted(
        with_weights("a", names=one), with_weights("b", output="b", names=dict.fromkeys(one, "3" * 16))
    )
    assert found.sentence == "the weights of dit differ (proj.weight and 1 more)"


def test_a_later_call_that_first_saw_other_weights_is_named() -> None:
    """Weights that were written during the run are told of from the call on that first saw them."""
    golden = with_weights("a", "a")
    here = trace(
        golden.records[0],
        replace(
            golden.records[1], weights="b", outputs=(("", bits("b")),), rewritten=(("dit.proj.weight", "f"),)
        ),
        CHANGED,
    )
    found = parted(golden, here)
    assert found.place == "dit.proj"
    assert (
        "differ from dit call 1 on, and agreed before: they were changed during the run (weight)"
        in found.sentence
    )


def test_weights_of_other_modules_are_not_blamed() -> None:
    """What a module's own names say is not filled up with another module's."""
    names = {"dit.proj.weight": "0" * 16, "vae.conv.weight": "1" * 16}
    other = {"dit.proj.weight": "0" * 16, "vae.conv.weight": "2" * 16}
    found = parted(with_weights("a", names=names), with_weights("b", output="b", names=other))
    assert found.sentence == "the weights of dit differ"


# -- draws -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "says"),
    [
        (draw(bits("m", (1, 4, 16, 16))), "random draw 0 changed: shape (1, 4, 8, 8) -> (1, 4, 16, 16): "),
        (draw(bits("m", dtype="bfloat16")), "random draw 0 changed: dtype float32 -> bfloat16: "),
        (draw(bits("m"), name="torch.rand"), "random draw 0 changed: torch.randn -> torch.rand: "),
        (
            draw(bits("m", (3,)), name="torch.rand"),
            "random draw 0 changed: shape (1, 4, 8, 8) -> (3,), torch.randn -> torch.rand: ",
        ),
        (
            draw(bits("m"), generator="own cpu", state="s9"),
            "random draw 0 comes from another generator, global cpu -> own cpu: ",
        ),
        (
            draw(bits("m"), generator="own cpu", state="s9", function="sample_noise"),
            "random draw 0 comes from another generator, global cpu -> own cpu: ",
        ),
    ],
    ids=["shape", "dtype", "function", "shape and function", "generator", "generator elsewhere"],
)
def test_a_draw_that_is_made_otherwise_is_one_draw(here: Record, says: str) -> None:
    """A draw with another shape, dtype, function or generator is told as changed, with its line."""
    found = parted(trace(draw(bits("n")), CLIP), trace(here, CHANGED))
    assert found.kind == "draw"
    assert found.sentence.startswith(says)
    assert "at pipeline.py:355" in found.sentence


def test_a_draw_that_moved_to_a_generator_of_the_same_seed_is_the_place() -> None:
    """With equal seeds the moved draw's values agree, and only the next one starts from another state."""

    def run(first: Record, second: str, clip: Record, extra: str = "same") -> Trace:
        step = draw(bits("n1"), generator="own cpu", state=second, function="step")
        return trace(first, call("stage", "dit", {"x": bits("n")}, bits(extra)), step, clip)

    own, moved = draw(bits("n"), generator="own cpu"), draw(bits("n"))
    dit, later = (
        call("stage", "dit", {"x": bits("n")}, bits("same")),
        draw(bits("n0"), generator="own cpu", function="step"),
    )
    found = parted(run(own, "s1", CLIP), trace(moved, dit, later, CHANGED))
    assert found.sentence.startswith("random draw 0 comes from another generator, own cpu -> global cpu: ")
    assert found.place == "draw in prepare_latents"
    # Its values are equal: it explains no other difference.
    found = parted(run(own, "s1", CLIP), run(moved, "s1", CHANGED, extra="other"))
    assert found.place == "dit"


def test_a_draw_that_is_gone_is_not_joined_with_its_neighbour_of_another_function() -> None:
    """Of two draws alike in shape, generator and place, the function tells which one is lost."""
    mask, ghost = draw(bits("m"), name="torch.bernoulli", state="s1"), draw(bits("r"), name="torch.rand")
    found = parted(
        trace(ghost, mask, CLIP),
        trace(draw(bits("m0"), name="torch.bernoulli"), CHANGED),
    )
    assert found.sentence.startswith("random draw 0 is lost: torch.rand (1, 4, 8, 8) float32")


def test_of_equal_draws_the_place_tells_which_is_gone() -> None:
    """Draws of one function, shape and generator are told apart by the functions that asked for them."""
    first, second = draw(bits("a"), function="noise"), draw(bits("b"), state="s1", function="blur")
    found = parted(trace(first, second, CLIP), trace(draw(bits("a"), function="blur"), CHANGED))
    assert found.place == "draw in noise"
    assert found.sentence.startswith("random draw 0 is lost: torch.randn (1, 4, 8, 8) float32")


def test_a_renamed_draw_is_laid_beside_one_of_its_own_generator() -> None:
    """Of two draws that are gone, the one from the generator of the new draw is the one that was changed."""
    other = draw(bits("a"), generator="own cpu", state="o0", function="blur")
    golden = trace(other, draw(bits("b"), function="noise"), CLIP)
    here = trace(draw(bits("c"), name="Tensor.normal_", function="make_noise"), CHANGED)
    found = parted(golden, here)
    assert found.sentence.startswith(
        "random draw 0 is lost: torch.randn (1, 4, 8, 8) float32 from the own cpu"
    )


def test_draws_that_have_nothing_in_common_stay_lost_and_new() -> None:
    """A draw of another function and kind is no changed version of the one that is gone."""
    other = draw(bits("m", (3,)), name="torch.randperm", function="shuffle")
    found = parted(trace(draw(bits("n")), CLIP), trace(other, CHANGED))
    assert (found.kind, found.place) == ("draw", "draw in prepare_latents")
    assert found.sentence.startswith("random draw 0 is lost: torch.randn (1, 4, 8, 8) float32")


def test_a_draw_is_blamed_on_its_input() -> None:
    """A draw from the same state whose input tensor differs is the fault of the code before it."""

    def dropped(x: str, clip: Record) -> Trace:
        return trace(
            call("stage", "dit", {"x": bits("x")}, bits("h")),
            draw(bits(f"dropped {x}"), name="F.dropout", input=bits(x)),
            clip,
        )

    found = parted(dropped("h1", CLIP), dropped("h2", CHANGED))
    assert found.kind == "glue"
    assert found.sentence.startswith("between dit and random draw 0: the input `input` differs")


def test_a_kernel_is_suspected_only_where_the_draws_inputs_are_known() -> None:
    """If one trace lacks the tensors that a draw depends on, nothing is said of kernels."""
    golden = trace(draw(bits("n"), name="F.dropout"), CLIP)
    here = trace(draw(bits("m"), name="F.dropout", input=bits("h")), CHANGED)
    assert "the tensors that it depends on are not in both traces" in parted(golden, here).sentence
    plain = parted(trace(draw(bits("n")), CLIP), trace(draw(bits("m")), CHANGED))
    assert "(another kernel or device)" in plain.sentence


# -- two levels ------------------------------------------------------------------------------------------


def nested(level: str, output: str = "a", clip: Record = CLIP) -> Trace:
    """A stage with a module in it, that holds another and a draw."""
    inner = [
        call("module", "dit.block", {"x": bits("x")}, bits(output), depth=1),
        call(
            "module", "dit.block.norm", {"x": bits("x")}, bits(output), depth=2, extra={"attention": "math"}
        ),
    ]
    drawn = replace(draw(bits("n")), depth=2 if level == "modules" else 1)
    extra = {} if level == "modules" else {"attention": "math"}
    weights = bits(level).hash  # At each level it is made of other weights.
    stage = call("stage", "dit", {"x": bits("x")}, bits(output), weights=weights, extra=extra)
    known = (ModuleInfo("dit", "Dit", {}),)
    return trace(stage, *(inner if level == "modules" else []), drawn, clip, level=level, modules=known)


def test_a_finer_trace_is_told_at_the_coarser_level() -> None:
    """Modules go; what is left has the depths, kernels and numbers that it would have had."""
    reduced = at_level(nested("modules"), "stages")
    assert reduced.level == "stages"
    assert [(r.kind, r.depth) for r in reduced.records] == [("stage", 0), ("draw", 1), ("clip", 0)]
    assert reduced.records[0].extra == {"attention": "math"}
    assert first_divergence(nested("stages"), nested("modules")) is None
    with pytest.raises(TraceError, match="cannot be told at level modules"):
        at_level(nested("stages"), "modules")


def test_traces_of_two_levels_are_compared_at_the_level_that_both_have() -> None:
    """The place is that of level stages, and the sentence says why it is no finer."""
    found = parted(nested("stages"), nested("modules", "b", CHANGED))
    assert (found.place, found.level) == ("dit", "stages")
    assert found.sentence.endswith("(compared at level stages: modules were recorded in this run only)")
    assert "weights that both traces name" in found.sentence
    found = parted(nested("modules"), nested("stages", "b", CHANGED))
    assert found.sentence.endswith("(compared at level stages: modules were recorded in the golden only)")
