"""What a failing check says about the place, and how goldens of models that do not repeat are refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from seedpin.cli import cli
from support.net import TEST
from support.project import Project


def test_a_changed_hyper_parameter_is_named(net: Project) -> None:
    """The failure names the module whose inputs agree and whose output does not, and what changed in it."""
    net.mint()
    result = net.pytest("--seedpin-trace=stages", env={"EPS": "1e-3"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*where: norm: inputs and weights agree*eps 1e-05 -> 0.001*"])


@pytest.mark.parametrize("minted", [True, False], ids=["golden", "no golden"])
@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("inner nan", "where: NaN is first seen in the output of norm: its inputs are finite*"),
        ("nan", "where: NaN is first seen in the output of Net*"),
    ],
)
def test_a_nan_is_told_with_the_record_that_first_holds_it(
    net: Project, slip: str, says: str, minted: bool
) -> None:
    """A clip with NaN is invalid; the message names where it came from, with a golden and without one."""
    if minted:
        net.mint()
    result = net.pytest(env={"SLIP": slip})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*golden_video: INVALID*", f"*{says}"])


def test_tensors_are_told_by_their_names(net: Project) -> None:
    """Where only tensors differ that came out, they are named; nothing is said of frames or their order."""
    test = "golden_tensors.check({{'b': torch.full((3,), {}), 'a': seeded_model(Net)()}})"
    head = "import torch\nfrom net import Net\n\n\ndef test_net(seeded_model, golden_tensors):\n    "
    net.write({"test_net.py": head + test.format("1.0") + "\n"})
    net.mint()
    net.write({"test_net.py": head + test.format("2.0") + "\n"})
    result = net.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*where: *; the tensor `b` differs*"])
    assert "frame" not in result.stdout.str().partition("where:")[2].partition("\n")[0]


def test_a_new_draw_is_named(net: Project) -> None:
    """An extra random draw is told as such, with its line."""
    net.mint()
    result = net.pytest(env={"SLIP": "draw"})
    result.stdout.fnmatch_lines(["*where: *draw 0 is new: torch.rand*net.py:*"])


def test_post_processing_is_named_when_only_the_frames_differ(net: Project) -> None:
    """Where everything in the model agrees, the code behind it is to blame."""
    net.mint()
    result = net.pytest(env={"SLIP": "reversed"})
    result.stdout.fnmatch_lines(["*where: *post-processing after paint*", "*looks like: *reversed*"])


def test_the_divergence_is_in_the_runs_results(net: Project) -> None:
    """Reports get the place and the growth from there to the frames."""
    net.mint()
    net.pytest(env={"EPS": "1e-3"})
    line = sorted(net.root.glob(".seedpin/runs/*/results.jsonl"))[-1].read_text().splitlines()[-1]
    divergence = json.loads(line)["divergence"]
    assert divergence["place"] == "norm"
    assert divergence["growth"]


def test_the_trace_is_a_file_of_the_golden_and_can_be_left_out(net: Project) -> None:
    """`trace = off` stores none, and a golden without one is compared as before."""
    files = net.mint("--seedpin-trace=off")
    assert not [name for name in files if name.endswith(".trace")]
    net.pytest().assert_outcomes(passed=1)
    result = net.pytest(env={"EPS": "1e-3"})
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*where:*")
    assert [name for name in net.mint("--update-golden=all") if name.endswith(".trace")]


@pytest.mark.parametrize("level", ["off", "stages", "modules"])
def test_tracing_moves_no_bit(net: Project, level: str) -> None:
    """A golden minted at one trace level is identical at every other."""
    net.mint("--seedpin-trace=stages")
    net.pytest(f"--seedpin-trace={level}").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("slip", "says", "count"),
    [
        # Two: the pin says of the generator, too, that it has its seed.
        ("generator", "a random draw comes from another generator * global cpu -> own cpu", 2),
        ("aside", "other random draws were made than for the golden: none -> global cpu: float32 (7,)", 1),
    ],
)
def test_equal_bits_that_were_drawn_otherwise_are_told(
    net: Project, slip: str, says: str, count: int
) -> None:
    """An identical clip passes; a warning and its result tell of a draw that moved, until it is noted."""
    net.mint()
    assert "MovedDrawsWarning" not in net.pytest().stdout.str()
    result = net.pytest(env={"SLIP": slip})
    result.assert_outcomes(passed=1, warnings=count)
    result.stdout.fnmatch_lines([f"*MovedDrawsWarning: *The bits are equal, but {says}*"])
    line = sorted(net.root.glob(".seedpin/runs/*/results.jsonl"))[-1].read_text().splitlines()[-1]
    assert "The bits are equal, but" in json.loads(line)["reasons"][0]
    net.pytest("--update-golden=all", env={"SLIP": slip}).assert_outcomes(passed=1)
    assert "MovedDrawsWarning" not in net.pytest(env={"SLIP": slip}).stdout.str()


def test_a_warning_that_a_filter_makes_an_error_leaves_the_verdict(net: Project) -> None:
    """A strict warning filter fails the test, by that warning; the check is kept as identical."""
    net.mint()
    result = net.pytest("-W", "error", env={"SLIP": "aside"})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *MovedDrawsWarning: *The bits are equal, but *"])
    line = sorted(net.root.glob(".seedpin/runs/*/results.jsonl"))[-1].read_text().splitlines()[-1]
    kept = json.loads(line)
    assert kept["verdict"] == "identical"
    assert "The bits are equal, but" in kept["reasons"][0]
    kind = "seedpin.errors.MovedDrawsWarning"
    net.pytest("-W", "error", "-W", f"default::{kind}", env={"SLIP": "aside"}).assert_outcomes(
        passed=1, warnings=1
    )


def test_a_trace_at_modules_is_compared_with_a_golden_at_stages(net: Project) -> None:
    """The place is told at the level that both have, and the message says so."""
    net.mint("--seedpin-trace=stages")
    result = net.pytest("--seedpin-trace=modules", env={"EPS": "1e-3"})
    result.assert_outcomes(failed=1)
    said = "(compared at level stages: modules were recorded in this run only)"
    result.stdout.fnmatch_lines([f"*where: norm: *eps 1e-05 -> 0.001* {said}"])


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("entropy", "*First difference: *add.Tensor*"),
        ("state", "*state kept between calls*"),
    ],
)
def test_a_model_that_does_not_repeat_gets_no_golden(net: Project, slip: str, says: str) -> None:
    """Before a golden is born its calls are repeated; other bits are `unstable`, with the operation."""
    result = net.pytest("--update-golden", "-W", "ignore", env={"SLIP": slip}, fresh=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*UNSTABLE*test_net.py::test_net*", says])
    assert not (net.root / "golden").exists()


def test_a_declared_tolerance_lets_a_model_that_does_not_repeat_have_a_golden(net: Project) -> None:
    """Whoever declares a tolerance has said that bits may move."""
    net.write({"test_net.py": TEST.replace("fps=8", "fps=8, tolerance={'psnr': 20}")})
    result = net.pytest("--update-golden", "-W", "ignore", env={"SLIP": "entropy"}, fresh=True)
    result.assert_outcomes(passed=1)
    assert net.golden_files()


def test_the_probe_can_be_switched_off(net: Project) -> None:
    """`--golden-probe=off` mints without repeating."""
    net.pytest(
        "--update-golden", "--golden-probe=off", "-W", "ignore", env={"SLIP": "entropy"}
    ).assert_outcomes(passed=1)


def test_a_fresh_process_finds_what_one_process_hides(net: Project) -> None:
    """`--golden-probe=fresh` refuses a model whose output depends on the process."""
    env = {"SLIP": "hash", "PYTHONHASHSEED": "random"}
    result = net.pytest("--update-golden", "--golden-probe=fresh", env=env)
    result.stdout.fnmatch_lines(
        ["*UNSTABLE*test_net*", "*in a fresh process gave other bits*", "*PYTHONHASHSEED*"]
    )
    assert not (net.root / "golden").exists()
    net.pytest("--update-golden", "--golden-probe=fresh").assert_outcomes(passed=1)
    assert net.golden_files()


def test_two_traces_can_be_told_apart_on_the_command_line(
    net: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`seedpin trace diff` names the place and the growth; `seedpin trace show` what a trace holds."""
    net.mint()
    net.pytest(env={"EPS": "1e-3"})
    monkeypatch.chdir(net.root)
    done = CliRunner().invoke(cli, ["trace", "diff", "test_net"])
    assert done.exit_code == 1, done.output
    assert done.output.startswith("norm: inputs and weights agree, the output does not")
    assert "relative distance" in done.output
    golden = str(next((net.root / "golden").rglob("*.trace")))
    same = CliRunner().invoke(cli, ["trace", "diff", golden, golden])
    assert (same.exit_code, same.output) == (0, "the traces agree\n")
    shown = CliRunner().invoke(cli, ["trace", "show", "--records", golden])
    assert "draw torch.randn #0" in shown.output
