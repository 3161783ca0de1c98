"""Kinds of goldens beside frames and tensors: sounds, texts, and one that a package brings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seedpin import GoldenMismatch, check
from seedpin import pin as seedpin_pin
from seedpin.report.contact_sheet import contact_sheet
from seedpin.run.decide import ProjectFolders
from seedpin.run.ledger import Run, latest_results
from support.commands import Done, seedpin, zip_folder
from support.project import Project
from support.repository import Repository

Command = Callable[..., Done]

SOUND = '''
import os

import numpy as np


def sound(seconds=2, rate=8000):
    """A tone with a random phase and overtones, quieter at its end; TEST_SHIFT changes its second half."""
    t = np.arange(seconds * rate) / rate
    wave = 0.4 * np.sin(2 * np.pi * 220 * t + np.random.rand()) + 0.1 * np.sin(2 * np.pi * 1760 * t)
    shift = int(os.environ.get("TEST_SHIFT", "0"))
    wave[len(t) // 2 :] += shift * 1e-3 * np.sin(2 * np.pi * 300 * t[len(t) // 2 :])
    return (wave * np.linspace(1, 0.5, len(t))).astype(np.float32)[None]


def story():
    word = "red" if os.environ.get("TEST_SHIFT") else "blue"
    return f"Once upon a time there were {np.random.randint(2, 9)} balls.\\nOne of them was {word}.\\n"
'''

SOUND_TEST = """
@pytest.mark.seed(7)
def test_sound(seeded_model, golden_audio):
    golden_audio.check(seeded_model(sound)(), rate=8000)
"""

TEST = f"""
import pytest
from sound import sound, story

{SOUND_TEST}

@pytest.mark.seed(7)
def test_story(seeded_model, golden_text):
    golden_text.check(seeded_model(story)())
"""

SHIFTED = {"TEST_SHIFT": "1"}


@pytest.fixture
def sounds(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.write({"sound.py": SOUND, "test_sound.py": TEST})
    return project


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: seedpin(*map(str, arguments), cwd=project.root, monkeypatch=monkeypatch)


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_sounds_and_texts_pass_while_their_bits_are_equal(sounds: Project, workers: int | None) -> None:
    """A golden of either kind is written by an update, passes afterwards, fails when the output changes."""
    assert sounds.pytest(workers=workers).ret == 1
    assert not (sounds.root / "golden").exists()
    result = sounds.pytest("--update-golden", workers=workers)
    result.assert_outcomes(passed=2)
    assert {name.rpartition(".")[2] for name in sounds.golden_files()} == {"json", "jsonl", "zip", "trace"}
    before = sounds.golden_files()
    sounds.pytest(workers=workers).assert_outcomes(passed=2)
    result = sounds.pytest(workers=workers, env=SHIFTED)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["golden_audio: CHANGED  test_sound.py::test_sound (audio)"])
    result.stdout.fnmatch_lines(["  1 of 2 seconds differ, the first is second 1."])
    result.stdout.fnmatch_lines(["  where: *; second 1 differs"])
    result.stdout.fnmatch_lines(["golden_text: CHANGED  test_sound.py::test_story (text)"])
    result.stdout.fnmatch_lines(
        ["  The text differs from line 2, column 17*: *One of them was blue*in the golden, *was red*here."]
    )
    assert sounds.golden_files() == before


def test_sounds_have_limits(sounds: Project) -> None:
    """A table's limit, and a marker's, are held against the worst second, and told in terminal and report."""
    sounds.mint()
    text = (sounds.root / "pyproject.toml").read_text()
    table = '\n[tool.seedpin.tolerance."*"]\npsnr = 60\naudio = {{ snr = {}, same_environment = true }}\n'
    sounds.write({"pyproject.toml": text + table.format(40)})
    result = sounds.pytest("test_sound.py::test_sound", env=SHIFTED)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["within tolerance  *snr 52.* dB, limit >= 40.00 dB in second 1"])
    marked = TEST.replace("def test_sound", "@pytest.mark.golden(snr=60, log_mel=0.1)\ndef test_sound")
    sounds.write({"test_sound.py": marked})
    result = sounds.pytest("test_sound.py::test_sound", "--golden-report", env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  snr of second 1 is 52.*; at least 60 is declared."])
    result.stdout.fnmatch_lines(["  log_mel of second 1 is 0.*; at most 0.1 is declared."])
    run = max((sounds.root / ".seedpin" / "runs").iterdir())
    shown = (run / "report" / "data" / "0.js").read_text()
    assert '"label":"signal-to-noise ratio"' in shown
    assert '"place":"second 1"' in shown
    sounds.write(
        {"test_sound.py": TEST.replace("def test_story", "@pytest.mark.golden(snr=60)\ndef test_story")}
    )
    result = sounds.pytest("test_sound.py::test_story")
    result.stdout.fnmatch_lines(["*unknown key 'snr' (snr is for audio)*"])


def test_a_fresh_process_proves_sounds_and_texts(sounds: Project) -> None:
    """The default probe runs for every kind: what a fresh process gives otherwise becomes no golden."""
    sounds.use_the_default_probe()
    result = sounds.pytest("--update-golden")
    result.assert_outcomes(passed=2)
    born = [
        json.loads(data)["born"] for name, data in sounds.golden_files().items() if name.endswith(".json")
    ]
    assert [one for one in born if one] == [{"probe": "fresh"}] * len(born)
    text = (sounds.root / "sound.py").read_text().replace("np.random.rand()", "float(os.getpid() % 7)")
    sounds.write({"sound.py": text.replace("wave[len", "wave[0] = os.getpid() % 1000 / 1000\n    wave[len")})
    result = sounds.pytest("--update-golden", fresh=True)
    result.stdout.fnmatch_lines(["*The same test in a fresh process gave other bits: * second(s) differ*"])


def test_every_command_knows_every_kind(sounds: Project, command: Command, tmp_path: Path) -> None:
    """status, verify, show, compare, probe, report, accept from an artifact, mv and prune know all kinds."""
    sounds.mint("--golden-reason", "first")
    assert command("status").code == 0
    assert command("verify").code == 0
    shown = command("show", "test_sound").out
    assert "samples 16000" in shown
    assert "texts 1" in shown
    sounds.pytest("--golden-report", env=SHIFTED).assert_outcomes(failed=2)
    run = max((sounds.root / ".seedpin" / "runs").iterdir())
    checks = [path.read_text() for path in (run / "report" / "data").glob("[0-9]*.js")]
    audio = next(text for text in checks if '"kind":"audio"' in text)
    for label in ("golden", "obtained"):
        assert re.search(rf'"label":"{label}","form":"audio","source":"media/\d+/panel-\d+.wav"', audio)
    assert audio.count('"form":"picture"') == 3
    for source in re.findall(r'"source":"(media[^"]+)"', audio):
        assert (run / "report" / source).is_file()
    story = next(text for text in checks if '"kind":"text"' in text)
    assert '["-","One of them was blue."],["+","One of them was red."]' in story
    sheet = contact_sheet(Run(run), latest_results(Run(run)))
    assert sheet is not None  # of the sound alone: a text has no pictures
    assert sheet.height < 300
    goldens = sorted(path for path in (sounds.root / "golden").rglob("*.json") if path.name.count(".") == 2)
    obtained = sorted(path for path in (run / "obtained").rglob("*.json") if path.name.count(".") == 2)
    for old, new in zip(goldens, obtained, strict=True):
        assert command("compare", old, old).code == 0
        done = command("compare", old, new, "--html", tmp_path / new.stem)
        assert done.code == 1
        assert "changed" in done.out
    assert "holds audio" in command("compare", goldens[0], goldens[1]).out
    source = zip_folder(run, tmp_path / "artifact.zip")
    assert command("accept", source, "--all", "--reason", "red").code == 0
    sounds.pytest(env=SHIFTED).assert_outcomes(passed=2)
    assert command("verify").code == 0
    assert command("probe", "test_sound.py").code == 0
    sounds.write({"test_sound.py": TEST.replace("test_story", "test_tale")})
    assert command("mv", "test_sound.py::test_story", "test_sound.py::test_tale").code == 0
    sounds.pytest(env=SHIFTED).assert_outcomes(passed=2)
    tale = TEST.replace("test_story", "test_tale")
    sounds.write({"test_sound.py": tale.replace(SOUND_TEST, "")})
    sounds.pytest(env=SHIFTED).assert_outcomes(passed=1)
    assert "test_sound/audio" in command("prune", "--unseen").out
    assert command("prune", "--unseen", "--delete").code == 0
    assert {name.split("/")[1] for name in sounds.golden_files()} == {"test_tale"}


def test_another_revision_takes_the_goldens_place_for_every_kind(sounds: Project, command: Command) -> None:
    """--golden-against compares sounds and texts with another revision's; bisect finds the commit."""
    repository = Repository(sounds.root)
    repository.commit("first", {".gitignore": ".seedpin/\n"})
    repository.commit("shift", {"sound.py": SOUND.replace('"TEST_SHIFT", "0"', '"TEST_SHIFT", "1"')})
    bad = repository.commit("red", {"sound.py": SOUND.replace('else "blue"', 'else "green"')})
    result = sounds.pytest("--golden-against=HEAD~2", fresh=True)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["golden_text: CHANGED  *", "  The text differs from line 2, column 17*"])
    done = command("bisect", "--good", "HEAD~2", "test_sound.py::test_story")
    assert bad[:7] in done.out, done.out


def test_the_review_server_plays_and_decides(sounds: Project) -> None:
    """Sounds and pictures are served to the page, and what is accepted there becomes the golden."""
    pytest.importorskip("starlette", reason="pip install 'seedpin[review]'")
    pytest.importorskip("uvicorn", reason="pip install 'seedpin[review]'")
    from support.reviewing import Browser, serving

    sounds.mint()
    sounds.pytest(env=SHIFTED).assert_outcomes(failed=2)
    state = sounds.root / ".seedpin"
    run = Run(max((state / "runs").iterdir()))
    with serving(run, ProjectFolders(sounds.root, sounds.root / "golden", state)) as review:
        browser = Browser(review)
        assert b"media-src 'self'" in browser.enter().body
        data = [browser.send(f"/data/{number}.js").body.decode() for number in (0, 1)]
        sources = re.findall(r'"source":"(media[^"]+)"', "".join(data))
        assert {source.rpartition(".")[2] for source in sources} == {"wav", "webp"}
        types = {browser.send(f"/{source}").headers["content-type"].partition("/")[0] for source in sources}
        assert types == {"audio", "image"}
        for check in ("test_sound.py::test_sound::audio", "test_sound.py::test_story::text"):
            assert browser.decide(check, "accept", "as it should be").status == 200
    sounds.pytest(env=SHIFTED).assert_outcomes(passed=2)


def test_a_script_checks_sounds_and_texts(sounds: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """seedpin.check takes any kind by its fixture's name."""
    monkeypatch.chdir(sounds.root)
    wave = np.sin(np.arange(8000) / 5)
    with seedpin_pin(1):
        for update in (True, False):
            results = (
                check("red", golden="demo/text", fixture="text", update=update, reason="first"),
                check(wave, golden="demo/audio", fixture="audio", update=update, reason="first", rate=8000),
            )
        assert [result.verdict for result in results] == ["identical", "identical"]
        with pytest.raises(GoldenMismatch, match="The text differs from line 1, column 1 "):
            check("blue", golden="demo/text", fixture="text")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("golden_audio.check(sound() * np.nan, rate=8000)", "the waveform holds 16000 NaN"),
        ("golden_audio.check(sound())", "no rate is given"),
        ("golden_audio.check(np.zeros((4, 4), np.float32), rate=8000)", "can be (channels, samples)"),
        ("golden_audio.check(None, rate=8000)", "no waveform can be read from a NoneType"),
        ("golden_audio.check(sound(), rate=8000, fps=3)", "golden_audio takes no fps"),
        ("golden_text.check(3.5)", "no text can be read from a float"),
        ("golden_text.check([])", "an empty list: there is no text"),
    ],
)
def test_what_is_no_sound_and_no_text_is_invalid(sounds: Project, call: str, said: str) -> None:
    """What cannot be read is recorded as invalid, also where the test swallows the error."""
    swallowed = f"    try:\n        {call}\n    except Exception:\n        pass\n"
    code = "import numpy as np\nfrom sound import sound\n\n\ndef test_it(golden_audio, golden_text):\n"
    sounds.write({"test_sound.py": code + swallowed})
    result = sounds.pytest()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*INVALID  test_sound.py::test_it *", f"  *{said.replace('[', '[[]')}*"])


def test_nothing_to_hear_or_to_read_becomes_no_golden(sounds: Project) -> None:
    """Silence, white noise and an empty text are refused as goldens unless they are allowed in words."""
    test = """
import numpy as np


def test_it(golden_audio, golden_text):
    golden_{}
"""
    for call in (
        "audio.check(np.zeros(8000, np.float32), rate=8000{})",
        "audio.check(np.random.default_rng(0).normal(0, 0.1, 8000), rate=8000{})",
        "text.check(' '{})",
    ):
        kind = "silent" if "zeros" in call else "noise" if "normal" in call else "empty"
        sounds.write({"test_sound.py": test.format(call.format(""))})
        result = sounds.pytest("--update-golden")
        assert result.ret == 1
        result.stdout.fnmatch_lines([f'*check(..., allow=("{kind}",))*'])
        assert not sounds.golden_files()
    sounds.write({"test_sound.py": test.format("text.check(' ', allow=('empty',))")})
    sounds.pytest("--update-golden").assert_outcomes(passed=1)


MESH = '''
"""A kind of golden in a package of its own: triangles, kept as text."""

import json

import numpy as np

from seedpin.clip.digest import array_digest
from seedpin.errors import DamagedGoldenError, UnsupportedClipError
from seedpin.kinds.base import Kind


class MeshMetrics:
    kind = "mesh"

    def __init__(self, count):
        self.count = count

    def worst(self, name):
        raise KeyError(name)

    def as_dict(self):
        return {"kind": "mesh", "worst": {}, "summary": self.summary()}

    def summary(self):
        return f"{self.count} coordinates moved."


class MeshKind(Kind):
    name = role = word = "mesh"
    extensions = frozenset({"mesh"})
    fixtures = ("mesh",)

    def adapt(self, obj, fixture="", **how):
        if np.ndim(obj) != 3:
            raise UnsupportedClipError("no triangles", hint="pass (triangles, 3, 3)")
        return np.asarray(obj, np.int64)

    def facts(self, value):
        return {"triangles": len(value)}

    def items(self, value):
        return [value]

    def digests(self, value):
        return (array_digest(value),)

    def count(self, facts):
        return 1

    def encode(self, value):
        return "mesh", json.dumps(value.tolist()).encode()

    def decode(self, source, extension, facts, value_range):
        try:
            return np.asarray(json.loads(source.read_bytes()), np.int64).reshape(facts["triangles"], 3, 3)
        except (ValueError, KeyError) as error:
            raise DamagedGoldenError(f"{source} holds no triangles") from error

    def compare(self, golden, obtained):
        return MeshMetrics(int((golden != obtained).sum()))


MESH = MeshKind()
'''

MESH_TEST = """
import os

import numpy as np


def test_mesh(golden_mesh):
    triangles = np.arange(18).reshape(2, 3, 3)
    triangles[0, 0, 0] += int(os.environ.get("TEST_SHIFT", "0"))
    golden_mesh.check(triangles)
"""


def bring(project: Project, name: str, entry: str) -> None:
    """An installed distribution with one entry point of the group ``seedpin.kinds``."""
    project.bring(name, "seedpin.kinds", entry)


@pytest.fixture
def meshes(project: Project) -> Project:
    (project.root / "test_ball.py").unlink()
    project.write({"site/meshkind.py": MESH, "test_mesh.py": MESH_TEST})
    bring(project, "mesh-golden", "mesh = meshkind:MESH")
    return project


@pytest.mark.parametrize("workers", [None, 2])
def test_a_package_brings_a_kind_with_its_fixture(meshes: Project, workers: int | None) -> None:
    """golden_mesh is there once a package with that entry point is; it writes, passes and fails as all do."""
    meshes.pytest("--update-golden", fresh=True, workers=workers).assert_outcomes(passed=1)
    assert len(meshes.golden_files()) == 2
    meshes.pytest(fresh=True, workers=workers).assert_outcomes(passed=1)
    result = meshes.pytest(fresh=True, workers=workers, env=SHIFTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["golden_mesh: CHANGED  test_mesh.py::test_mesh (mesh)"])
    result.stdout.fnmatch_lines(["  1 coordinates moved."])


def test_a_golden_of_a_kind_that_is_not_installed_says_what_to_install(
    meshes: Project, command: Command
) -> None:
    """Without the package its goldens are listed, and what must read them says which kind is missing."""
    meshes.pytest("--update-golden", fresh=True).assert_outcomes(passed=1)
    assert command("status").code == 0
    done = command("verify")
    assert done.code == 1
    assert "there is no kind of golden called 'mesh' in this environment" in done.out


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (
            ["mesh = nothing:MESH"],
            "'mesh' of one 1.2 cannot be loaded: ModuleNotFoundError: No module named 'nothing'",
        ),
        (["mesh = json:dumps"], "'mesh' of one 1.2 is wrong: json:dumps is no instance"),
        (["net = meshkind:MESH"], "'net' of one 1.2 is wrong: it is called 'mesh'"),
        (["audio = meshkind:MESH"], "one 1.2 brings a kind of golden 'audio', which is seedpin's own"),
        (["mesh = meshkind:MESH", "mesh = other:MESH"], "brings a kind of golden 'mesh', which comes from"),
    ],
)
def test_a_wrong_kind_is_told_with_its_package(meshes: Project, entries: list[str], said: str) -> None:
    """What does not load, is no kind, or takes another's name is an error that names the distribution."""
    for path in (meshes.root / "site").glob("mesh_golden*"):
        path.rename(path.with_name("gone"))
    (meshes.root / "site" / "mesh-golden-1.2.dist-info").rename(meshes.root / "gone")
    for name, entry in zip(("one", "two"), entries, strict=False):
        bring(meshes, name, entry)
    fixture = f"golden_{entries[0].partition(' ')[0]}"
    meshes.write({"test_mesh.py": MESH_TEST.replace("golden_mesh", fixture)})
    result = meshes.pytest(fresh=True)
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert said in text, text
    assert "seedpin explain kind" in text
