"""How near a sound comes that has nothing to do with the golden, and what filters of little energy do.

Synthetic sounds of three seconds at 16 kHz are the goldens: chord, plucked strings, bells, drums, a voice of
formants, wind. First held against each: all others, silence, white noise, itself half as loud and reversed;
printed is the best value of each metric that such content reaches. Then rounding, and filters that cut the
highest tones: printed is the range of each metric over all sounds.

    python benchmarks/blind_audio_limits.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from seedpin.compare.audio import METRICS
from seedpin.kinds.audio import AUDIO

Sound = npt.NDArray[np.float32]
RATE = 16000
TIME = np.arange(3 * RATE) / RATE


def sounds() -> dict[str, Sound]:
    """By name; each has some breath of noise at -60 dB, as recordings and vocoders have."""
    chance = np.random.default_rng(0)
    tones = {
        "chord": sum(np.sin(2 * np.pi * f * TIME) / n for n, f in enumerate((220, 277, 330, 440, 880), 1)),
        "strings": sum(_pluck(f, at) for f, at in ((196, 0.0), (247, 0.7), (294, 1.4), (392, 2.1))),
        "bells": sum(_pluck(f * p, 0.0) / p for f in (523, 784) for p in (1, 2.76, 5.4)),
        "drums": sum(chance.normal(size=len(TIME)) * _decay(at, 18) for at in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)),
        "voice": _voice(chance),
        "wind": _smooth(chance.normal(size=len(TIME)), 20) * (1.2 + np.sin(2 * np.pi * 0.4 * TIME)),
    }
    return {name: _scaled(np.asarray(tone), chance) for name, tone in tones.items()}


def _decay(at: float, speed: float) -> npt.NDArray[np.float64]:
    after: npt.NDArray[np.float64] = np.where(at <= TIME, np.exp(-speed * np.maximum(TIME - at, 0)), 0)
    return after


def _pluck(frequency: float, at: float) -> npt.NDArray[np.float64]:
    tone: npt.NDArray[np.float64] = _decay(at, 2.5) * sum(
        np.sin(2 * np.pi * frequency * n * TIME) / n**1.5 for n in range(1, 9) if frequency * n < RATE / 2
    )
    return tone


def _voice(chance: np.random.Generator) -> npt.NDArray[np.float64]:
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 1.3 * TIME)) / RATE
    voiced = sum(
        np.sin(n * phase) * sum(np.exp(-(((120 * n - f) / 120) ** 2)) for f in (500, 1500, 2500))
        for n in range(1, 40)
    )
    spoken: npt.NDArray[np.float64] = np.asarray(voiced) * (np.sin(2 * np.pi * 2 * TIME) > -0.3)
    return spoken + 0.02 * chance.normal(size=len(TIME))


def _smooth(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    smoothed: npt.NDArray[np.float64] = np.convolve(values, np.hanning(width), "same")
    return smoothed


def _scaled(tone: npt.NDArray[np.float64], chance: np.random.Generator) -> Sound:
    scaled = 0.5 * tone / np.abs(tone).max()
    sound: Sound = (scaled + 5e-4 * chance.normal(size=len(TIME))).astype(np.float32)
    return sound


def low_pass(cut: float) -> Callable[[Sound], Sound]:
    """Takes away all above ``cut`` Hz."""

    def apply(sound: Sound) -> Sound:
        spectrum = np.fft.rfft(sound.astype(np.float64))
        spectrum[np.fft.rfftfreq(len(sound), 1 / RATE) > cut] = 0
        filtered: Sound = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
        return filtered

    return apply


def measured(golden: Sound, obtained: Sound) -> dict[str, float]:
    metrics = AUDIO.compare(AUDIO.adapt(golden, rate=RATE), AUDIO.adapt(obtained, rate=RATE))
    return {name: metrics.worst(name)[1] for name in METRICS}


def print_best(found: Mapping[str, list[dict[str, float]]]) -> None:
    print(f"{'unrelated content':<24}" + "".join(f"{name:>12}" for name in METRICS))
    for name, rows in found.items():
        best = [(max if one == "snr" else min)(row[one] for row in rows) for one in METRICS]
        print(f"{name:<24}" + "".join(f"{value:>12.4g}" for value in best))


def main() -> None:
    goldens = sounds()
    chance = np.random.default_rng(1)
    found: dict[str, list[dict[str, float]]] = {}
    for name, golden in goldens.items():
        noise = (0.1 * chance.normal(size=len(golden))).astype(np.float32)
        for other, one in goldens.items():
            if other != name:
                found.setdefault("another sound", []).append(measured(golden, one))
        others = {"silence": np.zeros_like(golden), "white noise": noise}
        others |= {"half as loud": golden * np.float32(0.5), "reversed": golden[::-1]}
        for other, one in others.items():
            found.setdefault(other, []).append(measured(golden, one))
    print_best(found)
    print(f"\n{'the same, changed':<24}" + "".join(f"{name:>20}" for name in METRICS))
    changes: dict[str, Callable[[Sound], Sound]] = {
        "one unit of float32": lambda one: one * np.float32(1 + 2**-23),
        "rounding of bfloat16": lambda one: (one.view(np.uint32) & 0xFFFF0000).view(np.float32),
        "rounding to 16 bits": lambda one: (np.rint(one * 32768) / 32768).astype(np.float32),
        "low-pass 7 kHz": low_pass(7000),
        "low-pass 5 kHz": low_pass(5000),
        "low-pass 3 kHz": low_pass(3000),
    }
    for name, change in changes.items():
        rows = [measured(golden, change(golden)) for golden in goldens.values()]
        spans = [(min(row[one] for row in rows), max(row[one] for row in rows)) for one in METRICS]
        print(f"{name:<24}" + "".join(f"{f'{low:.3g} to {high:.3g}':>20}" for low, high in spans))


if __name__ == "__main__":
    main()
