"""Fixtures of the integration tests."""

from __future__ import annotations

from importlib import import_module

import pytest

from support.net import NET, TEST
from support.project import Project

# pytester forgets what a run in this process imported; these must not be imported twice. torch imports
# torch._dynamo at the first seeding or compiling, and that registers operators, once a process.
for name in (
    "torch",
    "torch._dynamo",
    "seedpin.checking.gate",
    "seedpin.pinning.model",
    "seedpin.checking.calls",
):
    import_module(name)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)


@pytest.fixture
def net(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.write({"net.py": NET, "test_net.py": TEST})
    return project
