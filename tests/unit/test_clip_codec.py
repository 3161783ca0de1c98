"""Tests of seedpin.clip.codec, archive and webp."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from seedpin.clip.clip import Clip, ranges_of
from seedpin.clip.codec import decode, encode
from seedpin.clip.webp import encode_webp
from seedpin.errors import DamagedGoldenError, EmptyClipError, GoldenError, UnsupportedClipError
from seedpin.kinds.tensors import decode_tensors, encode_tensors

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


def make(dtype: str = "uint8", shape: tuple[int, ...] = (3, 17, 23, 3), seed: int = 0) -> Clip:
    """A clip whose bits are all in use: any float but NaN, colours under transparency."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("f"):
        values = rng.normal(size=shape).astype(dtype)
        values.reshape(-1)[:2] = -0.0, np.finfo(dtype).smallest_subnormal
    else:
        values = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        if shape[3] == 4:
            values[:, ::2, :, 3] = 0
    return Clip(values, 8, ranges_of(dtype)[-1])


def back(clip: Clip) -> Clip:
    extension, data = encode(clip)
    return decode(data, extension, clip.facts(), value_range=clip.value_range)


def assert_same(left: Clip, right: Clip) -> None:
    assert left.facts() == right.facts()
    assert left.value_range == right.value_range
    assert left.frames.tobytes() == right.frames.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
def test_the_round_trip_is_exact(dtype: str, frames: int, channels: int) -> None:
    """Every bit comes back for every dtype and number of channels; the same input gives the same bytes."""
    clip = make(dtype, (frames, 17, 23, channels))
    assert_same(back(clip), clip)
    extension, data = encode(clip)
    assert extension == ("webp" if (dtype, frames) == ("uint8", 1) else "zip")
    assert encode(make(dtype, (frames, 17, 23, channels))) == (extension, data)
    assert not decode(data, extension, clip.facts(), value_range=clip.value_range).frames.flags.writeable


def test_colour_under_transparency_is_kept() -> None:
    """Pixels with alpha 0 keep their colours, and opaque clips their alpha: encoders may drop both."""
    for alpha in (0, 255):
        frames = make(shape=(2, 9, 9, 4)).frames.copy()
        frames[..., 3] = alpha
        assert_same(back(Clip(frames)), Clip(frames))


@pytest.mark.parametrize("seed", range(12))
def test_random_clips_come_back(seed: int) -> None:
    """Whatever the shape and the content (noise, flat, few colours, ramps), the bits come back."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), *map(int, rng.integers(1, 70, 2)), int(rng.choice([1, 3, 4])))
    dtype = str(rng.choice(["uint8", "uint8", "uint8", "uint16", "float16", "float32", "float64"]))
    noise = make(dtype, shape, seed).frames
    ramp = np.arange(np.prod(shape)).reshape(shape) % 251
    for content in (noise, np.zeros(shape), np.ones(shape), noise[:, :1, :1], ramp, noise > noise.mean()):
        clip = Clip(np.broadcast_to(content, shape).astype(dtype), None, ranges_of(dtype)[0])
        assert_same(back(clip), clip)


def test_frames_are_plain_webp_files() -> None:
    """Each member is an image that any viewer shows."""
    clip = make()
    _, data = encode(clip)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["0000.webp", "0001.webp", "0002.webp"]
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        image = Image.open(io.BytesIO(archive.read("0001.webp")))
        np.testing.assert_array_equal(np.asarray(image), clip.frame(1))


@pytest.mark.parametrize("shape", [(1, 2, 16383, 3), (1, 16384, 2, 3), (2, 1, 16384, 1)])
def test_sides_beyond_webp(shape: tuple[int, ...]) -> None:
    """A side over 16383 pixels is stored as arrays, one of 16383 as an image."""
    clip = make(shape=shape)
    assert_same(back(clip), clip)
    assert encode(clip)[0] == ("webp" if max(shape) == 16383 else "zip")


def test_pillows_pixel_limit_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A golden above Image.MAX_IMAGE_PIXELS is read, since its size is checked against its facts."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert_same(back(make(shape=(1, 17, 23, 3))), make(shape=(1, 17, 23, 3)))
    assert Image.MAX_IMAGE_PIXELS == 10


def test_smooth_floats_get_smaller() -> None:
    """Byte planes deflate better than half of what a clip of bfloat16 precision takes."""
    row, column = np.mgrid[:96, :96]
    wave = np.sin(row / 17) * np.cos(column / 23) / 2 + 0.5
    tensor = torch.from_numpy(wave).bfloat16().float().numpy()
    clip = Clip(np.ascontiguousarray(np.broadcast_to(tensor[None, ..., None], (2, 96, 96, 3))), None, (0, 1))
    assert len(encode(clip)[1]) < clip.frames.nbytes * 0.2


def test_a_path_can_be_decoded(tmp_path: Path) -> None:
    """decode() takes a path as well as bytes."""
    clip = make()
    extension, data = encode(clip)
    path = tmp_path / f"x.{extension}"
    path.write_bytes(data)
    assert_same(decode(path, extension, clip.facts()), clip)
    assert_same(decode(str(path), extension, clip.facts()), clip)


def test_an_encoder_that_loses_bits_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was encoded is decoded and compared before anybody can store it."""

    def lossy(frame: npt.NDArray[np.uint8]) -> bytes:
        return encode_webp(frame ^ np.uint8(1))

    monkeypatch.setattr("seedpin.clip.codec.encode_webp", lossy)
    with pytest.raises(GoldenError, match="did not come back bit for bit"):
        encode(make())


def test_goldens_and_files_need_no_torch(tmp_path: Path) -> None:
    """Reading images and goldens imports no torch, so that the command line stays quick."""
    clip = make()
    path = tmp_path / "a.zip"
    path.write_bytes(encode(clip)[1])
    Image.fromarray(clip.frame(0)).save(tmp_path / "a.png")
    code = (
        "import sys; from seedpin.clip.adapt import as_clip; from seedpin.clip.codec import decode, encode; "
        "from seedpin.clip.digest import frame_digests; from seedpin.clip.suspect import suspicions; "
        f"clip = decode({str(path)!r}, 'zip', {clip.facts()!r}); encode(as_clip(clip)); suspicions(clip); "
        f"frame_digests(as_clip({str(tmp_path / 'a.png')!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- damage ----------------------------------------------------------------------------------------------


def refused(source: Any, extension: str, facts: Mapping[str, object]) -> DamagedGoldenError:
    with pytest.raises(DamagedGoldenError) as caught:
        decode(source, extension, facts)
    assert caught.value.hint
    return caught.value


CLIPS = {
    "webp": make(shape=(1, 17, 23, 3)),
    "zip of webp": make(),
    "zip of npy": make("float32"),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_an_lfs_pointer_is_told_apart(kind: str) -> None:
    """A pointer instead of the file says what to type."""
    error = refused(POINTER, kind[:4].strip(), CLIPS[kind].facts())
    assert "Git LFS pointer" in error.what
    assert error.hint == "git lfs pull"


@pytest.mark.parametrize("kind", CLIPS)
def test_truncation_is_noticed_everywhere(kind: str) -> None:
    """No prefix of a golden passes for the golden, nor does one with bytes behind it."""
    extension, data = encode(CLIPS[kind])
    for length in [*range(0, len(data), max(1, len(data) // 200)), len(data) - 1]:
        refused(data[:length], extension, CLIPS[kind].facts())
    if kind == "webp":
        refused(data + b"x", extension, CLIPS[kind].facts())


@pytest.mark.parametrize("kind", CLIPS)
def test_flipped_bits_never_escape(kind: str) -> None:
    """A flipped bit gives DamagedGoldenError or other pixels (which digests catch), never another error."""
    clip = CLIPS[kind]
    extension, data = encode(clip)
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(300):
        broken = bytearray(data)
        broken[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        try:
            decode(bytes(broken), extension, clip.facts())
        except DamagedGoldenError:
            caught += 1
    assert caught > (10 if kind == "webp" else 100)  # zip has checksums, WebP has none


@pytest.mark.parametrize("change", ["frames", "height", "width", "channels", "dtype"])
@pytest.mark.parametrize("kind", CLIPS)
def test_facts_that_do_not_fit_are_damage(kind: str, change: str) -> None:
    """A file that holds something else than its facts say is refused, never reshaped."""
    extension, data = encode(CLIPS[kind])
    facts: dict[str, Any] = dict(CLIPS[kind].facts())
    facts[change] = {"channels": 4, "dtype": "float64"}.get(change) or int(str(facts[change])) + 1
    if change == "channels" and "webp" in kind:
        facts[change] = 1  # four would be right for RGB that is opaque
    refused(data, extension, facts)


@pytest.mark.parametrize(
    "facts",
    [
        {"frames": -1},
        {"frames": True},
        {"height": "17"},
        {"width": 10**12},
        {"channels": 2},
        {"dtype": "object"},
        {"dtype": None},
        {"fps": "8"},
        {"fps": -8},
    ],
)
def test_hostile_facts_are_refused(facts: dict[str, Any]) -> None:
    """Facts come from a file, too: none is trusted to be of its type or of a sane size."""
    extension, data = encode(make())
    refused(data, extension, make().facts() | facts)


def hostile(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return target.getvalue()


def test_member_names_are_fixed() -> None:
    """Extra, renamed, reordered and escaping members are refused by name."""
    clip = make()
    with zipfile.ZipFile(io.BytesIO(encode(clip)[1])) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    assert decode(hostile(members), "zip", clip.facts()).num_frames == 3
    assert "4 members" in refused(hostile([*members, ("x", b"")]), "zip", clip.facts()).what
    assert "2 members" in refused(hostile(members[:2]), "zip", clip.facts()).what
    assert "'0002.webp'" in refused(hostile(members[::-1]), "zip", clip.facts()).what
    escaping = [("../0000.webp", members[0][1]), *members[1:]]
    assert "'../0000.webp'" in refused(hostile(escaping), "zip", clip.facts()).what
    assert "another way" in refused(hostile(members, zipfile.ZIP_DEFLATED), "zip", clip.facts()).what


def test_bombs_are_refused_before_they_grow() -> None:
    """A member that claims more than a frame, or a header that does, is refused unread."""
    clip = make("float32", (1, 17, 23, 3))
    bomb = hostile([("0000.npy", bytes(1 << 24))], zipfile.ZIP_DEFLATED)
    assert "claims 16777216 bytes" in refused(bomb, "zip", clip.facts()).what
    huge = encode(Clip(np.zeros((1, 16000, 16000, 1), np.uint8)[:, :4000, :4000]))[1]
    assert "is 4000x4000, its facts say 17x23" in refused(huge, "webp", CLIPS["webp"].facts()).what


def test_pickles_and_other_arrays_are_refused() -> None:
    """An npy member of objects is never unpickled, one of another shape never read."""
    clip = make("float32", (1, 17, 23, 3))
    for array in (np.array([{"a": 1}]), clip.frame(0), np.zeros((4, 17, 23, 3), np.int8)):
        member = io.BytesIO()
        np.save(member, array, allow_pickle=True)
        data = hostile([("0000.npy", member.getvalue())], zipfile.ZIP_DEFLATED)
        assert "0000.npy" in refused(data, "zip", clip.facts()).what


def test_only_lossless_still_images_are_taken() -> None:
    """A lossy, animated or foreign image is refused even where its size fits."""
    clip = CLIPS["webp"]
    picture = Image.fromarray(clip.frame(0))
    for options in (
        {"format": "WEBP", "quality": 80},
        {"format": "WEBP", "save_all": True, "append_images": [picture.rotate(90)], "lossless": True},
        {"format": "PNG"},
    ):
        target = io.BytesIO()
        picture.save(target, **options)
        assert "not a" in refused(target.getvalue(), "webp", clip.facts()).what


def test_colours_in_a_grey_clip_are_damage() -> None:
    """Grey is stored as RGB with three equal channels, and this is checked."""
    _, data = encode(CLIPS["webp"])
    error = refused(data, "webp", CLIPS["webp"].facts() | {"channels": 1})
    assert "has colours" in error.what


def test_a_missing_file_or_extension_is_damage(tmp_path: Path) -> None:
    """Absent, empty and unreadable files are named."""
    assert "cannot be read" in refused(tmp_path / "no.zip", "zip", make().facts()).what
    assert "cannot be read" in refused(tmp_path, "zip", make().facts()).what
    assert "is empty" in refused(b"", "zip", make().facts()).what
    assert "extension 'exe'" in refused(encode(make())[1], "exe", make().facts()).what


# -- tensors ---------------------------------------------------------------------------------------------


def test_tensors_come_back_bit_for_bit() -> None:
    """Latents of any common dtype and stride keep their bits, NaN included; order does not matter."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(2, 4, 6, 8, generator=generator)
    tensors = {
        "latents": base,
        "view": base.permute(3, 2, 1, 0),
        "alias": base,
        "bf16": base.bfloat16(),
        "half": base.half(),
        "ids": torch.arange(7),
        "mask": base > 0,
        "scalar": torch.tensor(3.5),
        "nan": torch.tensor([float("nan"), -0.0]),
        "empty": torch.zeros(0, 3),
        "grad": base.clone().requires_grad_(),
    }
    data = encode_tensors(tensors)
    assert encode_tensors(dict(reversed(tensors.items()))) == data
    found = decode_tensors(data)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert (
            found[name].numpy(force=True).tobytes() == tensor.contiguous().numpy(force=True).tobytes()
            if (tensor.dtype != torch.bfloat16)
            else torch.equal(found[name], tensor)
        )


def test_tensors_that_cannot_be_kept_are_refused() -> None:
    """Nothing at all, sparse and foreign values are named."""
    with pytest.raises(EmptyClipError):
        encode_tensors({})
    for thing in (torch.zeros(3).to_sparse(), torch.zeros(3, device="meta"), 3):
        with pytest.raises(UnsupportedClipError, match="'x'"):
            encode_tensors({"x": thing})  # type: ignore[dict-item]


def test_damaged_tensors_are_refused(tmp_path: Path) -> None:
    """Truncated safetensors, pointers and absent files are DamagedGoldenError."""
    data = encode_tensors({"x": torch.arange(100)})
    for broken in (data[:-1], data[:4], b"", b"\xff" * 64, POINTER, tmp_path / "no.safetensors"):
        with pytest.raises(DamagedGoldenError):
            decode_tensors(broken)
