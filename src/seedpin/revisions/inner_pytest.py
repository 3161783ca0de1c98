"""pytest in another work tree, whose code is to be imported. Started with ``COMMAND``."""

from __future__ import annotations

import sys
from pathlib import Path

from seedpin.process import python_code
from seedpin.revisions.import_paths import editable_mappings, is_project_file
from seedpin.revisions.inner_request import InnerRequest, read_request

COMMAND = tuple(python_code("from seedpin.revisions.inner_pytest import main; main()"))


def main() -> None:
    """Takes this process off the other tree's import paths, then runs pytest."""
    write_import_paths(read_request())
    import pytest

    sys.exit(pytest.console_main())


def write_import_paths(request: InnerRequest) -> None:
    """Removes what leads to the other tree from ``sys.path``, and redirects editable installs.

    What comes later (a conftest's ``sys.path.insert``, a ``.pth`` file read by an xdist worker) is not
    prevented: the guard at the session's end finds modules that came from there.
    """
    here, tree = Path(request.here), Path(request.tree)
    kept = [entry for entry in sys.path if not is_project_file(Path(entry or ".").resolve(), here)]
    sys.path[:] = [str(Path.cwd()), *kept] if request.from_folder else kept
    for _, mapping in editable_mappings(sys.modules):
        for name, target in mapping.items():
            path = Path(target).resolve()
            if is_project_file(path, here):
                mapping[name] = str(tree / path.relative_to(here))


if __name__ == "__main__":
    main()
