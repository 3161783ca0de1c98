"""The kind of ``golden_audio``: waveforms, kept losslessly, judged second by second.

A golden's file is a zip of the waveform's byte planes, one member a second (`seedpin.clip.codec`), whatever
its dtype. How far two are apart is told by `seedpin.compare.audio`.
"""

from __future__ import annotations

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
from seedpin.compare.audio import AudioMetrics, Floats, compare_audio, log_mel
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

DTYPES = ("int16", "int32", "float16", "float32", "float64")
LAYOUTS = ("CT", "TC")
MOST_CHANNELS = 8
"""An axis of at most so many is read as channels where nothing is said."""
LARGEST_RATE = 1 << 20

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
        if self.facts(golden) != self.facts(obtained):
            raise ClipError(
                "the waveforms cannot be compared: length, channels, rate or dtype differ",
                hint="compare waveforms with the same facts",
            )
        return compare_audio(golden.scaled(), obtained.scaled(), golden.rate)

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
    power = log_mel(value.scaled()[0], value.rate)
    levels: Floats = 10 * np.log10(np.maximum(power, 1e-20)).T[::-1]
    return levels


def _shades(levels: Floats, peak: float, *, span: float = 80.0) -> npt.NDArray[np.uint8]:
    """Levels from ``peak - span`` to ``peak`` as grey pixels."""
    width, height = _SPECTROGRAM
    columns = np.linspace(0, levels.shape[1] - 1, width).round().astype(int)
    rows = np.linspace(0, levels.shape[0] - 1, height).round().astype(int)
    shade = np.clip((levels[rows][:, columns] - peak + span) / span, 0, 1)
    return np.repeat((255 * shade).round().astype(np.uint8)[..., None], 3, axis=2)
