"""For GitHub Actions: a Markdown summary of the run, and annotations at the tests' lines."""

from __future__ import annotations

from collections.abc import Sequence

from seedpin.environment.measured import in_words
from seedpin.printing import printable
from seedpin.report.terminal import format_margins
from seedpin.run.message import format_metrics, other_cpu, verdict_words
from seedpin.run.result import CheckResult, by_severity

MOST_ROWS = 50
MOST_ANNOTATIONS = 10  # GitHub shows no more per step


def summary(results: Sequence[CheckResult], *, run_folder: str, contact: str | None = None) -> str:
    """Markdown: how many passed, what was not identical, what changed around it, what to type."""
    failing = [result for result in results if not result.passed]
    rows = by_severity([result for result in results if result.verdict != "identical"])
    head = "all passed" if not failing else f"{len(failing)} did not pass"
    lines = [f"## seedpin: {len(results)} check(s), {head}", ""]
    if not rows:
        return "\n".join(lines)
    lines += ["| verdict | check | device class | what | where |", "| --- | --- | --- | --- | --- |"]
    for result in rows[:MOST_ROWS]:
        what = (
            format_margins(result.margins, result.metrics)
            or format_metrics(result.metrics)
            or " ".join(result.reasons)
        )
        where = result.divergence.sentence if result.divergence else ""
        cells = [_cell(cell) for cell in (verdict_words(result.verdict), result.device_class, what, where)]
        cells.insert(1, _code(result.id))
        lines.append(f"| {' | '.join(cells)} |")
    if len(rows) > MOST_ROWS:
        lines.append(f"\n{len(rows) - MOST_ROWS} more in the run's results.")
    changes = {
        (in_words(change.key), change.golden, change.here): None
        for result in failing
        for change in result.environment_changes
        if change.moves_bits or other_cpu(change)
    }
    if changes:
        lines += ["", "### Environment", "", "| key | golden | here |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(_cell(str(cell)) for cell in change)} |" for change in changes]
    if failing:
        lines += ["", f"What was obtained lies in `{run_folder}`; keep that folder as an artifact."]
        if contact is not None:
            lines.append(f"Worst frames, golden next to obtained: `{contact}`.")
        lines += ["", "Accept from any machine, with the artifact downloaded:", "", "```console"]
        lines += ['$ seedpin accept ARTIFACT.zip -k NAME --reason "why"', "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """A table's cell that is text and nothing else: no link, picture, tag or further cell."""
    shown = printable(text.replace("\n", " ")).replace("<", "&lt;").replace("|", "\\|")
    return shown.replace("[", "\\[").replace("`", "\\`")


def _code(text: str) -> str:
    """A name as code within a cell."""
    shown = printable(text).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`"


def workflow_commands(results: Sequence[CheckResult]) -> list[str]:
    """Annotations, one for each failing check, worst first."""
    failing = by_severity([result for result in results if not result.passed])
    return [_annotation(result) for result in failing[:MOST_ANNOTATIONS]]


def _annotation(result: CheckResult) -> str:
    path, _, line = result.location.rpartition(":")
    title = f"seedpin: {verdict_words(result.verdict)}"
    parts = (("file", path), ("line", line), ("title", title))
    place = ",".join(f"{key}={_property(value)}" for key, value in parts if value)
    return f"::error {place}::{_data(result.message)}"


def _data(text: str) -> str:
    return printable(text, lines=True).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
