"""The one table of options: pytest's command line and ini file, ``[tool.seedpin]``, the ``seedpin`` commands,
runs in other processes and the docs are made from it, or held against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

DEFAULT_SEED = 1_847_350_629
"""Seed of a pin that names none, 32 bits.

A number that nobody writes by hand: a user's ``torch.Generator().manual_seed(0)`` would otherwise be the
very stream that the pin gives the global generator, and a ``generator=`` that gets lost would change no bit.
"""
LEVELS = ("strict", "warn", "seeds")
PROFILES = ("native", "portable")

Form = Literal["int", "text", "choice", "list", "flag", "mode", "revision"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its key, and its command-line flag ("" for none).

    form: "flag" takes no value; "mode" one of ``choices`` after ``=``, or none, which is the first;
    "revision" one after ``=``, or none. setting: it may stand in pytest's ini file and in ``[tool.seedpin]``
    too. choice_help: what each of a mode's ``choices`` does.

    other_runs: what becomes of it where seedpin runs the same tests in another process: it is "kept"; it is
    "set" there by seedpin; it belongs to the "update" and is kept, but not offered to users to type; or it is
    "dropped". hidden: for seedpin's own runs; neither ``--help`` nor the docs list it.
    """

    key: str
    flag: str
    form: Form
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    choice_help: tuple[str, ...] = ()
    limits: tuple[int, int] | None = None
    setting: bool = True
    other_runs: Literal["kept", "set", "update", "dropped"] = "kept"
    hidden: bool = False

    @property
    def ini(self) -> str:
        return f"seedpin_{self.key}"

    @property
    def dest(self) -> str:
        """What ``pytest.Config.getoption`` calls it."""
        return self.ini if self.setting else self.key

    @property
    def values(self) -> int:
        """How many arguments of their own follow the flag, where none is given after ``=``."""
        return 1 if self.form in ("int", "text", "choice", "list") else 0

    @property
    def spellings(self) -> tuple[tuple[str, str], ...]:
        """What can be typed, each with what it does: a mode has a spelling for each of its values."""
        if not self.flag:
            return ()
        if self.form == "mode":
            # One flag for each: with an optional value, `--update-golden tests/` would take the path for it.
            each = zip(self.choices, self.choice_help, strict=True)
            return ((self.flag, self.help), *((f"{self.flag}={choice}", does) for choice, does in each))
        after = {"revision": "[=REF]", "text": "=TEXT", "int": "=N"}.get(self.form, "")
        return ((f"{self.flag}{after}", self.help),)


OPTIONS: tuple[Option, ...] = (
    Option(
        "update_golden",
        "--update-golden",
        "mode",
        None,
        "Write goldens that are missing or beyond their gate.",
        choices=("changed", "missing", "all"),
        choice_help=(
            "The same.",
            "Write only goldens that are missing.",
            "Write every golden anew, damaged ones too.",
        ),
        setting=False,
        other_runs="update",
    ),
    Option(
        "golden_reason",
        "--golden-reason",
        "text",
        "",
        "Why goldens are updated; kept in their manifests.",
        setting=False,
        other_runs="update",
    ),
    Option(
        "golden_allow_ci",
        "--golden-allow-ci",
        "flag",
        False,
        "Allow --update-golden although the environment variable CI is set.",
        setting=False,
    ),
    Option(
        "probe",
        "--golden-probe",
        "choice",
        "fresh",
        "Before a golden is born: is it the same in a fresh process, or when called twice here? Or off.",
        ("fresh", "twice", "off"),
        other_runs="update",
    ),
    Option(
        "golden_report",
        "--golden-report",
        "flag",
        False,
        "Write the run's report, a folder to look at without a network.",
        setting=False,
    ),
    Option(
        "golden_against",
        "--golden-against",
        "revision",
        None,
        "Compare with what revision REF gives on this machine, bit by bit, instead of stored goldens; "
        "without =REF with where HEAD left the main branch.",
        setting=False,
        other_runs="dropped",
    ),
    Option(
        "golden_attribute",
        "--golden-attribute",
        "flag",
        False,
        "Where the environment changed, run the commit that minted the golden in this environment, "
        "and say whether code or environment moved the bits.",
        setting=False,
        other_runs="dropped",
    ),
    Option(
        "golden_dir",
        "--golden-dir",
        "text",
        "golden",
        "Folder of the goldens, relative to the root.",
        other_runs="set",
    ),
    Option(
        "device_class",
        "--golden-device-class",
        "text",
        "auto",
        "Device class to compare with, instead of the one found.",
        other_runs="set",
    ),
    Option(
        "seed",
        "--seedpin-seed",
        "int",
        DEFAULT_SEED,
        "Seed of tests that have no `seed` marker.",
        limits=(0, 2**32 - 1),
    ),
    Option("level", "--seedpin-level", "choice", "strict", "How much a pin controls.", LEVELS),
    Option(
        "cpu_profile",
        "--seedpin-cpu-profile",
        "choice",
        "native",
        "native: exact on one CPU family; portable: exact across x86-64 CPUs, about twice the time.",
        PROFILES,
        other_runs="set",
    ),
    Option(
        "trace",
        "--seedpin-trace",
        "choice",
        "stages",
        "What a trace holds: draws, steps and components (stages), every module (modules), or nothing (off).",
        ("stages", "modules", "off"),
        other_runs="set",
    ),
    Option(
        "audit",
        "--seedpin-audit",
        "choice",
        "warn",
        "What to do about randomness that no pin can hold, in strict pins.",
        ("warn", "fail", "off"),
    ),
    Option("audit_allow", "", "list", (), "Randomness that is allowed: patterns of kind or module:line."),
    Option(
        "keep_runs",
        "",
        "int",
        5,
        "How many runs are kept under .seedpin/; undecided clips are kept longer.",
        limits=(1, 10_000),
    ),
    Option(
        "worktree_links",
        "",
        "list",
        (),
        "Paths that git does not track (weights, data) and that other revisions need; they are linked there.",
    ),
    Option("packages", "", "list", (), "More packages whose versions can move bits."),
    Option(
        "seedpin_collect",
        "--seedpin-collect",
        "flag",
        False,
        "Take every clip as a golden: a run that seedpin starts itself.",
        setting=False,
        hidden=True,
    ),
    Option(
        "seedpin_thorough",
        "--seedpin-thorough",
        "flag",
        False,
        "The same, with repeated calls: `seedpin probe`.",
        setting=False,
        hidden=True,
    ),
)
"""In the order of ``pytest --help``: updates, comparisons, where goldens lie, how models run."""

SETTINGS = tuple(option for option in OPTIONS if option.setting)


def option(key: str) -> Option:
    """The option with this key. Raises KeyError."""
    return {one.key: one for one in OPTIONS}[key]
