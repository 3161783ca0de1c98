"""Tests of seedpin.kinds.audio."""

from __future__ import annotations

import dataclasses
import io
import math
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from seedpin.compare.audio import METRICS
from seedpin.compare.tolerance import check_limits, parse_tolerance
from seedpin.errors import (
    AmbiguousLayoutError,
    ClipError,
    DamagedGoldenError,
    EmptyClipError,
    NonFiniteClipError,
    ToleranceError,
    UnsupportedClipError,
)
from seedpin.kinds.audio import AUDIO, Waveform, wav_of

RATE = 8000
TIME = np.arange(2 * RATE + 500) / RATE
TONE: npt.NDArray[np.float32] = (0.5 * np.sin(2 * np.pi * 220 * TIME) * np.exp(-TIME)).astype(np.float32)
BREATH = np.random.default_rng(0).normal(0, 1e-3, len(TIME)).astype(np.float32)


def adapt(obj: Any, rate: int | None = RATE, **how: Any) -> Waveform:
    return AUDIO.adapt(obj, rate=rate, **how)


@pytest.mark.parametrize(
    "obj",
    [
        TONE,
        torch.from_numpy(TONE),
        TONE[None],
        TONE[:, None],
        TONE[None, None],
        [TONE],
        SimpleNamespace(audios=TONE[None]),
        SimpleNamespace(audios=torch.from_numpy(TONE)[None, None]),
        {"audio": TONE[None], "sampling_rate": RATE},
        (TONE, RATE),
        Waveform(TONE[None], RATE),
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_a_waveform_is_read_from_what_libraries_give(obj: Any) -> None:
    """Arrays and tensors in either layout, outputs of diffusers and transformers, a batch of one."""
    told = isinstance(obj, (dict, tuple, Waveform))
    value = adapt(obj, None if told else RATE)
    assert value.samples.shape == (1, len(TONE))
    assert value.rate == RATE
    assert AUDIO.digests(value) == AUDIO.digests(adapt(TONE))
    assert len(AUDIO.digests(value)) == 3  # two seconds and a part
    assert not value.samples.flags.writeable


def test_channels_are_told_from_samples() -> None:
    """The short axis holds channels; where both are short or long the layout must be said."""
    stereo = np.stack([TONE, -TONE])
    assert AUDIO.digests(adapt(stereo)) == AUDIO.digests(adapt(stereo.T))
    assert AUDIO.digests(adapt(stereo)) != AUDIO.digests(adapt(stereo[::-1]))
    for shape in ((4, 4), (500, 400), (8, 1)):
        with pytest.raises(AmbiguousLayoutError, match="can be"):
            adapt(np.zeros(shape, np.float32))
    assert adapt(np.zeros((4, 6), np.float32), layout="TC").channels == 6
    assert adapt(np.zeros((4, 6), np.float32), layout="CT").channels == 4
    with pytest.raises(AmbiguousLayoutError, match="'XY' is none"):
        adapt(TONE[None], layout="XY")


@pytest.mark.parametrize("dtype", ["int16", "int32", "float16", "float32", "float64"])
def test_values_are_kept_as_they_are(dtype: str) -> None:
    """Every dtype comes back bit for bit, negative zero and what is beyond full scale too."""
    values = (TONE * 20000).astype(dtype) if dtype.startswith("int") else (3 * TONE).astype(dtype)
    if not dtype.startswith("int"):
        values[5] = -0.0
    value = adapt(np.stack([values, values[::-1]]))
    extension, data = AUDIO.encode(value)
    back = AUDIO.decode(data, extension, AUDIO.facts(value), None)
    assert back.samples.tobytes() == value.samples.tobytes()
    assert back.samples.dtype == dtype


def test_bfloat16_is_widened() -> None:
    """bfloat16 becomes float32, which holds all its values."""
    tensor = torch.from_numpy(TONE).bfloat16()
    assert (adapt(tensor).samples[0] == tensor.float().numpy()).all()


@pytest.mark.parametrize(
    ("obj", "how", "error", "said"),
    [
        (TONE, {"rate": None}, ClipError, "no rate is given"),
        (TONE, {"rate": 0}, ClipError, "no number of samples a second"),
        (TONE, {"rate": True}, ClipError, "no number of samples a second"),
        (TONE, {"rate": 8000.5}, ClipError, "no number of samples a second"),
        (TONE[:0], {}, EmptyClipError, "has no samples"),
        (TONE + np.inf, {}, NonFiniteClipError, "NaN or infinite"),
        (np.stack([TONE, TONE])[:, None], {}, UnsupportedClipError, "a batch of 2"),
        ([TONE, TONE], {}, UnsupportedClipError, "a batch of 2"),
        (np.zeros((1, 1, 2, 9)), {}, UnsupportedClipError, "is no waveform"),
        (TONE.astype(complex), {}, UnsupportedClipError, "complex128"),
        ("a.wav", {}, UnsupportedClipError, "from a str"),
        ({"frames": 3}, {}, UnsupportedClipError, "without 'audio'"),
    ],
)
def test_what_is_no_waveform_is_refused(
    obj: Any, how: dict[str, Any], error: type[ClipError], said: str
) -> None:
    """Each cause has its own error, which says what was wrong."""
    with pytest.raises(error, match=said):
        AUDIO.adapt(obj, **{"rate": RATE, **how})


def test_equal_seconds_have_the_best_values() -> None:
    """What differs in one second differs in no other; the summary counts seconds."""
    other = TONE.copy()
    other[RATE + 100] += np.float32(1e-4)
    metrics = AUDIO.compare(adapt(TONE), adapt(other))
    assert metrics.snr[0] == metrics.snr[2] == math.inf
    assert metrics.max_abs[1] == pytest.approx(1e-4, rel=1e-3)
    assert metrics.max_abs[0] == metrics.max_abs[2] == 0
    assert metrics.worst("snr")[0] == metrics.worst("max_abs")[0] == "second 1"
    assert metrics.summary() == "1 of 3 seconds differ, the first is second 1."
    with pytest.raises(ClipError, match="cannot be compared"):
        AUDIO.compare(adapt(TONE), adapt(TONE, 4000))


def test_the_signal_to_noise_ratio_is_that_of_the_worst_second_and_channel() -> None:
    """A tone with noise of a known power has the ratio of the powers."""
    tone = np.sqrt(2) * 0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    noise = np.sqrt(2) * 0.001 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    golden = np.stack([tone, tone])
    obtained = np.stack([tone, tone + noise])
    assert AUDIO.compare(adapt(golden), adapt(obtained)).snr[0] == pytest.approx(40, abs=1e-6)


def test_a_quiet_second_is_held_against_a_thousandth_of_the_loudest() -> None:
    """Silence with a tiny error in it is not as bad as garbage, and is not nothing either."""
    quiet = TONE.copy()
    quiet[RATE : 2 * RATE] = 0
    other = quiet.copy()
    other[RATE : 2 * RATE] = 1e-6
    power = float(np.square(quiet[:RATE].astype(np.float64)).mean())
    expected = 10 * math.log10(1e-3 * power / 1e-12)
    assert AUDIO.compare(adapt(quiet), adapt(other)).snr[1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("cut", [3000, 2000])
def test_a_low_pass_that_little_energy_hides_moves_spectrum_and_tilt(cut: int) -> None:
    """The highest tones taken away leave the signal-to-noise ratio above 40 dB; log-mel and tilt see it."""
    golden = (0.5 * np.sin(2 * np.pi * 220 * TIME) + BREATH)[: 2 * RATE].astype(np.float32)
    spectrum = np.fft.rfft(golden)
    spectrum[np.fft.rfftfreq(len(golden), 1 / RATE) > cut] = 0
    dull = np.fft.irfft(spectrum, len(golden)).astype(np.float32)
    rounded = golden + np.random.default_rng(1).normal(0, 1e-6, len(golden)).astype(np.float32)
    filtered, harmless = (AUDIO.compare(adapt(golden), adapt(one)) for one in (dull, rounded))
    assert filtered.worst("snr")[1] > 40
    assert filtered.worst("log_mel")[1] > 1
    assert filtered.worst("tilt")[1] > 1
    assert harmless.worst("log_mel")[1] < 0.02
    assert harmless.worst("tilt")[1] < 0.01


def test_metrics_of_anything_can_be_written_as_json() -> None:
    """Silence, single samples, a rate above the length, and very short sounds give numbers or null."""
    for samples, rate in ((np.zeros(100), 8000), (np.ones(1), 1), (TONE[:10], 48000), (TONE, 4)):
        metrics = AUDIO.compare(adapt(samples, rate), adapt(samples + 0.1, rate)).as_dict()
        for name in METRICS:
            value = metrics["worst"][name]["value"]
            assert value is None or math.isfinite(value)
            assert len(metrics["seconds"][name]) == AUDIO.count(AUDIO.facts(adapt(samples, rate)))


def test_what_is_no_sound_is_suspicious() -> None:
    """Silence, one value and white noise; not a tone, nor coloured noise."""
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    coloured = np.convolve(noise, np.hanning(9), "same")
    said = [
        tuple(one.kind for one in AUDIO.suspicions(adapt(samples)))
        for samples in (TONE, coloured, 0 * TONE, np.full(9000, 0.5), noise)
    ]
    assert said == [(), (), ("silent",), ("constant",), ("noise",)]


def test_the_player_s_file_is_a_wav_of_16_bits() -> None:
    """What a browser plays has the channels, the rate and the rounded samples."""
    value = adapt(np.stack([TONE, 3 * TONE]))
    with wave.open(io.BytesIO(wav_of(value))) as stream:
        assert (stream.getnchannels(), stream.getsampwidth(), stream.getframerate()) == (2, 2, RATE)
        samples = np.frombuffer(stream.readframes(stream.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(samples[:, 0] - np.clip(TONE, -1, 1) * 32768).max() <= 0.5
    assert samples[:, 1].max() == 32767  # what is beyond full scale is cut


def test_a_wav_file_can_be_compared(tmp_path: Path) -> None:
    """A WAV file of integers is read as it is; one of another form is refused."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav_of(adapt(np.stack([TONE, TONE / 2]))))
    value = AUDIO.open(path)
    assert (value.channels, value.rate, value.samples.dtype.name) == (2, RATE, "int16")
    path.write_bytes(b"RIFF")
    with pytest.raises(UnsupportedClipError, match="cannot be read as a WAV file"):
        AUDIO.open(path)


def test_pictures_are_spectrograms_side_by_side() -> None:
    """Golden, obtained and difference, of one size; equal sounds have a black difference."""
    value = adapt(TONE + BREATH)
    part, shown = AUDIO.pictures(value, value, None)
    assert part == "spectrogram"
    assert [one.label for one in shown] == ["golden", "obtained", "difference"]
    assert {one.pixels.shape for one in shown} == {(192, 512, 3)}
    assert shown[2].pixels.max() == 0
    assert shown[0].pixels.max() == 255
    assert [panel.form for panel in AUDIO.panels(value, value, None)] == ["audio", "audio"]


def test_no_more_is_allocated_than_a_machine_has() -> None:
    """Facts of a waveform of petabytes are refused before anything is made for them."""
    extension, data = AUDIO.encode(adapt(TONE))
    facts = dict(AUDIO.facts(adapt(TONE)))
    with pytest.raises(DamagedGoldenError, match="GiB of memory"):
        AUDIO.decode(data, extension, {**facts, "samples": 1 << 50}, None)


def test_samples_that_are_no_numbers_are_damage() -> None:
    """NaN in a golden's file is refused: no golden was ever born with one."""
    value = adapt(TONE)
    bad = value.samples.copy()
    bad[0, 3] = np.nan
    with pytest.raises(DamagedGoldenError, match="no numbers"):
        AUDIO.encode(dataclasses.replace(value, samples=bad))


@pytest.mark.parametrize(
    "limits",
    [{"snr": 6}, {"snr": 0}, {"log_mel": 5}, {"tilt": 2}, {"tilt": 0.5}, {"psnr": 60}, {"max_abs": -1}],
)
def test_limits_that_other_sounds_meet_are_refused(limits: dict[str, float]) -> None:
    """What silence or another sound reaches is no limit, nor is tilt alone; a clip's are not known."""
    with pytest.raises(ToleranceError):
        parse_tolerance(limits, "here", kind="audio")


def test_a_largest_difference_as_of_silence_is_refused() -> None:
    """max_abs is judged where the golden's loudness is known."""
    metrics = AUDIO.compare(adapt(TONE), adapt(TONE * np.float32(0.99)))
    peak = float(np.abs(TONE).max())
    assert not check_limits(parse_tolerance({"max_abs": 1e-4}, "here", kind="audio"), metrics)[0].ok
    with pytest.raises(ToleranceError, match="silence is off by"):
        check_limits(parse_tolerance({"max_abs": peak / 2}, "here", kind="audio"), metrics)


def test_a_low_pass_breaks_the_spectral_limits_where_the_ratio_holds() -> None:
    """A tolerance on the ratio alone passes what a limit on log-mel or tilt does not."""
    golden = (0.5 * np.sin(2 * np.pi * 220 * TIME) + BREATH)[: 2 * RATE].astype(np.float32)
    spectrum = np.fft.rfft(golden)
    spectrum[np.fft.rfftfreq(len(golden), 1 / RATE) > 3000] = 0
    dull = np.fft.irfft(spectrum, len(golden)).astype(np.float32)
    metrics = AUDIO.compare(adapt(golden), adapt(dull))
    tolerance = parse_tolerance({"snr": 40, "log_mel": 0.5, "tilt": 0.5}, "here", kind="audio")
    held = {margin.metric: (margin.ok, margin.place) for margin in check_limits(tolerance, metrics)}
    assert {name: ok for name, (ok, _) in held.items()} == {"snr": True, "log_mel": False, "tilt": False}
    assert str(held["tilt"][1]).startswith("second ")
