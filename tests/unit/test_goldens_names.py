"""File names of goldens."""

from __future__ import annotations

import pytest

from seedpin.goldens.names import (
    check_stem,
    decode_component,
    encode_component,
    golden_folder,
    split_node_id,
    split_stem,
)

NAMES = [
    "test_plain",
    "test_x[wan-480p]",
    "test_x[Wan-480P]",
    "a/b",
    "..",
    ".",
    "a:b*c?d<e>f|g",
    "back\\slash",
    "\u7ea2\u7403",
    "caf\u00e9",
    "cafe\u0301",
    "~tilde~",
    "%41",
    "trailing.",
    " space ",
    "con",
    "NUL.txt",
    "",
    "%",
    "emoji\U0001f534",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_encoded_name_decodes_to_itself(name: str) -> None:
    """Every name that is not shortened can be read back from its file name."""
    assert decode_component(encode_component(name)) == name


def test_encoded_names_stay_distinct_where_case_is_ignored() -> None:
    """No two names share a file, even on a file system that ignores case."""
    names = [*NAMES, "TestA", "testa", "TESTA", "x" * 300, "X" + "x" * 299, "x" * 299 + "y"]
    assert len({encode_component(name).casefold() for name in names}) == len(names)


@pytest.mark.parametrize("name", [*NAMES, "x" * 300, "\u7ea2" * 200])
def test_an_encoded_name_is_one_safe_path_component(name: str) -> None:
    """No encoded name can climb out of its folder or break a file system's rules."""
    encoded = encode_component(name)
    assert 0 < len(encoded.encode()) <= 120
    assert encoded not in {".", ".."}
    assert not set(encoded) & set('/\\:*?"<>|')
    assert encoded.isascii()
    assert encoded[-1] not in ". "


def test_a_shortened_name_is_not_decoded_but_keeps_its_beginning() -> None:
    """A name of 300 characters is cut, keeps its readable beginning, and its manifest tells the rest."""
    encoded = encode_component("test_" + "long_" * 60)
    assert encoded.startswith("test_long_long_")
    assert decode_component(encoded) is None


def test_parameters_are_not_split() -> None:
    """Slashes and colons in a parameter's id stay within the test's own folder."""
    assert split_node_id("tests/test_a.py::TestB::test_c[x/y::../z]") == (
        "tests",
        "test_a.py",
        "TestB",
        "test_c[x/y::../z]",
    )
    assert golden_folder("tests/test_a.py::test_c[../../etc]") == "tests/test_a.py/test_c[..%2f..%2fetc]"


def test_the_stem_splits_at_its_first_dot() -> None:
    """A check's name may hold dots; the device class still reads back."""
    assert split_stem(check_stem("v1.5", "cuda-sm90") + ".json") == ("v1%2e5", "cuda-sm90")
