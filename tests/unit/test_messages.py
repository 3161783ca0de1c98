"""Every message can be looked up."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from seedpin import errors
from seedpin.cli import cli
from seedpin.cli.explain import read_messages
from seedpin.run.result import SEVERITY


def all_errors(base: type[errors.SeedpinError]) -> list[type[errors.SeedpinError]]:
    return [base, *(found for child in base.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("cause", all_errors(errors.SeedpinError), ids=lambda cause: cause.__name__)
def test_every_error_has_a_slug_that_explain_knows(cause: type[errors.SeedpinError]) -> None:
    """An error's last line names a command that prints what the error means."""
    assert cause.slug in read_messages()
    text = str(cause("it broke at x", hint="type y"))
    assert text == f"it broke at x\n  next: type y\n  more: seedpin explain {cause.slug}"


def test_no_two_errors_share_a_slug() -> None:
    """A slug leads to one cause."""
    slugs = [cause.slug for cause in all_errors(errors.SeedpinError)]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("verdict", SEVERITY)
def test_every_verdict_is_explained(verdict: str) -> None:
    """`seedpin explain VERDICT` works for all verdicts."""
    done = CliRunner().invoke(cli, ["explain", verdict])
    assert done.exit_code == 0
    assert done.output.startswith(verdict)


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    """The drawing in errors.py names every error class."""
    for cause in all_errors(errors.SeedpinError):
        if cause.__module__ == errors.__name__:
            assert cause.__name__ in str(errors.__doc__)
