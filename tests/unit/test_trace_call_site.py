"""Call sites: paths that say which file is meant, without a machine's own folders."""

from __future__ import annotations

from pathlib import Path

from seedpin.trace.record.call_site import _shorten


def test_a_site_outside_of_site_packages_keeps_its_package(tmp_path: Path) -> None:
    """A file is named from its outermost package on; without a package by its last two parts."""
    inner = tmp_path / "checkout" / "studio" / "video"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    assert _shorten(str(inner / "sampler.py")) == str(Path("studio/video/sampler.py"))
    assert _shorten(str(tmp_path / "checkout" / "script.py")) == "checkout/script.py"
