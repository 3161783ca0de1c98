"""The kind of ``golden_audio``: waveforms, kept losslessly, judged second by second.

A golden's file is a zip of the waveform's byte planes, one member a second (`seedpin.clip.codec`), whatever
its dtype. Energy alone does not hear everything: what a low-pass takes away is little energy. So there are
four distances: the signal-to-noise ratio, the largest difference, and two of the spectrum as it is heard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedpin.clip.archive import pack, unpack
from seedpin.clip.codec import RESTORE, check_memory, from_planes, planes_of, read_bytes, reason_of
from seedpin.clip.suspect import Suspicion
from seedpin.compare.measured import Metrics
from seedpin.compare.metric import OWN
from seedpin.compare.recorded import RecordedMetrics
from seedpin.errors import (
    AmbiguousLayoutError,
    ClipError,
    DamagedGoldenError,
    EmptyClipError,
    GoldenError,
    NonFiniteClipError,
    UnsupportedClipError,
)
from seedpin.kinds.base import Kind, Panel, Picture, Range
from seedpin.records import Facts

Samples = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

DTYPES = ("int16", "int32", "float16", "float32", "float64")
METRICS = tuple(row.name for row in OWN if row.kind == "audio")
LAYOUTS = ("CT", "TC")
MOST_CHANNELS = 8
"""An axis of at most so many is read as channels where nothing is said."""
LARGEST_RATE = 1 << 20

_BANDS = 64
_FLOOR = 1e-8
"""Power below this share of the golden's loudest band counts as silence: -80 dB."""
_QUIET = 1e-3
"""A second's noise is held against this share of the loudest second's power at least, or silence with a bit
flipped in it would have no signal at all."""
_SPECTROGRAM = (512, 192)
_TAKEN = (
    "pass a waveform (a torch tensor or an array), the output of a diffusers pipeline, or (waveform, rate)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """``samples`` of shape (channels, samples), read-only, of one of `DTYPES`; ``rate`` in samples a second.

    Floats are at full scale at -1 and 1, integers at the ends of their dtype.
    """

    samples: Samples
    rate: int
    source: str = ""

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def length(self) -> int:
        return int(self.samples.shape[1])

    def seconds(self) -> list[Samples]:
        """The samples of each second, of shape (channels, samples)."""
        return [self.samples[:, start : start + self.rate] for start in range(0, self.length, self.rate)]

    def scaled(self) -> Floats:
        """The samples in units of full scale."""
        full = 1.0 if self.samples.dtype.kind == "f" else -float(np.iinfo(self.samples.dtype).min)
        return self.samples.astype(np.float64) / full


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
        sign = -1.0 if name == "snr" else 1.0
        index = max(range(len(values)), key=lambda at: (values[at] != values[at], sign * values[at]))
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


class AudioKind(Kind[Waveform]):
    """``check(waveform, rate=16000, layout=)``.

    waveform: a torch tensor or array of shape (samples,), (channels, samples) or (samples, channels), of
    int16, int32, float16, bfloat16, float32 or float64; an object with ``.audios`` (diffusers); a mapping
    with ``audio`` and ``sampling_rate`` (transformers); a pair (waveform, rate). A batch of one is unpacked.
    rate: samples a second, where the object does not say. layout: "CT" (channels, samples) or "TC", where
    both readings are possible. Values are kept as they are; bfloat16 is widened to float32, which is exact.

    Raises AmbiguousLayoutError, EmptyClipError, NonFiniteClipError, UnsupportedClipError, or ClipError for a
    rate that is none.
    """

    name = "audio"
    role = "audio"
    extensions = frozenset({"zip"})
    opens = frozenset({".wav"})
    exports = frozenset({".wav"})
    fixtures = ("audio",)
    word = "second"

    def adapt(
        self,
        obj: object,
        fixture: str = "",
        *,
        rate: int | None = None,
        layout: str | None = None,
        **how: Any,
    ) -> Waveform:
        if how:
            raise ClipError(f"golden_audio takes no {', '.join(how)}", hint="it takes rate= and layout=")
        inner, told = _unwrapped(obj)
        return _checked(_host(inner), rate if rate is not None else told, layout)

    def open(self, path: Path) -> Waveform:
        return _read_wav(path)

    def facts(self, value: Waveform) -> Facts:
        return {
            "samples": value.length,
            "channels": value.channels,
            "rate": value.rate,
            "dtype": value.samples.dtype.name,
        }

    def items(self, value: Waveform) -> Sequence[Any]:
        return value.seconds()

    def guess_facts(self, obj: object, error: Exception, **how: Any) -> Facts:
        if not isinstance(error, NonFiniteClipError):
            return {}
        inner, told = _unwrapped(obj)
        blank = np.zeros_like(_host(inner))  # facts do not depend on the values
        return self.facts(_checked(blank, how.get("rate", told), how.get("layout")))

    def encode(self, value: Waveform) -> tuple[str, bytes]:
        seconds = value.seconds()
        names = _names(len(seconds))
        data = pack(zip(names, map(planes_of, seconds), strict=True), deflate=True)
        back = self.decode(data, "zip", self.facts(value), None)
        if back.samples.tobytes() != value.samples.tobytes():
            raise GoldenError(
                "the waveform did not come back bit for bit; nothing was written", hint="report this"
            )
        return "zip", data

    def decode(
        self, source: str | PathLike[str] | bytes, extension: str, facts: Facts, value_range: Range | None
    ) -> Waveform:
        data, what = read_bytes(source)
        try:
            return _decode(data, extension, facts, what)
        except DamagedGoldenError as error:
            raise DamagedGoldenError(error.what, hint=error.hint or RESTORE) from error
        except Exception as error:  # bytes from outside make zipfile and NumPy raise nearly anything
            raise DamagedGoldenError(f"{what} cannot be decoded: {reason_of(error)}", hint=RESTORE) from error

    def count(self, facts: Facts) -> object:
        samples, rate = facts.get("samples"), facts.get("rate")
        if not isinstance(samples, int) or not isinstance(rate, int) or rate < 1:
            return 0
        return -(-samples // rate)

    def compare(self, golden: Waveform, obtained: Waveform) -> AudioMetrics:
        return compare_audio(golden, obtained)

    def suspicions(self, value: Waveform) -> tuple[Suspicion, ...]:
        """silent: no sample is above -90 dB of full scale. constant: each channel has one value. noise:
        samples have nothing to do with those before them, as in noise that was never denoised."""
        samples = value.scaled()
        if np.abs(samples).max() < 10 ** (-90 / 20):
            return (Suspicion("silent", "no sample is above -90 dB of full scale: silence"),)
        if (samples == samples[:, :1]).all() and value.length > 1:
            return (Suspicion("constant", "all samples have the same value"),)
        if all(_looks_like_noise(channel) for channel in samples):
            return (Suspicion("noise", "samples are independent of their neighbours, as in white noise"),)
        return ()

    def export(self, value: Waveform, suffix: str, **how: Any) -> tuple[bytes, Sequence[str]]:
        if suffix != ".wav" or how:
            return super().export(value, suffix, **how)
        exact = value.samples.dtype == np.int16
        return wav_of(value), () if exact else (f"{value.samples.dtype} samples became 16 bits",)

    def pictures(
        self, golden: Waveform | None, obtained: Waveform, metrics: RecordedMetrics | None
    ) -> tuple[str, Sequence[Picture]]:
        """Spectrograms of the first channel: low tones below, 80 dB from black to white."""
        one = None if golden is None else _heard(golden)
        other = _heard(obtained)
        peak = float((other if one is None else one).max())
        shown = [Picture("obtained", _shades(other, peak))]
        if one is not None:
            shown.insert(0, Picture("golden", _shades(one, peak)))
            if one.shape == other.shape:
                shown.append(Picture("difference", _shades(np.abs(one - other), 40.0, span=40.0)))
        return "spectrogram", shown

    def panels(
        self, golden: Waveform | None, obtained: Waveform | None, metrics: RecordedMetrics | None
    ) -> Sequence[Panel]:
        players = [("golden", golden), ("obtained", obtained)]
        return [Panel(label, "audio", "wav", wav_of(value)) for label, value in players if value is not None]


AUDIO = AudioKind()


# -- from what a model gives -------------------------------------------------------------------------------


def _unwrapped(obj: Any) -> tuple[Any, int | None]:
    """The waveform inside of what libraries give, and the rate where they tell it."""
    if isinstance(obj, Waveform):
        return obj, obj.rate
    if hasattr(obj, "audios"):
        return obj.audios, None
    if isinstance(obj, Mapping):
        if "audio" not in obj:
            raise UnsupportedClipError(f"a {type(obj).__name__} without 'audio'", hint=_TAKEN)
        return obj["audio"], obj.get("sampling_rate")
    if isinstance(obj, tuple) and len(obj) == 2 and isinstance(obj[1], int) and not isinstance(obj[1], bool):
        return obj
    return obj, None


def _host(obj: Any) -> Samples:
    """The values as an array of (channels, samples) in some order, without a batch."""
    if isinstance(obj, Waveform):
        return obj.samples
    if isinstance(obj, (list, tuple)) and obj:
        if len(obj) > 1:
            raise _batch(len(obj))
        return _host(obj[0])
    if hasattr(obj, "detach"):
        obj = obj.detach().cpu()
        if str(obj.dtype) == "torch.bfloat16":
            obj = obj.float()
        obj = obj.numpy()
    if not hasattr(obj, "__array__"):
        raise UnsupportedClipError(f"no waveform can be read from a {type(obj).__name__}", hint=_TAKEN)
    array = np.asarray(obj)
    if array.ndim == 3:
        if len(array) > 1:
            raise _batch(len(array))
        array = array.reshape(array.shape[1:])
    if array.ndim not in (1, 2):
        raise UnsupportedClipError(f"an array of shape {array.shape} is no waveform", hint=_TAKEN)
    if array.dtype.name not in DTYPES:
        raise UnsupportedClipError(
            f"samples of {array.dtype} are none", hint=f"convert them to one of {', '.join(DTYPES)}"
        )
    return array


def _batch(count: int) -> UnsupportedClipError:
    return UnsupportedClipError(
        f"a batch of {count} waveforms",
        hint='check each with its own name=, for example check(audios[0], rate=16000, name="first")',
    )


def _checked(array: Samples, rate: Any, layout: str | None) -> Waveform:
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not 1 <= rate <= LARGEST_RATE:
        said = "no rate is given" if rate is None else f"rate = {rate!r} is no number of samples a second"
        raise ClipError(said, hint="write for example check(waveform, rate=16000)")
    if array.size == 0:
        raise EmptyClipError(f"a waveform of shape {array.shape} has no samples", hint="check the model")
    planes = array.reshape(1, -1) if array.ndim == 1 else array
    if array.ndim == 2 and _reading(array.shape, layout) == "TC":
        planes = array.T
    if not np.isfinite(planes).all():
        bad = int((~np.isfinite(planes)).sum())
        raise NonFiniteClipError(
            f"the waveform holds {bad} NaN or infinite sample(s) of {planes.size}",
            hint="look for the operation that gave them",
        )
    # A copy: whoever holds the original could change it after its digest was taken.
    samples = np.array(planes, dtype=planes.dtype.newbyteorder("="), order="C", copy=True)
    samples.flags.writeable = False
    return Waveform(samples, int(rate))


def _reading(shape: tuple[int, ...], layout: str | None) -> str:
    if layout is not None:
        if layout not in LAYOUTS:
            raise AmbiguousLayoutError(f"layout = {layout!r} is none", hint='write "CT" or "TC"')
        return layout
    few = [size <= MOST_CHANNELS for size in shape]
    if few[0] != few[1]:
        return "CT" if few[0] else "TC"
    raise AmbiguousLayoutError(
        f"a waveform of shape {shape} can be (channels, samples) or (samples, channels)",
        hint='say which: check(..., layout="CT") or layout="TC"',
    )


# -- files -------------------------------------------------------------------------------------------------


def _names(total: int) -> list[str]:
    return [f"{index:04d}.npy" for index in range(total)]


def _decode(data: bytes, extension: str, facts: Facts, what: str) -> Waveform:
    samples, channels, rate = (facts.get(key) for key in ("samples", "channels", "rate"))
    dtype = facts.get("dtype")
    for size in (samples, channels, rate):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise DamagedGoldenError(f"the facts of {what} are no waveform's: {dict(facts)}")
    assert isinstance(samples, int)
    assert isinstance(channels, int)
    assert isinstance(rate, int)
    if dtype not in DTYPES or rate > LARGEST_RATE or extension != "zip":
        raise DamagedGoldenError(f"the facts of {what} are no waveform's: {dict(facts)}")
    kind = np.dtype(str(dtype))
    check_memory(2 * samples * channels * kind.itemsize, what, "seconds")
    names = _names(-(-samples // rate))
    largest = channels * min(rate, samples) * kind.itemsize + 4096
    waves = np.empty((channels, samples), kind)
    for index, member in enumerate(unpack(data, names, largest, deflate=True, what=what)):
        part = waves[:, index * rate : (index + 1) * rate]
        part[:] = from_planes(member, part.shape, kind, f"{names[index]} in {what}")
    if waves.dtype.kind == "f" and not np.isfinite(waves).all():
        raise DamagedGoldenError(f"{what} holds samples that are no numbers")
    waves.flags.writeable = False
    return Waveform(waves, rate, what)


def _read_wav(path: Path) -> Waveform:
    """A WAV file of 16 or 32 bit integers, as the standard library reads it."""
    import wave

    try:
        with wave.open(str(path), "rb") as stream:
            width, channels, rate = stream.getsampwidth(), stream.getnchannels(), stream.getframerate()
            data = stream.readframes(stream.getnframes())
    except (wave.Error, OSError, EOFError) as error:
        raise UnsupportedClipError(
            f"{path} cannot be read as a WAV file of integers: {error}", hint="convert it to 16 bit"
        ) from error
    if width not in (2, 4):
        raise UnsupportedClipError(
            f"{path} has samples of {8 * width} bits", hint="convert it to 16 or 32 bit"
        )
    values = np.frombuffer(data, f"<i{width}").reshape(-1, channels)
    return _checked(values.astype(values.dtype.newbyteorder("=")), rate, "TC")


def wav_of(value: Waveform) -> bytes:
    """A WAV file of 16 bits for people to listen to: floats are rounded, what is beyond full scale is cut."""
    import wave

    samples = np.rint(np.clip(value.scaled(), -1, 32767 / 32768) * 32768).astype("<i2")
    target = BytesIO()
    with wave.open(target, "wb") as stream:
        stream.setnchannels(value.channels)
        stream.setsampwidth(2)
        stream.setframerate(value.rate)
        stream.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return target.getvalue()


# -- distances ---------------------------------------------------------------------------------------------


def compare_audio(golden: Waveform, obtained: Waveform) -> AudioMetrics:
    """The metrics of two waveforms of the same facts. Raises ClipError where length, rate, ... differ."""
    if AUDIO.facts(golden) != AUDIO.facts(obtained):
        raise ClipError(
            "the waveforms cannot be compared: length, channels, rate or dtype differ",
            hint="compare waveforms with the same facts",
        )
    count, rate = len(golden.seconds()), golden.rate
    g, o = golden.scaled(), obtained.scaled()
    loudest = max(
        float(np.square(g[:, at * rate : (at + 1) * rate]).mean(axis=1).max()) for at in range(count)
    )
    snr, most, mel, tilt = ([math.inf] * count, [0.0] * count, [0.0] * count, [0.0] * count)
    spectra = [(_log_mel(a, rate), _log_mel(b, rate)) for a, b in zip(g, o, strict=True)]
    peak = max(float(one.max()) for one, _ in spectra)
    centres = np.log2(_centres(rate))
    for at in range(count):
        part = slice(at * rate, (at + 1) * rate)
        if np.array_equal(g[:, part], o[:, part]):
            continue
        noise = np.square(o[:, part] - g[:, part]).mean(axis=1)
        power = np.maximum(np.square(g[:, part]).mean(axis=1), _QUIET * loudest)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(noise > 0, 10 * np.log10(power / noise), math.inf)
        snr[at] = float(np.nan_to_num(ratio, nan=-math.inf, posinf=math.inf).min())
        most[at] = float(np.abs(o[:, part] - g[:, part]).max())
        for one, other in spectra:
            frames = _frames_of(part, one.shape[0], rate)
            levels = [10 * np.log10(np.maximum(x[frames], max(peak * _FLOOR, 1e-20))) for x in (one, other)]
            mel[at] = max(mel[at], float(np.abs(levels[0] - levels[1]).mean()))
            slopes = [np.polyfit(centres, level.mean(axis=0), 1)[0] for level in levels]
            tilt[at] = max(tilt[at], float(abs(slopes[0] - slopes[1])))
    return AudioMetrics(tuple(snr), tuple(most), tuple(mel), tuple(tilt), float(np.abs(g).max()))


def _window(rate: int) -> int:
    """Samples of a window: a power of two, about 46 ms."""
    return int(max(64, 2 ** round(math.log2(max(rate * 0.046, 64)))))


def _frames_of(part: slice, total: int, rate: int) -> slice:
    """The windows that begin in a second; at least the nearest one."""
    hop = _window(rate) // 4
    first = min(part.start // hop, total - 1)
    return slice(first, max(first + 1, min(part.stop // hop, total)))


def _log_mel(samples: Floats, rate: int) -> Floats:
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


def _centres(rate: int) -> Floats:
    return _edges(rate)[1:-1]


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


def _looks_like_noise(channel: Floats) -> bool:
    """Whether the correlations with the 8 samples before are all within 0.05; noise is at 0.01."""
    if len(channel) < 4096:
        return False
    x = channel - channel.mean()
    power = float(np.dot(x, x))
    return power > 0 and all(abs(float(np.dot(x[lag:], x[:-lag]))) < 0.05 * power for lag in range(1, 9))


# -- for people --------------------------------------------------------------------------------------------


def _heard(value: Waveform) -> Floats:
    """The log-mel spectrum of the first channel in dB, (bands, windows), low tones last."""
    power = _log_mel(value.scaled()[0], value.rate)
    levels: Floats = 10 * np.log10(np.maximum(power, 1e-20)).T[::-1]
    return levels


def _shades(levels: Floats, peak: float, *, span: float = 80.0) -> npt.NDArray[np.uint8]:
    """Levels from ``peak - span`` to ``peak`` as grey pixels."""
    width, height = _SPECTROGRAM
    columns = np.linspace(0, levels.shape[1] - 1, width).round().astype(int)
    rows = np.linspace(0, levels.shape[0] - 1, height).round().astype(int)
    shade = np.clip((levels[rows][:, columns] - peak + span) / span, 0, 1)
    return np.repeat((255 * shade).round().astype(np.uint8)[..., None], 3, axis=2)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
