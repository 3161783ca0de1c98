"""Frames as files for other programs: what is exact, what is converted, and what is told of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from seedpin.clip.adapt import as_clip
from seedpin.clip.clip import Clip
from seedpin.clip.export import VIDEOS, export_clip, frame_of
from seedpin.errors import ExportError
from seedpin.kinds.audio import AUDIO
from seedpin.kinds.clip import CLIP
from seedpin.kinds.tensors import TENSORS
from seedpin.kinds.text import TEXT


def moving(count: int = 5, *, channels: int = 3, height: int = 26, width: int = 34) -> npt.NDArray[np.uint8]:
    """Smooth frames, each another."""
    y, x = np.mgrid[0:height, 0:width]
    grey = np.stack([(3 * x + 2 * y + 9 * t) % 200 for t in range(count)])
    return np.repeat(grey[..., None], channels, axis=3).astype(np.uint8)


def back(data: bytes, folder: Path, suffix: str) -> Clip:
    path = folder / f"a{suffix}"
    path.write_bytes(data)
    return as_clip(path)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("count", [1, 5])
def test_pictures_and_animations_hold_8_bit_frames_exactly(
    channels: int, suffix: str, count: int, tmp_path: Path
) -> None:
    """PNG and WebP give back every value, and the rate where it is a whole number of milliseconds."""
    frames = moving(count, channels=channels)
    frames[..., 0] ^= np.random.default_rng(0).integers(0, 9, frames.shape[:3], np.uint8)
    if channels == 4:
        frames[..., 3] |= 1  # what is transparent altogether: below
    data, notes = export_clip(Clip(frames, 8), suffix)
    read = back(data, tmp_path, suffix).frames
    channels = min(channels, read.shape[3])
    assert np.array_equal(read[..., :channels], frames[..., :channels])
    assert notes == ()
    assert back(data, tmp_path, suffix).fps == (8 if count > 1 else None)


@pytest.mark.parametrize("suffix", sorted(VIDEOS))
@pytest.mark.parametrize(("height", "width"), [(26, 34), (25, 33)])
def test_videos_are_near_and_keep_count_and_rate(
    suffix: str, height: int, width: int, tmp_path: Path
) -> None:
    """A video has the clip's frames, one by one, at its rate; odd sides become even, and that is told."""
    frames = moving(7, height=height, width=width)
    data, notes = export_clip(Clip(frames, 24000 / 1001), suffix)
    read = back(data, tmp_path, suffix)
    assert (read.num_frames, read.height, read.width) == (7, 26, 34)
    assert read.fps == pytest.approx(24000 / 1001, rel=1e-3)
    gap = np.abs(read.frames[:, :height, :width].astype(int) - frames)
    assert gap.mean() < 2
    assert np.abs(read.frames.astype(int)[1:] - read.frames[:-1]).mean() > 5
    assert any("became 26x34" in note for note in notes) == (height % 2 == 1)
    assert any("lossy" in note for note in notes)


def test_an_animated_gif_is_told_to_hold_fewer_colours_and_steps_of_10_ms(tmp_path: Path) -> None:
    """A rate that the format cannot count is written as the nearest, and told with its number."""
    data, notes = export_clip(Clip(moving(channels=1), 8), ".gif")
    read = back(data, tmp_path, ".gif")
    assert read.num_frames == 5
    assert read.fps == pytest.approx(1000 / 120)
    assert "8 fps became 8.333: .gif counts in steps of 10 ms" in notes
    assert ".gif holds at most 256 colours a frame" in notes


@pytest.mark.parametrize(
    ("values", "value_range"),
    [
        (np.linspace(-1, 1, 26 * 34 * 3, dtype=np.float32), (-1.0, 1.0)),
        (np.linspace(0, 65535, 26 * 34 * 3).astype(np.uint16), (0.0, 65535.0)),
    ],
)
def test_other_values_become_8_bits_and_that_is_told(
    values: npt.NDArray[np.float32], value_range: tuple[float, float], tmp_path: Path
) -> None:
    """The range becomes 0 to 255; an array keeps the values themselves."""
    clip = Clip(values.reshape(1, 26, 34, 3), None, value_range)
    data, notes = export_clip(clip, ".png")
    low, high = value_range
    wanted = np.rint((clip.frames.astype(np.float64) - low) * 255 / (high - low))
    assert np.array_equal(back(data, tmp_path, ".png").frames, wanted)
    assert len(notes) == 1
    assert f"{clip.dtype} values" in notes[0]
    data, notes = export_clip(clip, ".npy")
    (tmp_path / "a.npy").write_bytes(data)
    assert np.load(tmp_path / "a.npy").tobytes() == clip.frames.tobytes()
    assert notes == ()


def test_transparency_is_shown_on_white_where_there_is_none(tmp_path: Path) -> None:
    """A format without it gets what a page would show; told with what keeps it."""
    frames = np.zeros((1, 8, 8, 4), np.uint8)
    frames[:, :4, :, 3] = 255
    data, notes = export_clip(Clip(frames), ".jpg")
    read = back(data, tmp_path, ".jpg").frames[0]
    assert read[0].max() < 12
    assert read[-1].min() > 243
    assert "transparency is shown on white; .png and .webp keep it" in notes


def test_what_an_animation_drops_is_found_by_reading_it(tmp_path: Path) -> None:
    """Colours under transparent pixels, and frames like the one before, are told where they are lost."""
    frames = moving(channels=4)
    frames[..., 3] = 255
    frames[1, :5, :5, 3] = 0
    frames[3] = frames[2]
    _, notes = export_clip(Clip(frames, 8), ".webp")
    assert "colours of transparent pixels are not kept by an animation as .webp" in notes
    assert "1 frame like the one before: .webp shows that one longer instead" in notes
    data, notes = export_clip(Clip(frames, 8), ".png")
    assert notes == ("1 frame like the one before: .png shows that one longer instead",)
    assert np.array_equal(back(data, tmp_path, ".png").frames, frames[[0, 1, 2, 4]])


def test_a_rate_that_nobody_knows_is_told(tmp_path: Path) -> None:
    """An animation needs one; --fps takes the place of any."""
    data, notes = export_clip(Clip(moving()), ".webp")
    assert back(data, tmp_path, ".webp").fps == 8
    assert "--fps" in notes[0]
    data, notes = export_clip(Clip(moving(), 8), ".webp", 4)
    assert (back(data, tmp_path, ".webp").fps, notes) == (4, ())


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        (".bmp", "frames cannot be written as .bmp"),
        ("", "frames cannot be written as a file without a suffix"),
        (".jpg", "holds one picture and the clip has 5 frames"),
    ],
)
def test_what_cannot_be_written_is_an_error(suffix: str, said: str) -> None:
    """The error names what can be written, or how one frame is chosen."""
    with pytest.raises(ExportError, match=said) as caught:
        export_clip(Clip(moving(), 8), suffix)
    assert ".png" in caught.value.hint


def test_an_encoder_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ffmpeg the error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ExportError, match="encoder that is not installed") as caught:
        export_clip(Clip(moving(), 8), ".mp4")
    assert "pip install 'seedpin[video]'" in caught.value.hint


def test_one_frame_is_chosen_by_its_number() -> None:
    """Numbers count from 0, negative ones from the end; another is an error."""
    clip = Clip(moving(), 8)
    assert np.array_equal(frame_of(clip, -1).frames[0], clip.frames[4])
    with pytest.raises(ExportError, match="there is no frame 5: the clip has 5 frames"):
        frame_of(clip, 5)


def test_kinds_without_frames_have_files_of_their_own(tmp_path: Path) -> None:
    """Sound becomes WAV, a text a text, tensors safetensors; another suffix says what there is."""
    samples = (np.sin(np.arange(800) / 9) * 9000).astype(np.int16)
    sound = AUDIO.adapt(samples, rate=8000)
    data, notes = AUDIO.export(sound, ".wav")
    (tmp_path / "a.wav").write_bytes(data)
    assert np.array_equal(AUDIO.open(tmp_path / "a.wav").samples, sound.samples)
    assert not notes
    assert AUDIO.export(AUDIO.adapt(samples / 2**15, rate=8000), ".wav")[1] == (
        "float64 samples became 16 bits",
    )
    assert TEXT.export(TEXT.adapt("a\nb"), ".txt") == (b"a\nb", ())
    assert TEXT.export(TEXT.adapt([[1, 2], [3]]), ".txt")[0] == b"-- text 0\n1\n2\n-- text 1\n3\n"
    tensors = TENSORS.adapt(np.eye(3, dtype=np.float32))
    data, _ = TENSORS.export(tensors, ".safetensors")
    assert TENSORS.digests(TENSORS.decode(data, "safetensors", {}, None)) == TENSORS.digests(tensors)
    with pytest.raises(ExportError, match=r"text cannot be written as \.mp4") as caught:
        TEXT.export(TEXT.adapt("a"), ".mp4")
    assert ".jsonl .txt" in caught.value.hint
    with pytest.raises(ExportError, match="audio with --fps"):
        AUDIO.export(sound, ".wav", fps=8.0)
    assert CLIP.exports > {".mp4", ".gif", ".png"}
