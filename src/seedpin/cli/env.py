"""``seedpin env``: where one is, as far as bits are concerned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedpin.cli._shared import Project, find_project, print_json, print_table, project_options
from seedpin.pinning.profiles import apply_profile

if TYPE_CHECKING:
    from seedpin.environment.device import DeviceClass


@click.command("env")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@project_options
def command(as_json: bool, root: Path | None, golden_dir: str | None) -> None:
    """Show the device classes here, and the environment under a pin; what can move bits is marked.

    Exit code: 0.
    """
    project = find_project(root, golden_dir)
    # Before torch is imported: the CPU libraries read the profile once.
    apply_profile(project.config.cpu_profile)
    classes = _classes(project)
    environment = _environment(project, classes[0])
    if as_json:
        print_json(
            {
                "device_classes": [{"name": one.name, "details": dict(one.details)} for one in classes],
                "environment": environment,
                "settings": _settings(project),
            }
        )
        return
    for one in classes:
        click.echo(f"device class  {one.name}")
    for key, value in _settings(project).items():
        click.echo(f"{key:<13} {value}")
    click.echo()
    rows = [
        ("*" if section == "moves_bits" else "", key, environment[section][key])
        for section in ("moves_bits", "informative")
        for key in sorted(environment[section])
    ]
    print_table(("", "environment", f"on {classes[0].name}"), rows)
    click.echo("\n* can move bits: a difference here explains a difference in pixels")


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
    found = [device_class(device, config.cpu_profile) for device in (*devices, "cpu")]
    return list({one.name: one for one in found}.values())


def _environment(project: Project, device: DeviceClass) -> dict[str, dict[str, str]]:
    from seedpin.environment.fingerprint import capture_environment
    from seedpin.pinning.pin import pin

    config = project.config
    with pin(config.seed, level=config.level, profile=config.cpu_profile) as held:
        return capture_environment(device, held, packages=config.packages).as_dict()
