"""The demo model: a real, trained video generator that fits into the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files

import pytest
import torch

from seedpin.demo import COLOURS, FPS, LABELS, SHAPES, DemoPipeline, FlowEulerScheduler, load_demo
from seedpin.demo.model import Attention, Decoder, Denoiser

STEPS = 12


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Quicker for so small a model, above all beside other test processes.
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pipeline() -> DemoPipeline:
    return DemoPipeline.from_package()


def generate(pipeline: DemoPipeline, label: int | str = 0, seed: int = 0, **options: object) -> torch.Tensor:
    torch.manual_seed(seed)
    clip: torch.Tensor = pipeline(label, steps=STEPS, **options)
    return clip


def paint_mask(clip: torch.Tensor, colour: str) -> torch.Tensor:
    """Pixels (T, H, W) whose nearest paint is `colour` and which are too vivid for the background."""
    frames = clip.float() / 255.0
    hues = torch.tensor([rgb for _, rgb in COLOURS])
    hues = hues - hues.mean(1, keepdim=True)
    chroma = frames - frames.mean(-1, keepdim=True)
    along = torch.nn.functional.cosine_similarity(chroma[..., None, :], hues, dim=-1)
    wanted = [name for name, _ in COLOURS].index(colour)
    return along.argmax(-1).eq(wanted).logical_and(chroma.norm(dim=-1).gt(0.25))


def centres(mask: torch.Tensor) -> torch.Tensor:
    """Mean position (T, 2), row and column in pixels, of the set pixels of each frame."""
    return torch.stack([frame.nonzero().float().mean(0) for frame in mask])


def test_a_clip_is_uint8_frames_in_rgb(pipeline: DemoPipeline) -> None:
    """The default output is a contiguous (16, 64, 64, 3) uint8 tensor."""
    clip = generate(pipeline)
    assert clip.shape == (16, 64, 64, 3)
    assert clip.dtype == torch.uint8
    assert clip.is_contiguous()


def test_float_output_rounds_to_the_uint8_output(pipeline: DemoPipeline) -> None:
    """Float frames lie in [0, 1], and the uint8 frames are these, rounded and not truncated."""
    frames = generate(pipeline, output="float")
    assert frames.dtype == torch.float32
    assert float(frames.min()) >= 0.0
    assert float(frames.max()) <= 1.0
    assert torch.equal((frames * 255).round().to(torch.uint8), generate(pipeline))


def test_latent_output_decodes_to_the_same_clip(pipeline: DemoPipeline) -> None:
    """Latents come before the decoder, as (4, 16, 8, 8) float32."""
    latents = generate(pipeline, output="latent")
    assert latents.shape == (4, 16, 8, 8)
    assert latents.dtype == torch.float32
    assert torch.equal(pipeline.decode(latents[None]), generate(pipeline))


@pytest.mark.parametrize("frames", [1, 9])
def test_shorter_clips_have_the_asked_length(pipeline: DemoPipeline, frames: int) -> None:
    """Any number of frames from one, an image, to 16 is honoured."""
    assert generate(pipeline, num_frames=frames).shape == (frames, 64, 64, 3)


@pytest.mark.parametrize(
    "options",
    [{"label": 12}, {"label": -1}, {"label": "red dog"}, {"num_frames": 0}, {"num_frames": 17}, {"steps": 0}],
)
def test_arguments_out_of_range_are_refused(pipeline: DemoPipeline, options: dict[str, object]) -> None:
    """An unknown label, no or too many frames and zero steps raise ValueError."""
    with pytest.raises(ValueError, match="must be"):
        pipeline(**options)


def test_unknown_output_is_refused(pipeline: DemoPipeline) -> None:
    """A misspelt kind of output raises ValueError and names the choices."""
    with pytest.raises(ValueError, match="uint8"):
        pipeline(output="png")


def test_the_same_global_seed_gives_the_same_bits(pipeline: DemoPipeline) -> None:
    """Noise comes from torch's global generator, so torch.manual_seed alone repeats the clip."""
    assert torch.equal(generate(pipeline, seed=5), generate(pipeline, seed=5))


def test_a_fresh_pipeline_gives_the_same_bits(pipeline: DemoPipeline) -> None:
    """Nothing is kept in a pipeline between calls, and loading is exact."""
    generate(pipeline, seed=1)
    assert torch.equal(generate(load_demo(), seed=5), generate(pipeline, seed=5))


def test_loading_draws_no_random_number() -> None:
    """from_package leaves torch's global generator where it was."""
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    DemoPipeline.from_package()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_generator_replaces_the_global_one(pipeline: DemoPipeline) -> None:
    """With generator= the global generator is neither read nor moved."""
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = pipeline(steps=2, generator=torch.Generator().manual_seed(9))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(pipeline(steps=2, generator=torch.Generator().manual_seed(9)), first)


def test_strict_deterministic_mode_is_satisfied(pipeline: DemoPipeline) -> None:
    """No operation of the pipeline is refused by torch's deterministic mode, and it moves no bit."""
    free = generate(pipeline)
    torch.use_deterministic_algorithms(True)
    try:
        strict = generate(pipeline)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(strict, free)


def test_another_seed_gives_another_clip(pipeline: DemoPipeline) -> None:
    """Two seeds differ visibly, not only by a rounding."""
    difference = generate(pipeline, seed=1).int() - generate(pipeline, seed=2).int()
    assert int(difference.abs().amax(dim=(1, 2, 3)).min()) > 50


def test_guidance_and_steps_change_the_clip(pipeline: DemoPipeline) -> None:
    """The scale of guidance and the number of steps reach the sampler."""
    torch.manual_seed(0)
    other_steps = pipeline(0, steps=STEPS // 2)
    clip = generate(pipeline)
    assert not torch.equal(other_steps, clip)
    assert not torch.equal(generate(pipeline, guidance=1.0), clip)


@pytest.mark.parametrize("label", LABELS)
def test_a_clip_shows_the_asked_shape_in_motion(pipeline: DemoPipeline, label: str) -> None:
    """Every frame holds one compact patch of the asked colour and of no other, and the patch travels."""
    colour = label.split()[0]
    clip = generate(pipeline, label)
    mask = paint_mask(clip, colour)
    area = mask.flatten(1).sum(1)
    assert int(area.min()) > 60
    assert int(area.max()) < 700
    for other, _ in COLOURS:
        if other != colour:
            assert int(paint_mask(clip, other).flatten(1).sum(1).max()) < 25
    path = centres(mask)
    moves = (path[1:] - path[:-1]).norm(dim=1)
    assert float(moves.sum()) > 10.0


def test_motion_is_smooth_in_most_clips(pipeline: DemoPipeline) -> None:
    """In at least ten of twelve clips the shape never leaps by 14 pixels or more between two frames."""
    smooth = 0
    for label in LABELS:
        path = centres(paint_mask(generate(pipeline, label), label.split()[0]))
        smooth += float((path[1:] - path[:-1]).norm(dim=1).max()) < 14.0
    assert smooth >= 10


def test_a_label_may_be_a_name(pipeline: DemoPipeline) -> None:
    """A class index and its name are the same label."""
    assert torch.equal(generate(pipeline, "blue ball"), generate(pipeline, LABELS.index("blue ball")))


def test_labels_are_every_colour_of_every_shape() -> None:
    """The registry of labels is a constant that goldens may rely on."""
    assert len(LABELS) == len(set(LABELS)) == len(COLOURS) * len(SHAPES) == 12
    assert LABELS[:4] == ("red ball", "red square", "red triangle", "green ball")
    assert FPS == 8


def test_bfloat16_weights_make_nearly_the_same_clip(pipeline: DemoPipeline) -> None:
    """The pipeline runs in bfloat16 from the same noise, and stays close to float32."""
    half = generate(DemoPipeline.from_package(torch.bfloat16), seed=4)
    difference = (half.int() - generate(pipeline, seed=4).int()).abs().float()
    assert 0.0 < float(difference.mean()) < 8.0


def test_weights_are_small_and_in_owned_aligned_memory(pipeline: DemoPipeline) -> None:
    """The file is at most 1.5 MB, and no weight is a view of it or misaligned."""
    assert len(files("seedpin.demo").joinpath("weights.safetensors").read_bytes()) <= 1_500_000
    for weight in pipeline.parameters():
        assert weight.data_ptr() % 64 == 0
        assert weight.dtype == torch.float32
        assert not weight.requires_grad
        assert weight.untyped_storage().nbytes() == weight.nbytes


def test_modules_have_telling_names(pipeline: DemoPipeline) -> None:
    """Traces name modules as people read them."""
    names = {name for name, _ in pipeline.named_modules()}
    assert {"denoiser.blocks.3.attention", "denoiser.time_embed", "decoder.conv_out"} <= names


def test_a_new_denoiser_predicts_no_data() -> None:
    """With adaLN-zero initialisation the untrained estimate is zero and the velocity is sample / level."""
    sample = torch.randn(2, 4, 4, 8, 8)
    timestep, label = torch.tensor([500.0, 1000.0]), torch.tensor([0, 3])
    denoiser = Denoiser(3)
    assert torch.equal(denoiser.predict_data(sample, timestep, label), torch.zeros_like(sample))
    velocity = denoiser(sample, timestep, label)
    torch.testing.assert_close(velocity, sample * torch.tensor([2.0, 1.0])[:, None, None, None, None])


def test_attention_heads_start_out_looking_at_one_distance_in_time() -> None:
    """The initial biases favour one frame back, one ahead, two back and so on; the last head is free."""
    bias = Attention(14, 7, 16).time_bias
    assert (bias[:-1].argmax(1) - 15).tolist() == [-1, 1, -2, 2, -3, 3]
    assert torch.equal(bias[-1], torch.zeros(31))


def test_the_decoder_treats_frames_apart() -> None:
    """A frame's pixels depend on its own latents only."""
    decoder = Decoder().eval()
    latents = torch.randn(3, 4, 8, 8)
    changed = latents.clone()
    changed[1] += 1.0
    same = (decoder(latents) == decoder(changed)).flatten(1).all(1)
    assert same.tolist() == [True, False, True]


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_time_steps_fall_from_1000_and_end_above_zero(steps: int) -> None:
    """There are as many time steps as asked, strictly falling, and the last noise level is zero."""
    scheduler = FlowEulerScheduler(shift=3.0)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.shape == (steps,)
    assert float(scheduler.timesteps[0]) == 1000.0
    assert bool((scheduler.timesteps[1:] < scheduler.timesteps[:-1]).all())
    assert float(scheduler.timesteps[-1]) > 0.0
    assert float(scheduler.sigmas[-1]) == 0.0


def test_shift_moves_the_grid_by_its_formula() -> None:
    """With shift 2 the middle of the grid lies at 2/3, and with shift 1 the grid is even."""
    shifted, even = FlowEulerScheduler(2.0), FlowEulerScheduler(1.0)
    for scheduler in (shifted, even):
        scheduler.set_timesteps(4)
    assert shifted.timesteps.tolist() == pytest.approx([1000.0, 6000 / 7, 2000 / 3, 400.0])
    assert even.timesteps.tolist() == [1000.0, 750.0, 500.0, 250.0]


def test_a_straight_flow_is_solved_exactly() -> None:
    """With the true velocity, any number of steps ends at the data, and each step predicts them."""
    data, noise = torch.randn(4, 5), torch.randn(4, 5)
    scheduler = FlowEulerScheduler()
    for steps in (1, 3, 10):
        scheduler.set_timesteps(steps)
        sample = noise
        for timestep in scheduler.timesteps:
            sample, predicted = scheduler.step(noise - data, timestep, sample)
            torch.testing.assert_close(predicted, data, atol=1e-5, rtol=0.0)
        torch.testing.assert_close(sample, data, atol=1e-5, rtol=0.0)


def test_add_noise_spans_data_to_noise() -> None:
    """At time 0 it returns the data, at 1000 the noise, and half of each between."""
    data, noise = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    mixed = FlowEulerScheduler().add_noise(data, noise, torch.tensor([0.0, 500.0, 1000.0]))
    assert mixed[:, 0, 0].tolist() == [0.0, 0.5, 1.0]


def test_the_scheduler_refuses_what_is_not_on_its_grid() -> None:
    """A foreign time step, no steps and a shift of zero raise ValueError."""
    scheduler = FlowEulerScheduler()
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="none of this scheduler's 4 time steps"):
        scheduler.step(torch.zeros(1), 123.0, torch.zeros(1))
    with pytest.raises(ValueError, match="num_inference_steps"):
        scheduler.set_timesteps(0)
    with pytest.raises(ValueError, match="shift"):
        FlowEulerScheduler(0.0)


def test_importing_the_package_imports_no_torch() -> None:
    """seedpin.demo resolves its names on first use."""
    code = "import sys, seedpin.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_exist_and_unknown_ones_do_not() -> None:
    """Every listed name resolves, and any other raises AttributeError."""
    import seedpin.demo

    assert all(hasattr(seedpin.demo, name) for name in seedpin.demo.__all__)
    assert set(seedpin.demo.__all__) <= set(dir(seedpin.demo))
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        _ = seedpin.demo.Missing
