"""Code or environment: from the golden, the minting commit run here and now, and what here gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedpin.errors import RevisionError
from seedpin.git import git, resolve_commit, short, succeeds
from seedpin.goldens.manifest import Provenance
from seedpin.run.result import Attribution

RECORDED = "recorded in the golden"


@dataclass(frozen=True, slots=True)
class MintingCommit:
    """The commit whose code gave a golden, and how it is known; ``commit`` is "" where it is not."""

    commit: str
    how: str


def minting_commit(top: Path, manifest: Path, updated: Provenance) -> MintingCommit:
    """The commit whose code gave a golden: the recorded one, or the one that committed the golden."""
    recorded = updated.commit or ""
    if not recorded:
        return committing_commit(top, manifest, "its manifest records no commit")
    if updated.dirty:
        return committing_commit(
            top, manifest, f"it was minted with uncommitted changes on {short(recorded)}"
        )
    try:
        return MintingCommit(resolve_commit(top, recorded), RECORDED)
    except RevisionError:
        return committing_commit(
            top, manifest, f"the recorded commit {short(recorded)} is not in this repository"
        )


def committing_commit(top: Path, manifest: Path, why: str) -> MintingCommit:
    """The commit that brought the golden into the repository: code and golden are usually committed together.

    ``why`` says why it is asked for.
    """
    if not manifest.is_relative_to(top) or not succeeds(top, "ls-files", "--error-unmatch", str(manifest)):
        return MintingCommit("", f"{why}, and the golden is not committed")
    if not succeeds(top, "diff", "--quiet", "HEAD", "--", str(manifest)):
        return MintingCommit("", f"{why}, and the golden differs from the committed one")
    commit = git(top, "log", "-1", "--format=%H", "--", str(manifest))
    if not commit:
        return MintingCommit("", f"{why}, and no commit holds the golden")
    return MintingCommit(commit, f"which committed the golden; {why}")


def conclude(
    minting: MintingCommit, golden: str, there: str | None, here: str, problem: str = ""
) -> Attribution:
    """What three digests tell. ``there`` is None where the minting commit gave none; ``problem`` says why."""
    if not minting.commit or there is None:
        why = problem or minting.how
        return Attribution(
            "unknown", f"unknown: {why}", minting.commit, minting.how, golden=golden, here=here
        )
    name = f"{short(minting.commit)} ({minting.how})"
    if there == here:
        conclusion = "environment"
        sentence = (
            f"code innocent: the environment moves these bits; {name} gives the same clip in this "
            "environment as the code here"
        )
    elif there == golden:
        conclusion = "code"
        sentence = (
            f"code changed: {name} still gives the golden in this environment, and the code here does not"
        )
    else:
        conclusion = "both"
        sentence = (
            f"both: {name} gives another clip than the golden in this environment, and the code here a third"
        )
    return Attribution(conclusion, sentence, minting.commit, minting.how, golden, there, here)
