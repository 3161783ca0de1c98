"""pytest in another work tree, whose code is to be imported. Started with ``COMMAND``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from seedpin.inner import InnerTree, read_request
from seedpin.process import REQUEST_VARIABLE, python_code
from seedpin.revisions.import_paths import editable_mappings, is_project_file

COMMAND = tuple(python_code("from seedpin.revisions.inner_pytest import main; main()"))


def main() -> None:
    """Takes this process off the other tree's import paths, then runs pytest."""
    tree = read_request(Path(os.environ[REQUEST_VARIABLE])).tree
    assert tree is not None
    write_import_paths(tree)
    import pytest

    sys.exit(pytest.console_main())


def write_import_paths(tree: InnerTree) -> None:
    """Removes what leads to the other tree from ``sys.path``, and redirects editable installs.

    What comes later (a conftest's ``sys.path.insert``, a ``.pth`` file read by an xdist worker) is not
    prevented: the guard at the session's end finds modules that came from there.
    """
    here = tree.here
    kept = [entry for entry in sys.path if not is_project_file(Path(entry or ".").resolve(), here)]
    sys.path[:] = [str(Path.cwd()), *kept] if tree.from_folder else kept
    for _, mapping in editable_mappings(sys.modules):
        for name, target in mapping.items():
            path = Path(target).resolve()
            if is_project_file(path, here):
                mapping[name] = str(tree.tree / path.relative_to(here))


if __name__ == "__main__":
    main()
