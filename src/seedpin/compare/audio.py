"""How far two sounds are apart, second by second.

Energy alone does not hear everything: what a low-pass takes away is little energy. So there are four
distances: the signal-to-noise ratio, the largest difference, and two of the spectrum as it is heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.compare.measured import Metrics
from seedpin.compare.metric import OWN

Floats = npt.NDArray[np.float64]

ROWS = {row.name: row for row in OWN if row.kind == "audio" and row.compare is None}
METRICS = tuple(ROWS)

_BANDS = 64
_FLOOR = 1e-8
"""Power below this share of the golden's loudest band counts as silence: -80 dB."""
_QUIET = 1e-3
"""A second's noise is held against this share of the loudest second's power at least, or silence with a bit
flipped in it would have no signal at all."""


@dataclass(frozen=True, slots=True)
class AudioMetrics(Metrics):
    """One value per second and metric, of the worst channel.

    ``snr``      dB: power of the golden's second (or 1/1000 of the loudest's, if that is more) to that of the
                 difference; infinite for equal seconds
    ``max_abs``  largest difference of any sample, in units of full scale
    ``log_mel``  dB: mean absolute difference of the log-mel spectra (64 bands, floor at -80 dB)
    ``tilt``     dB an octave: difference of the slopes of the mean spectra: what a filter does to all of it
    ``peak``     largest magnitude in the golden
    """

    snr: tuple[float, ...]
    max_abs: tuple[float, ...]
    log_mel: tuple[float, ...]
    tilt: tuple[float, ...]
    peak: float = 0.0

    @property
    def kind(self) -> str:
        return "audio"

    def span(self, name: str) -> tuple[float, str] | None:
        return (self.peak, f"silence is off by {self.peak:g}") if name == "max_abs" and self.peak else None

    def worst(self, name: str) -> tuple[int | str, float]:
        """The worst second, as ``second 3``, and its value; of several, the first."""
        if name not in METRICS:
            raise KeyError(name)
        values: tuple[float, ...] = getattr(self, name)
        index = max(range(len(values)), key=lambda at: ROWS[name].badness(values[at]))
        return f"second {index}", values[index]

    def summary(self) -> str:
        differing = [index for index, value in enumerate(self.max_abs) if value]
        if not differing:
            return ""
        return f"{len(differing)} of {len(self.max_abs)} seconds differ, the first is second {differing[0]}."

    def as_dict(self) -> dict[str, Any]:
        worst = {}
        for name in METRICS:
            place, value = self.worst(name)
            worst[name] = {"value": _finite(value), "place": place}
        return {
            "kind": self.kind,
            "summary": self.summary(),
            "worst": worst,
            "seconds": {name: [_finite(value) for value in getattr(self, name)] for name in METRICS},
        }


def compare_audio(golden: Floats, obtained: Floats, rate: int) -> AudioMetrics:
    """The metrics of two sounds of one shape, (channels, samples), in units of full scale; ``rate`` in Hz."""
    count = -(-golden.shape[1] // rate)
    parts = [slice(at * rate, (at + 1) * rate) for at in range(count)]
    loudest = max(float(np.square(golden[:, part]).mean(axis=1).max()) for part in parts)
    snr, most, mel, tilt = ([math.inf] * count, [0.0] * count, [0.0] * count, [0.0] * count)
    spectra = [
        (log_mel(one, rate), log_mel(other, rate)) for one, other in zip(golden, obtained, strict=True)
    ]
    floor = max(_FLOOR * max(float(one.max()) for one, _ in spectra), 1e-20)
    octaves = np.log2(_edges(rate)[1:-1])
    for at, part in enumerate(parts):
        if np.array_equal(golden[:, part], obtained[:, part]):
            continue
        snr[at] = _ratio(golden[:, part], obtained[:, part], _QUIET * loudest)
        most[at] = float(np.abs(obtained[:, part] - golden[:, part]).max())
        for one, other in spectra:
            frames = _frames_of(part, one.shape[0], rate)
            levels = [10 * np.log10(np.maximum(spectrum[frames], floor)) for spectrum in (one, other)]
            mel[at] = max(mel[at], float(np.abs(levels[0] - levels[1]).mean()))
            slopes = [np.polyfit(octaves, level.mean(axis=0), 1)[0] for level in levels]
            tilt[at] = max(tilt[at], float(abs(slopes[0] - slopes[1])))
    return AudioMetrics(tuple(snr), tuple(most), tuple(mel), tuple(tilt), float(np.abs(golden).max()))


def _ratio(golden: Floats, obtained: Floats, least: float) -> float:
    """Power (taken for ``least`` or more) to that of the difference, in dB, of the worst channel."""
    noise = np.square(obtained - golden).mean(axis=1)
    power = np.maximum(np.square(golden).mean(axis=1), least)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(noise > 0, 10 * np.log10(power / noise), math.inf)
    return float(np.nan_to_num(ratio, nan=-math.inf, posinf=math.inf).min())


def _window(rate: int) -> int:
    """Samples of a window: a power of two, about 46 ms."""
    return int(max(64, 2 ** round(math.log2(max(rate * 0.046, 64)))))


def _frames_of(part: slice, total: int, rate: int) -> slice:
    """The windows that begin in a second; at least the nearest one."""
    hop = _window(rate) // 4
    first = min(part.start // hop, total - 1)
    return slice(first, max(first + 1, min(part.stop // hop, total)))


def log_mel(samples: Floats, rate: int) -> Floats:
    """Power in mel bands, (windows, bands). The windows lie a quarter of their length apart."""
    size = _window(rate)
    hop = size // 4
    padded = np.pad(samples, (0, max(size - len(samples), 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    bands, hann = _mel(rate, size), np.hanning(size)
    energies = np.empty((len(windows), len(bands)))
    for start in range(0, len(windows), 256):  # a long recording's spectrum would not fit
        power = np.square(np.abs(np.fft.rfft(windows[start : start + 256] * hann)))
        energies[start : start + 256] = power @ bands.T
    return energies


def _edges(rate: int) -> Floats:
    """Frequencies of the bands' edges, equally far apart on the mel scale (O'Shaughnessy 1987)."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    low = 2595 * math.log10(1 + min(20.0, rate / 8) / 700)
    edges: Floats = 700 * (10 ** (np.linspace(low, top, _BANDS + 2) / 2595) - 1)
    return edges


def _mel(rate: int, size: int) -> Floats:
    """Triangular bands over the bins of a spectrum, (bands, bins)."""
    edges = _edges(rate)
    bins = np.fft.rfftfreq(size, 1 / rate)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bands: Floats = np.maximum(0, np.minimum(rising, falling))
    empty = bands.sum(axis=1) == 0  # narrower than a bin: the nearest one stands for it
    bands[empty, np.abs(bins - edges[1:-1][empty, None]).argmin(axis=1)] = 1.0
    return bands


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
