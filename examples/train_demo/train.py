"""Train the demo model from scratch: autoencoder, diffusion transformer, final decoder, weights file.

    python examples/train_demo/train.py            # all stages, with the settings of the packaged model

Writes `weights.safetensors` (float16), `loss.csv` and `loss.svg` into --out.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from curves import write_loss_svg
from safetensors.torch import load_file, save_file
from shapes import sample_clips
from torch import nn
from torch.nn import functional as F

from seedpin.demo.model import Decoder, Denoiser
from seedpin.demo.pipeline import LABELS

DRAFT_NOISE, FINAL_NOISE = 0.15, 0.08
"""Noise on latents while a decoder learns, in their standard deviations: it learns to forgive."""

DRAFT_DEPTH = (1, 1, 1)
"""The autoencoder is trained with a shallower decoder than the shipped one; both share their first layers."""

SPREAD = 1.5
"""Variety of the autoencoder's frames; the denoiser's clips are plainer, so that it learns them quickly."""

NULL_SHARE = 0.1
"""Share of clips that train the null class of classifier-free guidance."""

STAGES = ("autoencoder", "denoiser", "refinement", "decoder")

Row = tuple[str, int, float]


class Encoder(nn.Module):
    """Frames (N, 3, 64, 64) in [0, 1] to latents (N, 4, 8, 8) of zero mean and unit variance per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, 4, 1),
            nn.BatchNorm2d(4, affine=False),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = self.layers(2.0 * frames - 1.0)
        return latents


def random_labels(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(len(LABELS), (count,), generator=generator)


def train_autoencoder(
    args: argparse.Namespace,
    encoder: Encoder,
    decoder: Decoder,
    generator: torch.Generator,
    rows: list[Row],
) -> None:
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, args.autoencoder_steps, pct_start=0.1)
    average = 0.0
    for step in range(1, args.autoencoder_steps + 1):
        frames = sample_clips(random_labels(args.autoencoder_batch, generator), generator, 1, spread=SPREAD)[
            :, 0
        ]
        # Weights stay contiguous for the file; this layout of the input alone doubles the speed.
        frames = frames.contiguous(memory_format=torch.channels_last)
        # bfloat16 is quick; the last fifth is float32, where small errors begin to count.
        with torch.autocast("cpu", torch.bfloat16, enabled=step < 0.8 * args.autoencoder_steps):
            latents = encoder(frames)
            noise = torch.randn(latents.shape, generator=generator)
            restored = decoder(latents + DRAFT_NOISE * noise).float()
        # Squared error for flat areas, absolute error for crisp edges.
        loss = F.mse_loss(restored, frames) + 0.2 * F.l1_loss(restored, frames)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        average = report("autoencoder", step, loss.item(), average, rows)


def train_decoder(
    args: argparse.Namespace,
    both: nn.ModuleDict,
    decoder: Decoder,
    generator: torch.Generator,
    rows: list[Row],
) -> None:
    """Deepen the draft decoder and train it on, the encoder frozen, for crisper edges."""
    encoder = both["encoder"]
    decoder.load_state_dict(both["decoder"].state_dict(), strict=False)
    for stage in (decoder.stage_16, decoder.stage_32):
        for extra in list(stage.children())[1:]:
            # SiLU(0) is 0: an added layer changes nothing until it has learnt something.
            nn.init.zeros_(extra.get_parameter("conv.weight"))
            nn.init.zeros_(extra.get_parameter("conv.bias"))
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, args.decoder_steps, pct_start=0.1)
    average = 0.0
    for step in range(1, args.decoder_steps + 1):
        frames = sample_clips(random_labels(args.autoencoder_batch, generator), generator, 1, spread=SPREAD)[
            :, 0
        ]
        frames = frames.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=step < 0.8 * args.decoder_steps):
            with torch.no_grad():
                latents = encoder(frames)
            noise = torch.randn(latents.shape, generator=generator)
            restored = decoder(latents + FINAL_NOISE * noise).float()
        slopes = [F.l1_loss(torch.diff(restored, dim=axis), torch.diff(frames, dim=axis)) for axis in (2, 3)]
        loss = F.mse_loss(restored, frames) + 0.2 * F.l1_loss(restored, frames) + 0.2 * sum(slopes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average = report("decoder", step, loss.item(), average, rows)


@torch.no_grad()
def encode_clips(
    count: int, encoder: Encoder, generator: torch.Generator, rolling: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (count, 4, 16, 8, 8) float32 and labels (count,) of a fixed training set."""
    labels = random_labels(count, generator)
    latents = []
    for chunk in torch.split(labels, 16):
        frames = sample_clips(chunk, generator, rolling=rolling)
        latents.append(encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2))
    return torch.cat(latents).contiguous(), labels


def train_denoiser(
    args: argparse.Namespace,
    steps: int,
    model: Denoiser,
    data: tuple[torch.Tensor, torch.Tensor],
    seed: int,
    rows: list[Row],
) -> None:
    """Train `model`, and leave the running average of its weights in it."""
    latents, labels = data
    generator = torch.Generator().manual_seed(seed)
    ema = copy.deepcopy(model).requires_grad_(False)
    # Muon for the matrices inside the blocks, AdamW for all else (Jordan et al. 2024).
    skip = ("bias", "modulation.weight")
    inner = [p for n, p in model.blocks.named_parameters() if not n.endswith(skip)]
    chosen = {id(p) for p in inner}
    outer = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(outer, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01),
        torch.optim.Muon(inner, lr=5.0 * args.lr, weight_decay=0.01, adjust_lr_fn="original"),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda done: min(1.0, (done + 1) / 100, 1.5 * (1.0 - done / steps))
        )
        for optimizer in optimizers
    ]
    average = 0.0
    for step in range(1, steps + 1):
        pick = torch.randint(len(labels), (args.batch,), generator=generator)
        # One batch in eight is short, so that shorter clips than 16 frames work, too.
        frames = 16 if step % 8 else int(torch.randint(1, 16, (), generator=generator))
        clean, label = latents[pick, :, :frames], labels[pick]
        label = torch.where(torch.rand(args.batch, generator=generator) < NULL_SHARE, len(LABELS), label)
        noise = torch.randn(clean.shape, generator=generator)
        level = torch.sigmoid(args.level_mean + torch.randn(args.batch, generator=generator))
        spread = level[:, None, None, None, None]
        noisy = clean + spread * (noise - clean)
        velocity = model(noisy, 1000.0 * level, label)
        # The true velocity, weighted down below 5 % of noise exactly as the model's own is.
        loss = F.mse_loss(velocity, (noisy - clean) / spread.clamp(min=0.05))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            decay = min(0.998, step / (step + 10))
            torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1.0 - decay)
        average = report("denoiser", step, loss.item(), average, rows)
        if step % 500 == 0:
            save_file(ema.state_dict(), args.out / "denoiser.partial.safetensors")
    model.load_state_dict(ema.state_dict())


def report(name: str, step: int, loss: float, average: float, rows: list[Row]) -> float:
    """Fold one loss into a running average, and note the average every 25 steps."""
    average = loss if step == 1 else average + (loss - average) / min(step, 50)
    if step % 25 == 0:
        rows.append((name, step, average))
    if step % 100 == 0:
        print(f"{time.strftime('%H:%M:%S')} {name} {step} {average:.5f}", flush=True)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("train_demo_out"))
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--autoencoder-steps", type=int, default=3500)
    parser.add_argument("--autoencoder-batch", type=int, default=64)
    parser.add_argument("--decoder-steps", type=int, default=3000)
    parser.add_argument("--clips", type=int, default=12288)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--refinement-steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--level-mean", type=float, default=1.0)
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    encoder, draft = Encoder(), Decoder(depth=DRAFT_DEPTH)
    both = nn.ModuleDict({"encoder": encoder, "decoder": draft})
    with stage("autoencoder", args, both) as rows:
        if rows is not None:
            train_autoencoder(args, encoder, draft, torch.Generator().manual_seed(args.seed), rows)
    both.eval()

    torch.manual_seed(args.seed + 1)
    denoiser = Denoiser(len(LABELS))
    with stage("denoiser", args, denoiser) as rows:
        if rows is not None:
            data = encode_clips(args.clips, encoder, torch.Generator().manual_seed(args.seed + 1), False)
            train_denoiser(args, args.steps, denoiser, data, args.seed + 2, rows)
    with stage("refinement", args, denoiser) as rows:
        if rows is not None:
            data = encode_clips(args.clips // 2, encoder, torch.Generator().manual_seed(args.seed + 4), True)
            train_denoiser(args, args.refinement_steps, denoiser, data, args.seed + 5, rows)

    torch.manual_seed(args.seed + 3)
    decoder = Decoder()
    with stage("decoder", args, decoder) as rows:
        if rows is not None:
            train_decoder(args, both, decoder, torch.Generator().manual_seed(args.seed + 3), rows)

    if all((args.out / f"{name}.safetensors").exists() for name in STAGES):
        weights = {f"denoiser.{name}": value for name, value in denoiser.state_dict().items()}
        weights |= {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
        stored = {name: value.half().contiguous() for name, value in weights.items()}
        save_file(stored, args.out / "weights.safetensors")
        lines = [line for name in STAGES for line in (args.out / f"{name}.csv").read_text().splitlines()]
        (args.out / "loss.csv").write_text("\n".join(["stage,step,loss", *lines]) + "\n")
        write_loss_svg(args.out / "loss.csv", args.out / "loss.svg")


@contextmanager
def stage(name: str, args: argparse.Namespace, module: nn.Module) -> Iterator[list[Row] | None]:
    """Load what an earlier run kept, or give a list for the losses and keep what the body has trained.

    Each stage draws from generators of its own, so that kept stages change nothing downstream.
    """
    kept = args.out / f"{name}.safetensors"
    if kept.exists():
        module.load_state_dict(load_file(kept))
    if kept.exists() or name not in args.stages:
        yield None
        return
    rows: list[Row] = []
    started = time.perf_counter()
    yield rows
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    save_file(module.state_dict(), kept)
    kept.with_suffix(".csv").write_text("".join(f"{name},{step},{loss:.6f}\n" for _, step, loss in rows))


if __name__ == "__main__":
    main()
