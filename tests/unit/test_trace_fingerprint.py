"""Fingerprints of tensors."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from seedpin.trace.model import Fingerprint
from seedpin.trace.record.device import device_hash
from seedpin.trace.record.fingerprint import Fingerprints
from seedpin.trace.record.sketch import MODULE_SAMPLES, STAGE_SAMPLES

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn),
]


def fingerprint(tensor: torch.Tensor, *, device_path: bool = False, samples: int = 32) -> Fingerprint:
    table = Fingerprints(device_path=device_path)
    slot = table.tensor(tensor, samples)
    assert not table.unread
    return table.resolve()[slot]


@pytest.mark.parametrize("device_path", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_flipped_bit_and_a_swap_are_seen(dtype: torch.dtype, device_path: bool) -> None:
    """One changed element changes the hash, and so do two elements that change places, in every dtype."""
    tensor = (torch.arange(60).reshape(3, 4, 5) % 7 % 2 if dtype is torch.bool else torch.arange(60)).reshape(
        3, 4, 5
    )
    tensor = tensor.to(dtype)
    samples = 0 if dtype is torch.float8_e4m3fn else 32
    first = fingerprint(tensor, device_path=device_path, samples=samples)
    assert first == fingerprint(tensor.clone(), device_path=device_path, samples=samples)
    bits = tensor.clone()
    view = torch.view_as_real(bits) if bits.is_complex() else bits
    view.view(torch.uint8).reshape(-1)[17] ^= 1
    assert fingerprint(bits, device_path=device_path, samples=samples).hash != first.hash
    swapped = tensor.clone()
    swapped[0, 0, 0], swapped[0, 0, 1] = tensor[0, 0, 1].clone(), tensor[0, 0, 0].clone()
    assert fingerprint(swapped, device_path=device_path, samples=samples).hash != first.hash


@pytest.mark.parametrize("device_path", [False, True])
def test_layout_in_memory_does_not_matter(device_path: bool) -> None:
    """A transposed, sliced or channels-last tensor has the fingerprint of its contiguous copy."""
    base = torch.randn(2, 3, 8, 8)
    for tensor in (base.transpose(1, 2), base[:, :, ::2], base.to(memory_format=torch.channels_last)):
        same = tensor.clone(memory_format=torch.contiguous_format)
        assert fingerprint(tensor, device_path=device_path) == fingerprint(same, device_path=device_path)


def test_views_are_read_in_logical_order() -> None:
    """Expanded, offset, conjugated and negated views have the fingerprint of what they show."""
    base = torch.arange(24.0).reshape(2, 3, 4)
    conjugated = torch.complex(base, base + 1).conj()
    for tensor in (base[:1].expand(5, 3, 4), base[1:, 1:], base[0, 0, 2], conjugated, conjugated.imag):
        same = tensor.clone(memory_format=torch.contiguous_format).resolve_conj().resolve_neg()
        assert fingerprint(tensor) == fingerprint(same)
        assert fingerprint(tensor).sketch == fingerprint(same).sketch
    shifted = fingerprint(base[:1].expand(5, 3, 4) + 1)
    assert shifted != fingerprint(base[:1].expand(5, 3, 4))


def test_sketches_of_many_tensors_are_kept_small() -> None:
    """Past a fixed number of bytes only the sampled elements of a tensor are held."""
    table = Fingerprints()
    for index in range(400):
        table.tensor(torch.full((64, 256), float(index)), STAGE_SAMPLES)
    assert sum(taken.nbytes for taken, *_ in table._gathered.values()) < 10 << 20
    assert table.resolve()[399].sketch.mean == 399.0  # type: ignore[union-attr]


def test_dtype_and_shape_count() -> None:
    """The same bytes under another shape or dtype are another fingerprint."""
    tensor = torch.zeros(4, 4)
    assert fingerprint(tensor) != fingerprint(tensor.reshape(2, 8))
    assert fingerprint(tensor) != fingerprint(tensor.view(torch.int32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int32])
@pytest.mark.parametrize("samples", [STAGE_SAMPLES, MODULE_SAMPLES])
def test_device_path_gives_the_sketch_of_the_host(dtype: torch.dtype, samples: int) -> None:
    """Both paths look at the same elements and agree on what they say."""
    tensor = (100 * torch.randn(7, 1000, generator=torch.Generator().manual_seed(0))).to(dtype)
    host = fingerprint(tensor, samples=samples).sketch
    device = fingerprint(tensor, device_path=True, samples=samples).sketch
    assert host is not None
    assert device is not None
    assert host.samples == device.samples
    assert len(host.samples) == samples
    for name in ("norm", "mean", "abs_max", "dot"):
        assert getattr(host, name) == pytest.approx(getattr(device, name), rel=1e-4, abs=1e-2)


def test_a_lone_outlier_is_in_the_sketch() -> None:
    """A stage's sketch holds the largest magnitude of all elements, not of the sampled ones."""
    tensor = torch.zeros(100_000)
    tensor[4567] = -9.0
    assert (sketch := fingerprint(tensor).sketch) is not None
    assert sketch.abs_max == 9.0


def test_device_hash_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash does not depend on the size of the pieces that bound its memory."""
    tensor = torch.randn(1000)
    whole = device_hash(tensor)
    monkeypatch.setattr("seedpin.trace.record.device._CHUNK", 64)
    assert torch.equal(device_hash(tensor), whole)


def test_an_edit_in_place_is_seen() -> None:
    """The same tensor object after an edit in place, also through a view, is hashed again."""
    table = Fingerprints()
    tensor = torch.zeros(10)
    first = table.tensor(tensor)
    assert table.tensor(tensor) == first
    tensor[3:][0] = 1.0
    assert table.tensor(tensor) != first


def test_no_tensor_is_kept_alive() -> None:
    """Fingerprints hold no reference to what they saw."""
    table = Fingerprints()
    tensor = torch.zeros(10)
    table.tensor(tensor, 32)
    alive = weakref.ref(tensor)
    del tensor
    gc.collect()
    assert alive() is None


@pytest.mark.filterwarnings("error")
def test_odd_content_raises_and_warns_nothing() -> None:
    """NaN, infinities, huge, empty, scalar, sparse, meta and object content never disturbs the model."""
    table = Fingerprints()
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 3e38, 3e38])
    for tensor in (odd, odd.double() * 1e100, torch.zeros(0), torch.tensor(3.0), torch.eye(3).to_sparse()):
        table.tensor(tensor, 32)
    assert not table.unread
    table.tensor(torch.zeros(2, device="meta"), 32)
    table.array(np.array([object()]))
    assert dict(table.unread) == {"on meta: it has no content": 1, "an array of objects": 1}
    assert (table.resolve()[-1].hash, table.resolve()[-1].unread) == ("", "an array of objects")


def test_inference_tensors_are_hashed_each_time() -> None:
    """A tensor made under inference_mode has no version counter, so nothing is assumed of it."""
    table = Fingerprints()
    with torch.inference_mode():
        tensor = torch.zeros(10)
        first = table.tensor(tensor)
        tensor[0] = 1
        assert table.tensor(tensor) != first
