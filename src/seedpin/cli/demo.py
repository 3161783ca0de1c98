"""``seedpin demo``: the gate at work on the embedded model, in a folder that stays to be looked at."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import click

from seedpin.errors import SeedpinError, UsageError
from seedpin.process import inherited

MARK = ".seedpin-demo"
SLIP_BEFORE = "        super().set_timesteps(num_inference_steps, device)\n"
SLIP_AFTER = (
    "        super().set_timesteps(num_inference_steps + 1, device)\n"
    "        self.timesteps, self.sigmas = self.timesteps[1:], self.sigmas[1:]\n"
)


class DemoError(SeedpinError):
    slug = "demo"


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("seedpin-demo"),
    show_default=True,
    help="Where the demo's project is written; a former demo there is replaced.",
)
def command(folder: Path) -> None:
    """Mint a golden, run the gate again, slip a scheduler by one step, and see the gate fail."""
    started = time.monotonic()
    folder = folder.resolve()
    _write_project(folder)
    click.secho(f"A project with one test, in {folder}\n", bold=True)
    click.echo((folder / "test_red_ball.py").read_text(encoding="utf-8"))

    click.secho("1. Mint its golden: pytest --update-golden", bold=True)
    _pytest(folder, ["--update-golden", "--golden-reason", "first golden"], expect=0)
    click.secho("\n2. Nothing has changed: pytest", bold=True)
    _pytest(folder, [], expect=0)
    click.secho("\n3. A refactor goes wrong, the scheduler starts one step late:", bold=True)
    _slip(folder)
    click.secho("\n4. The gate: pytest", bold=True)
    _pytest(folder, [], expect=1)

    click.secho(f"\nThe gate saw it. All of it took {time.monotonic() - started:.0f} s.", bold=True)
    golden = next((folder / "golden").rglob("*.json"))
    obtained = sorted((folder / ".seedpin" / "runs").glob("*/obtained/**/*.json"))[-1]
    for what, path in (("the test", folder / "test_red_ball.py"), ("golden", golden), ("obtained", obtained)):
        click.echo(f"  {what:<9} {path}")
    click.echo(f"  undo the slip in {folder / 'my_pipeline.py'} and run pytest there: green again")


def _write_project(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UsageError(f"{folder} is not empty and no former demo", hint="choose another: --folder PATH")
    source = resources.files("seedpin.demo") / "project"
    for old in sorted(folder.rglob("*"), reverse=True):
        old.rmdir() if old.is_dir() and not old.is_symlink() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    for entry in source.iterdir():
        if entry.is_file():
            name = entry.name.removesuffix(".txt")
            (folder / name).write_text(entry.read_text(encoding="utf-8"), encoding="utf-8")


def _slip(folder: Path) -> None:
    path = folder / "my_pipeline.py"
    before = path.read_text(encoding="utf-8")
    after = before.replace(SLIP_BEFORE, SLIP_AFTER)
    assert after != before
    path.write_text(after, encoding="utf-8")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path.name, path.name, lineterm="")
    for line in lines:
        colour = {"-": "red", "+": "green"}.get(line[:1])
        click.secho(f"  {line}", fg=colour)


def _pytest(folder: Path, arguments: list[str], *, expect: int) -> None:
    environment = inherited(os.environ, by_itself=True) | {"PYTHONDONTWRITEBYTECODE": "1"}
    plain = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "--rootdir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, *arguments, str(folder)],
        cwd=folder,
        env=environment,
        check=False,
    )
    if done.returncode != expect:
        raise DemoError(
            f"pytest ended with exit code {done.returncode} where {expect} was expected",
            hint=f"cd {folder} && python -m pytest -v",
        )
