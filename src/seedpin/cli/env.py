"""``seedpin env``: where one is, as far as bits are concerned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedpin.cli._say import say
from seedpin.cli._shared import Project, find_project, print_json, print_table, project_options
from seedpin.environment.measured import in_words, is_measured
from seedpin.errors import UsageError
from seedpin.pinning.profiles import apply_profile
from seedpin.records import as_plain

if TYPE_CHECKING:
    from seedpin.environment.device import DeviceClass
    from seedpin.environment.fingerprint import Environment


@click.command("env")
@click.option("--canary", is_flag=True, help="Also what operations compute here, as digests.")
@click.option(
    "--golden",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A golden's manifest: only what differs between where it was minted and here.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@project_options
def command(
    canary: bool, golden: Path | None, as_json: bool, root: Path | None, golden_dir: str | None
) -> None:
    """Show the device classes here, and the environment under a pin; what can move bits is marked.

    Exit code: 0; with --golden, 1 where something differs that can move bits.
    """
    project = find_project(root, golden_dir)
    # Before torch is imported: the CPU libraries read the profile once.
    apply_profile(project.config.cpu_profile)
    if golden is not None:
        raise SystemExit(_compare(project, golden, as_json))
    classes = _classes(project)
    environment = _environment(project, classes[0], canary=canary).stored()
    if as_json:
        print_json(
            {
                "device_classes": [{"name": one.name, "details": dict(one.details)} for one in classes],
                "environment": as_plain(environment),
                "settings": _settings(project),
            }
        )
        return
    from seedpin.environment.device import PORTABLE, PORTABLE_COVERS

    for one in classes:
        say(f"device class  {one.name}")
        if one.name == PORTABLE:
            say(f"{'':<13} covers {PORTABLE_COVERS}")
    for key, value in _settings(project).items():
        say(f"{key:<13} {value}")
    say()
    rows = [
        (mark, in_words(key), values[key])
        for mark, values in (("*", environment.moves_bits), ("", environment.informative))
        for key in sorted(values, key=lambda key: (is_measured(key), key))
    ]
    print_table(("", "environment", f"on {classes[0].name}"), rows)
    say()
    say("* can move bits: a difference here explains a difference in pixels")


def _compare(project: Project, path: Path, as_json: bool) -> int:
    """Prints how the environment here differs from the golden's, under the golden's own pin."""
    from seedpin.environment.device import named_class
    from seedpin.environment.fingerprint import Environment, difference, format_difference, measured_in_both
    from seedpin.goldens.store import read_golden

    golden = read_golden(path)
    if golden is None:
        raise UsageError(f"there is no golden {path}", hint="name a manifest: golden/.../video.<class>.json")
    manifest = golden.manifest
    before = Environment.of(manifest.environment)
    device = named_class(manifest.device_class)
    here = _environment(project, device, canary=True, seed=manifest.seed, level=manifest.level)
    changes, measured = difference(before, here), measured_in_both(before, here)
    moved = any(change.moves_bits for change in changes)
    if as_json:
        print_json({"changes": [as_plain(change) for change in changes], "measured": measured})
        return int(moved)
    say(f"{manifest.test} ({manifest.check}), {manifest.device_class}")
    if changes:
        say(format_difference(changes), lines=True)
        say()
        say("in brackets: cannot move bits, or recorded on one side only")
    if measured is None:
        say("what operations compute was not compared: it is not recorded with the golden")
    else:
        say(f"{measured} measured operations compute the same bits")
    return int(moved)


def _settings(project: Project) -> dict[str, str]:
    config = project.config
    return {
        "root": str(config.root),
        "goldens": config.golden_dir,
        "cpu profile": config.cpu_profile,
        "level": config.level,
        "seed": str(config.seed),
    }


def _classes(project: Project) -> list[DeviceClass]:
    """The accelerators' classes, then the CPU's; only the one that is configured, if one is."""
    import torch

    from seedpin.environment.device import device_class, named_class

    config = project.config
    if config.device_class != "auto":
        return [named_class(config.device_class)]
    devices = (
        [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if torch.backends.mps.is_available():
        devices.append("mps")
    classes = [device_class(device, config.cpu_profile) for device in (*devices, "cpu")]
    return list({one.name: one for one in classes}.values())


def _environment(
    project: Project, device: DeviceClass, *, canary: bool, seed: int | None = None, level: str | None = None
) -> Environment:
    from seedpin.environment.canary import with_canary
    from seedpin.environment.fingerprint import capture_environment
    from seedpin.pinning.pin import pin

    config = project.config
    chosen, how = config.seed if seed is None else seed, level or config.level
    with pin(chosen, level=how, profile=config.cpu_profile) as held:
        environment = capture_environment(device, held, packages=config.packages)
        return with_canary(environment, device) if canary else environment
