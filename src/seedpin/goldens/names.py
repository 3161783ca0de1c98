"""File names of goldens: readable, reversible, and distinct on every file system.

A component of a test's name becomes one path component:

- characters other than ASCII letters, digits and ``_-.[]=,+@ `` are percent-encoded as UTF-8 bytes;
- so are the dots of ``.`` and ``..``, a leading or final dot or space, and the first letter of a name
  that Windows reserves;
- upper-case letters stay, but a suffix ``~<hex>`` tells which letters are upper case, so that
  ``TestA`` and ``testa`` differ on file systems that ignore case;
- more than 100 characters are cut to 80, then ``~~`` and 16 hex digits of the SHA-256 of the name:
  the full name stands in the manifest.

A payload's name holds the beginning of its content's digest, so that no payload ever takes another's place.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from urllib.parse import unquote

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.[]=,+@ ")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 100
_KEPT = 80
_DIGITS = 12
_PAYLOAD = re.compile(rf"[0-9a-f]{{{_DIGITS}}}\.[a-z0-9]{{2,16}}")
_FIRST_PAYLOAD = re.compile(r"webp|zip|safetensors|trace")  # names of format 1


def _escape(char: str) -> str:
    return "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def encode_component(name: str, *, dots: bool = True) -> str:
    """``name`` as one path component (see the module's text). With ``dots=False`` every dot is encoded."""
    if not name:
        return "%"
    safe = _SAFE if dots else _SAFE - {"."}
    text = "".join(char if char in safe else _escape(char) for char in name)
    if text[0] in ". ":
        text = _escape(text[0]) + text[1:]
    if text[-1] in ". ":
        text = text[:-1] + _escape(text[-1])
    if _RESERVED.fullmatch(text):
        text = _escape(text[0]) + text[1:]
    mask = sum(1 << index for index, char in enumerate(name) if "A" <= char <= "Z")
    if mask:
        text += f"~{mask:x}"
    if len(text) > _LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        text = re.sub(r"%[0-9a-f]?$", "", text[:_KEPT]).rstrip(". ") + f"~~{digest}"
    return text


def decode_component(text: str) -> str | None:
    """The name that ``encode_component`` was given; None for a shortened one (its manifest tells)."""
    if "~~" in text:
        return None
    if text == "%":
        return ""
    return unquote(text.partition("~")[0], errors="surrogateescape")


def split_node_id(node_id: str) -> tuple[str, ...]:
    """``tests/test_a.py::TestB::test_c[x/y]`` as ``("tests", "test_a.py", "TestB", "test_c[x/y]")``.

    A parametrised name may hold ``/`` and ``::``; only what stands before its ``[`` is split.
    """
    head, bracket, parameters = node_id.partition("[")
    path, *names = head.split("::")
    if bracket:
        if names:
            names[-1] += bracket + parameters
        else:
            path += bracket + parameters
    return (*path.split("/"), *names)


def golden_folder(node_id: str) -> str:
    """Folder of a test's goldens, relative to the golden folder, with ``/``."""
    return "/".join(encode_component(part) for part in split_node_id(node_id))


def check_stem(check: str, device_class: str) -> str:
    """``<check name>.<device class>``, the common stem of a golden's files."""
    return f"{encode_component(check, dots=False)}.{encode_component(device_class, dots=False)}"


def key_of_stem(stem: str) -> tuple[str, str] | None:
    """Test and check whose golden lies at ``stem``, below the golden folder; None where names were shortened.

    A test's file is taken to be the first component that ends in ``.py``.
    """
    *folders, name = stem.split("/")
    parts = [decode_component(folder) for folder in folders]
    check = decode_component(split_stem(name)[0])
    files = [index for index, part in enumerate(parts) if part is not None and part.endswith(".py")]
    known = [part for part in parts if part is not None]
    if check is None or len(known) != len(parts) or not files or files[0] + 1 == len(parts):
        return None
    end = files[0] + 1
    return "::".join(("/".join(known[:end]), *known[end:])), check


def is_below(stem: str, node_id: str) -> bool:
    """Whether a golden lies where those of a folder, file, class or test (with all of its parameters) do."""
    *parts, last = split_node_id(node_id)
    folders = stem.split("/")[:-1]
    if len(folders) <= len(parts) or folders[: len(parts)] != [encode_component(part) for part in parts]:
        return False
    folder = folders[len(parts)]
    return folder == encode_component(last) or (decode_component(folder) or "").startswith(f"{last}[")


def payload_name(stem: str, digest: str, extension: str) -> str:
    """``<stem>.<first digits of its digest>.<extension>``; ``digest`` is ``sha256:`` of the file's bytes."""
    return f"{stem}.{digest.partition(':')[2][:_DIGITS]}.{extension}"


def is_payload(name: str, stem: str) -> bool:
    """Whether ``name`` is that of a payload of the golden ``stem``, of any format."""
    if not name.startswith(f"{stem}."):
        return False
    rest = name[len(stem) + 1 :]
    return bool(_PAYLOAD.fullmatch(rest) or _FIRST_PAYLOAD.fullmatch(rest))


def move_command(old: tuple[str, str], new: tuple[str, str]) -> str:
    """What to type so that the golden of a test and check follows them to another test or check."""
    (test, check), (new_test, new_check) = old, new
    if check != new_check:
        test, new_test = f"{test}::{check}", f"{new_test}::{new_check}"
    return f"seedpin mv {shlex.quote(test)} {shlex.quote(new_test)}"


def split_stem(stem: str) -> tuple[str, str]:
    """The encoded check name and device class of a golden's file name."""
    check, _, rest = stem.partition(".")
    return check, rest.partition(".")[0]
