"""Whatever is typed, damaged or installed: no traceback, one line, status 0, 1, 2 or 130. Training is stubbed."""

import contextlib
import io
import os
import random
import shutil
import subprocess
import sys

import pytest
import torch
from distributions import lay_out
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlplug.training.cli
from dlplug.__main__ import main
from dlplug.commands import COMMANDS

# What is drawn is the same each time, so that a red run is red again.
FUZZ = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
# Commands that measure, train or write without being stopped by bad input are not fuzzed here.
NAMES = sorted(COMMANDS.keys() - {"verify", "check", "doctor", "new", "dashboard", "install", "uninstall"})
VALUES = [
    "gan",
    "cnn",
    "gna",
    "digits",
    "3.1",
    "",
    "null",
    "~",
    "#1",
    "- a",
    "[1,",
    "{a: *b}",
    "&a [*a]",
    "!!python/name:os.x",
]
VALUES += [
    "-1e-3",
    "1e400",
    "nan",
    "99999999999999999999",
    "\x1b[31m",
    "a\nb",
    "ä" * 300,
    "..",
    "/",
    "run",
    "run/config.yaml",
]
VALUES += ["os.system", "no.such.Class", "vision:cnn", "core:csv", "--", "\udcff"]
OPTIONS = [
    "--model",
    "--data",
    "--logger",
    "-c",
    "--config",
    "--ckpt_path",
    "--seed_everything",
    "--help",
    "--help-all",
]
OPTIONS += [
    "--model.lr",
    "--model.latent_dim",
    "--model.nope",
    "--data.batch_size",
    "--trainer.max_epochs",
    "--trainer.nope",
]
OPTIONS += ["--json", "--out", "--open", "-n", "--model.help", "--trainer.callbacks+", "--data.root", "--logger.nope"]
WORDS = st.one_of(
    st.sampled_from(VALUES),
    st.sampled_from(OPTIONS),
    st.builds(lambda option, value: f"{option}={value}", st.sampled_from(OPTIONS), st.sampled_from(VALUES)),
    st.text(max_size=8).filter(lambda word: "\0" not in word),
)
LINES = st.builds(lambda name, words: [name, *words], st.sampled_from([*NAMES, "", "gan"]), st.lists(WORDS, max_size=6))


def said(args):
    """Run a command line here, and return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([*args])
        except SystemExit as error:
            status = error.code or 0
    return status, out.getvalue(), err.getvalue()


def check(args, status, out, err):
    """Check what one command line came to."""
    assert status in (0, 1, 2, 130), (args, status, err)
    assert "Traceback" not in err, (args, err)
    assert "\x1b" not in out + err, (args, out, err)
    if status == 2:
        assert err.startswith("dlplug: "), (args, err)
        assert err.count("\n") == 1, (args, err)


@pytest.fixture
def stubbed(tmp_path, monkeypatch):
    """A folder with a run in it, where training does nothing and no browser opens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dlplug.training.cli, "run", lambda job, registry: 0)
    monkeypatch.setattr(dlplug.training.cli, "print_help_all", lambda job, registry: 0)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    monkeypatch.setattr("dlplug.report.template._plotly", lambda: "")  # 4 MB that would be written with each report
    make_run(tmp_path / "run")
    return tmp_path


def make_run(folder):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "media" / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "# made with dlplug 0.2.0 (pip install dlplug==0.2.0)\nmodel: cnn\ndata: digits\n"
    )
    (folder / "about.json").write_text('{"commands": ["dlplug fit"], "panels": [], "monitor": ["val/loss", "min"]}')
    (folder / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,4,1.0,\n0,9,0.9,0.8\n1,19,0.7,0.6\n")
    (folder / "timing.csv").write_text("epoch,step,seconds,batches_per_second\n0,9,1.0,9.0\n")
    (folder / "media" / "samples" / "00000009.txt").write_text("what it wrote")
    torch.save({"state_dict": {}, "epoch": 1, "made_with": []}, folder / "checkpoints" / "last.ckpt")


def test_command_lines(stubbed):
    @settings(max_examples=2000, **FUZZ)
    @given(LINES)
    def lines(args):
        if args[0] == "generate" and len(args) > 1 and args[1] == "run":
            args[1] = "nowhere"  # generating is tried on damaged runs
        check(args, *said(args))

    lines()


def damage(folder, seed):
    """Do one or two things to a run folder that no program of ours does."""
    draw = random.Random(seed)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in draw.sample(files, draw.choice((1, 2))):
        content = path.read_bytes()
        place = draw.randrange(len(content) + 1)
        what = draw.randrange(9)
        if what == 0:
            path.unlink()
        elif what == 1:
            path.write_bytes(content[:place])
        elif what == 2:
            path.write_bytes(content[:place] + draw.randbytes(20) + content[place:])
        elif what == 3:
            path.write_bytes(draw.randbytes(200))
        elif what == 4:
            path.unlink()
            path.mkdir()
        elif what == 5:
            path.write_bytes(b"")
        elif what == 6:
            path.write_bytes(b"[" * 5000)
        elif what == 7:
            path.unlink()
            path.symlink_to(path.name)  # to itself
        else:
            path.write_bytes(draw.choice((b"null", b"{}", b"[]", b"3\n", b"a: b: c", b"\xff\xfe", b"{'a': &a [*a]}")))


@pytest.mark.parametrize("part", range(5))  # for pytest-xdist's two workers
def test_damaged_run_folders(stubbed, part):
    for seed in range(100 * part, 100 * part + 100):
        folder = stubbed / f"damaged{seed}"
        make_run(folder)
        damage(folder, seed)
        for command in ("report", random.Random(seed).choice(("test", "fit", "predict", "validate", "generate"))):
            args = [command, folder.name]
            check(args, *said(args))
        shutil.rmtree(folder)


HEAD = "from dlplug import ClaimSpec, DataSpec, LoggerSpec, ModelSpec, hookimpl\n"
SPECS = HEAD + "@hookimpl\ndef dlplug_specs():\n    {}\n"
DEEDS = [
    "raise RuntimeError('no')",
    "raise SystemExit(3)",
    "raise KeyboardInterrupt",
    "raise BaseException",
    "raise E()",
]
DEEDS += [
    "return None",
    "return 3",
    "return [3]",
    "yield 3",
    "print('{}'); return []",
    "import os; os.write(1, b'x'); return []",
]
DEEDS += [
    f"return [ModelSpec({args})]" for args in ("", "1, 2, 3", "'x', 'a:X', 'A.', lecture=3", "'x', 'a:X', 'A\\n.'")
]
DEEDS += [
    f"return [DataSpec('x', 'a:X', 'A.', {args})]" for args in ("tags=3", "gives=3", "recipe_key=[]", "needs_files=3")
]
DEEDS += [
    "return [ClaimSpec('x', 'a:x', '\\x1b[31m.')]",
    "return [LoggerSpec('csv', 'a:X', 'A.')]",
    "import sys; sys.exit('bye')",
]
CLASS = "class E(Exception):\n    def __str__(self): raise RuntimeError\n"
METADATA = [
    b"",
    b"\xff\xfe",
    b"Name: odd\nVersion: \x1b[31m\n",
    b"Name: J\xf6rg\nVersion: 1\n",
    b"Metadata-Version: 9\nName: a b\n",
]
METADATA += [b"Name: odd\nVersion: 1\nRequires-Dist: ((\n", b"Name: odd\nVersion: 1\nRequires-Dist: dlplug<0.1\n"]
POINTS = [
    "core = {0}",
    "vision = {0}",
    "odd = {0}",
    "odd = {0}:nothing",
    "odd = ",
    "odd",
    "= {0}",
    "o d = {0}",
    "odd = no.such",
]


PLUGINS = pytest.mark.slow("another hundred of the same; by day a hundred")
PROCESSES = pytest.mark.slow("some import torch; by day eight start so, and hundreds are run in one process")


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=PLUGINS)])
def test_odd_plugins(stubbed, part, monkeypatch):
    for seed in range(100 * part, 100 * part + 100):
        draw = random.Random(seed)
        folder = stubbed / f"site{seed}"
        folder.mkdir()
        module = f"odd_plugin_{seed}"
        deed = draw.choice(DEEDS)
        text = CLASS + draw.choice((SPECS.format(deed), f"{HEAD}{deed.replace('return', 'x =')}\n", "x = (\n", ""))
        (folder / f"{module}.py").write_text(text)
        lay_out(folder, f"odd-{seed}", "1", draw.choice(POINTS).format(module))
        if draw.random() < 0.4:
            (folder / f"odd_{seed}-1.dist-info" / "METADATA").write_bytes(draw.choice(METADATA))
        if draw.random() < 0.2:
            (folder / f"odd_{seed}-1.dist-info" / "direct_url.json").write_text(draw.choice(("[", "3", '{"url": {}}')))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            for args in (["list", "--json"], [draw.choice(("plugins", "list")), *[]], ["info", "vision:cnn"]):
                status, out, err = said(args)
                check(args, status, out, err)
                assert "cnn" in out, (seed, args, text, out[-300:], err)
                assert args[-1] != "--json" or out.startswith("["), (seed, text, out[:50])
        sys.modules.pop(module, None)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=PROCESSES) for seed in range(8, 20))])
def test_as_real_processes(stubbed, seed):
    """The same for processes of their own, which have to end within 20 seconds of their own time on an idle machine."""
    draw = random.Random(seed)
    if seed % 2:
        damage(stubbed / "run", seed)
        args = [draw.choice(("report", "test", "generate")), "run"]
    else:
        words = [word for word in (*VALUES, *OPTIONS) if word.isprintable()]
        args = [draw.choice(NAMES), *draw.sample(words, draw.randrange(4))]
    limits = f"ulimit -t 20; exec {sys.executable} -m dlplug " + '"$@"'
    found = subprocess.run(["bash", "-c", limits, "-", *args], capture_output=True, env={**os.environ, "COLUMNS": "80"})
    check(args, found.returncode, found.stdout.decode(errors="replace"), found.stderr.decode(errors="replace"))
