"""Zip files with a fixed list of members: the same input gives the same bytes, and reading is bounded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from seedpin.errors import DamagedGoldenError

_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(members: Iterable[tuple[str, bytes]], *, deflate: bool) -> bytes:
    """A zip of ``members`` in their order, without times or other traces of where it was made."""
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = method
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, compresslevel=6 if deflate else None)
    return target.getvalue()


def unpack(data: bytes, names: Sequence[str], largest: int, *, deflate: bool, what: str) -> Iterator[bytes]:
    """The members of a zip, one at a time, if it holds exactly ``names`` in this order.

    No member may be longer than ``largest`` bytes, whatever the zip claims.
    Raises DamagedGoldenError for another list of members, and what zipfile raises for damaged bytes.
    """
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with zipfile.ZipFile(BytesIO(data)) as archive:
        infos = archive.infolist()
        if len(infos) != len(names):
            raise DamagedGoldenError(f"{what} holds {len(infos)} members, expected are {len(names)}")
        for info, name in zip(infos, names, strict=True):
            if info.filename != name:
                raise DamagedGoldenError(f"{what} holds a member {info.filename!r}, expected is {name!r}")
            if info.compress_type != method or info.flag_bits & 0x1:
                raise DamagedGoldenError(f"{what}: {name} is stored in another way than seedpin writes it")
            if info.file_size > largest:
                raise DamagedGoldenError(
                    f"{what}: {name} claims {info.file_size} bytes, a frame has at most {largest}"
                )
        for info in infos:
            with archive.open(info) as member:
                yield member.read(largest + 1)
