"""Commands that plugins bring: in the core's table as if they were of it, and whatever they do wrong stays theirs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from distributions import lay_out

from dlplug import CommandSpec
from dlplug.__main__ import main
from dlplug.commands.completion import complete

PLUGIN = """
from dlplug import CommandSpec, hookimpl


def spec(name, target="greeting:greet", **more):
    return CommandSpec(name, target, f"What {name} does.", **more)


@hookimpl
def dlplug_specs():
    return [
        spec("greet", usage="RUN [--times N]", takes="run", group="find"),
        spec("sweep", "greeting:sweep", takes="options"),
        spec("report"),
        spec("twice"),
        spec("nowhere", "no_such_module:greet"),
        spec("absent", "greeting:absent"),
        spec("broken", "broken:greet"),
        spec("leaving", "leaving:greet"),
        spec("idle", "greeting:idle"),
        spec("fail", "greeting:fail"),
        spec("full", "greeting:full"),
        spec("odd", "greeting:odd"),
        spec("base", "greeting:base"),
        spec("bye", "greeting:bye"),
        spec("refuse", "greeting:refuse"),
        spec("most", "greeting:most"),
        spec("leave", "greeting:leave"),
    ]
"""
GREETING = r"""
import os
print("imported")
os.write(1, b"by hand\n")

from dlplug import InputError


def greet(parser):
    parser.add_argument("folder", help="a run folder")
    parser.add_argument("--times", type=int, default=1, help="how often")
    parser.add_argument("--how", choices=["loud", "low"], help="how")
    parser.set_defaults(run=lambda options: print(*["hello"] * options.times))


def sweep(parser):
    parser.add_argument("--trials", type=int, default=20, help="how many")
    parser.set_defaults(run=lambda options: print(options.trials, options.rest))


def idle(parser):
    pass


def fail(parser):
    parser.set_defaults(run=lambda options: 1 / 0)


def full(parser):
    def run(options):
        raise OSError("the disk is\n\x1b[31mfull")
    parser.set_defaults(run=run)


def base(parser):
    class Mute(BaseException):
        def __str__(self):
            raise BaseException
    raise Mute


def bye(parser):
    parser.set_defaults(run=lambda options: exit("bye \x1b[31m"))


def odd(parser):
    parser.set_defaults(run=lambda options: "well")


def most(parser):
    parser.set_defaults(run=lambda options: 256)  # which a shell takes for 0


def leave(parser):
    parser.set_defaults(run=lambda options: exit(7))


def refuse(parser):
    def run(options):
        raise InputError("not like\nthis")
    parser.set_defaults(run=run)
"""
OTHER = """
from dlplug import CommandSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [CommandSpec("twice", "greeting:greet", "Another.")]
"""
FILES = {
    "plugin_of_greeting": PLUGIN,
    "greeting": GREETING,
    "broken": "1 / 0",
    "leaving": "import sys; sys.exit('bye')",
}
SPEC = ("hello", "m:f", "Says hello.")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the plugin, another one that offers `twice`, and one that does not load; work beside them."""
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir()
    work.mkdir()
    for name, source in {**FILES, "plugin_of_other": OTHER, "plugin_of_bad": "1 / 0"}.items():
        (site / f"{name}.py").write_text(source)
    for name in ("greeting", "other", "bad"):
        lay_out(site, f"stranger-{name}", "1.0", f"{name} = plugin_of_{name}")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(work)
    for module in FILES:
        monkeypatch.delitem(sys.modules, module, raising=False)
    return work


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line; returns the status and what was said, what importing the target prints left out."""

    def said(*args: str) -> tuple[int, str, str]:
        status = main([*args])
        out, err = capfd.readouterr()
        return status, out, err.replace("imported\n", "").replace("by hand\n", "")

    return said


def test_it_runs_as_one_of_the_cores(said):
    assert said("greet", "here", "--times", "2") == (0, "hello hello\n", "")
    status, out, err = said("greet", "--times", "x")
    assert (status, out, err) == (2, "", "dlplug: argument --times: invalid int value: 'x'\n")
    assert said("greet", "here", "there")[2] == "dlplug: unrecognized arguments: there\n"
    with pytest.raises(SystemExit, match="0"):
        said("greet", "--help")


def test_what_a_training_knows_is_passed_on(said):
    line = ("sweep", "--model=cnn", "--trials", "3", "--model.lr", "0.1")
    assert said(*line) == (0, "3 ['--model=cnn', '--model.lr', '0.1']\n", "")


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("nowhere", 1, "the command nowhere of stranger-greeting 1.0 fails: ModuleNotFoundError: No module named"),
        ("absent", 1, "the command absent of stranger-greeting 1.0 fails: AttributeError: module 'greeting' has no"),
        ("broken", 1, "the command broken of stranger-greeting 1.0 fails: ZeroDivisionError: division by zero"),
        ("leaving", 1, "the command leaving of stranger-greeting 1.0 fails: RuntimeError: it exits while it is loaded"),
        ("idle", 1, "the command idle of stranger-greeting 1.0 fails: AttributeError: 'Namespace' object has no"),
        ("fail", 1, "the command fail of stranger-greeting 1.0 fails: ZeroDivisionError: division by zero"),
        ("full", 1, "the command full of stranger-greeting 1.0 fails: OSError: the disk is \\x1b[31mfull"),
        ("odd", 1, "the command odd of stranger-greeting 1.0 fails: ValueError: invalid literal"),
        ("base", 1, "the command base of stranger-greeting 1.0 fails: Mute: Mute"),
        ("bye", 1, "the command bye of stranger-greeting 1.0 fails: SystemExit: bye \\x1b[31m"),
        ("most", 1, "the command most of stranger-greeting 1.0 fails: RuntimeError: it ends with status 256"),
        ("leave", 1, "the command leave of stranger-greeting 1.0 fails: SystemExit: 7"),
        ("refuse", 2, "dlplug: not like this\n"),
        ("gret", 2, "there is no command 'gret'; did you mean 'greet'? (not loaded: bad; see `dlplug plugins`)"),
        ("reprot", 2, "there is no command 'reprot'; did you mean 'report'?"),
        ("gan", 2, "gan is a model, not a command"),
        ("other:greet", 2, "there is no command 'other:greet'"),
        ("twice", 2, "command 'twice' is offered by 2 plugins: say greeting:twice"),
    ],
)
def test_what_goes_wrong_is_one_line(said, line, status, words):
    found = said(line)
    assert found[:2] == (status, "")
    assert words in found[2]
    assert found[2].count("\n") == 1


def test_a_traceback_for_who_asks(monkeypatch):
    monkeypatch.setenv("DLPLUG_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["fail"])


def test_names_that_others_have(said):
    """The core's are the core's; `topic:name` asks one plugin; `dlplug plugins` says of both."""
    assert said("report", "nowhere")[2] == "dlplug: nowhere is not a run folder: there is no such folder\n"
    assert said("greeting:report", "here")[:2] == said("other:twice", "here")[:2] == (0, "hello\n")
    assert said("core:report", "nowhere")[0] == 2
    out = said("plugins")[1]
    assert "the command 'report' is offered by core and greeting: say core:report\n" in out
    assert "the command 'twice' is offered by greeting and other: say greeting:twice\n" in out


def test_help_lists_them_by_group_without_importing_any(said):
    status, out, err = said("--help")
    assert (status, err) == (0, "")
    assert (
        "  greet RUN [--times N]        What greet does.\n" in out.partition("\nset up\n")[0].partition("\nfind\n")[2]
    )
    of_plugins = out.partition("\nof plugins\n")[2]
    assert all(name in of_plugins for name in ("broken", "greeting:report", "greeting:twice", "other:twice"))
    assert "greeting" not in sys.modules
    assert "  command  greet " in said("list", "greet")[1]
    assert "  command of stranger-greeting 1.0, greeting.greet\n" in said("info", "greet")[1]
    assert "greeting" not in sys.modules


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("", {"greet", "fit", "greeting:twice", "other:twice"}, {"twice", "greeting:greet"}),
        ("gre", {"greet", "greeting:report"}, {"fit"}),
        ("greet --", {"--times", "--how", "--help"}, set()),
        ("greet --how ", {"loud", "low"}, set()),
        ("greet runs/c", {"runs/cnn/1"}, set()),
        ("greeting:twice --t", {"--times"}, set()),
        ("sweep --", {"--trials", "--model", "--trainer.max_epochs"}, {"--model.channels"}),
        ("sweep --trials 3 --model cnn --model.", {"--model.channels"}, {"--trials"}),
        ("sweep --model ", {"cnn", "gan"}, {"--trials", "greet"}),
        ("broken --", set(), {"--help"}),
        ("leaving ", set(), {"--help"}),
        ("uninstall g", {"greeting", "generative"}, {"greet"}),
    ],
)
def test_completion(folder, line, offered, not_offered):
    (folder / "runs" / "cnn" / "1").mkdir(parents=True)
    (folder / "runs" / "cnn" / "1" / "config.yaml").touch()
    found = set(complete(line.split(" ")))
    assert offered <= found
    assert not not_offered & found


def test_what_a_target_prints_is_no_completion(capfd):
    assert main(["completion", "fish", "greet", "--ti"]) == 0
    assert capfd.readouterr() == ("--times\thow often\n", "imported\nby hand\n")


def test_the_cores_commands_do_without_discovery(monkeypatch, capsys):
    monkeypatch.setattr("dlplug.registry.plugins.distributions", lambda: 1 / 0)
    assert main(["report", "runs/nowhere"]) == 2  # a path: a name may be one of installed weights
    assert "runs/nowhere is not a run folder" in capsys.readouterr().err
    monkeypatch.setattr("dlplug.commands.doctor._devices", list)  # seconds
    assert main(["doctor"]) == 1
    assert "BROKEN  plugins    cannot be looked for: ZeroDivisionError: division by zero" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"takes": "bananas"}, "takes of 'hello' is 'bananas', none of 'run', 'model', 'words', 'options', ''"),
        ({"takes": ["run"]}, "takes of 'hello'"),
        ({"usage": "RUN\nRUN"}, "usage of 'hello' is not one line of text"),
        ({"group": None}, "group of 'hello' is not one line of text"),
        ({"name": "Hello"}, "name 'Hello' is not like 'my-name'"),
        ({"name": "--help"}, "name '--help' is not like 'my-name'"),
    ],
)
def test_a_spec_of_other_types_is_refused(more, words):
    fields = dict(zip(("name", "target", "summary"), SPEC, strict=True)) | more
    with pytest.raises(ValueError, match=re.escape(words)):
        CommandSpec(**fields)


def test_none_imports_torch_for_its_help(folder):
    code = "import sys; from dlplug.__main__ import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(folder.parent / "site")}
    line = [sys.executable, "-c", code, "greet", "--help"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert "What greet does." in done.stdout
    assert done.stdout.endswith("\nFalse\n")


def test_command_named_help_is_a_clash_with_the_usage_text(said, tmp_path):
    (tmp_path / "site" / "plugin_of_aid.py").write_text(OTHER.replace('"twice"', '"help"'))
    lay_out(tmp_path / "site", "stranger-aid", "1.0", "aid = plugin_of_aid")
    status, out, _ = said("plugins")
    assert status == 1  # for the plugin that does not load
    assert "the command 'help' is offered by aid and core: say aid:help" in out
    assert said("help")[1].startswith("usage: dlplug COMMAND")
