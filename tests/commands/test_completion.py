"""What Tab offers, asked as the shells' scripts ask, and by real shells."""

import os
import pty
import select
import shutil
import signal
import sys
import time

import pytest

from dlplug.__main__ import main
from dlplug.commands import COMMANDS, OWN_PARSER, offered, parser_of
from dlplug.commands.completion import SCRIPTS, Files, complete
from dlplug.registry import Registry

SETUP = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(dlplug completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -D; eval "$(dlplug completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "dlplug completion fish | source"),
}


def test_every_command_is_offered():
    offers = complete([""])
    assert set(offers) == {*offered(Registry.discover()), "--help", "--version"}
    assert offers["fit"].startswith("train a model")


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("fi", {"fit"}, {"info"}),
        ("fit --model ", {"gan", "cnn"}, {"digits"}),
        ("fit --model g", {"gan"}, {"cnn"}),
        ("fit --model=g", {"--model=gan"}, {"gan"}),
        ("fit --model gan --data ", {"digits", "mnist5k"}, {"gan"}),
        (
            "fit --model gan --",
            {"--model.latent_dim", "--data.batch_size", "--trainer.max_epochs"},
            {"--trainer.logger"},
        ),
        ("fit --model gan --trainer.l", {"--trainer.limit_train_batches"}, {"--trainer.max_epochs"}),
        ("fit --model cnn --data digits --model.", {"--model.channels"}, {"--model.latent_dim"}),
        ("fit --model gan --model.objective ", {"minimax", "non-saturating"}, set()),
        ("fit --model gan --model.lr ", set(), {"gan"}),
        ("fit --model gna --mod", {"--model"}, {"--model.latent_dim"}),
        ("fit --logger wandb --logger.", {"--logger.project"}, set()),
        ("fit --logger wandb --logger.mode o", {"online", "offline"}, {"auto"}),
        ("info ", {"gan", "digits", "layer-sizes"}, set()),
        ("info gan ", set(), {"gan"}),
        ("list --", {"--json"}, set()),
        ("verify ", {"layer-sizes", "3.1", "cnn"}, {"digits"}),
        ("verify layer-sizes out", {"output-size"}, set()),
        ("verify --f", {"--full"}, set()),
        ("check ", {"gan", "vision"}, set()),
        ("predict --", {"--input", "--top", "--model"}, set()),
        ("predict runs/a --format ", {"csv", "jsonl"}, {"--input"}),
        ("predict runs/a --input=new.txt --o", {"--output"}, {"--input"}),
        ("dashboard ", {"gan"}, {"digits"}),
        ("dashboard gan --e", {"--entity"}, set()),
        ("completion ", {"bash", "zsh", "fish"}, set()),
        ("nonsense --", set(), {"--help"}),
    ],
)
def test_offers(line, offered, not_offered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = complete(line.split(" "))
    assert offered <= set(found)
    assert not not_offered & set(found)
    assert all(value.startswith(line.split(" ")[-1]) for value in found)


def test_help_comes_with_an_option():
    assert complete(["fit", "--model", "gan", "--model.latent"]) == {
        "--model.latent_dim": "Dimension of the noise that an image is made from."
    }


@pytest.mark.parametrize("line", ["fit -c ", "fit --config=con", "verify --json ", "fit elsewhere/r"])
def test_files_are_the_shells_business(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Files):
        complete(line.split(" "))
    assert main(["completion", "bash", f"dlplug {line}"]) == 1
    assert capsys.readouterr().out == ""


def test_run_folders_newest_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cnn/2026-01-01_10-00-00", "gan/2026-01-02_10-00-00"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text("model: {class_path: gan}\n")
    (tmp_path / "runs" / "gan" / ".new-1").mkdir()
    old, new = "runs/cnn/2026-01-01_10-00-00", "runs/gan/2026-01-02_10-00-00"
    for command in ("fit", "test", "generate", "report"):
        assert list(complete([command, "r"])) == [new, old]
    assert list(complete(["report", new, "runs/c"])) == [old]
    assert "--model.latent_dim" in complete(["fit", new, "--model."])
    assert {"--n", "--seed"} <= set(complete(["generate", new, "--"]))


def test_what_each_shell_reads(capsys, tmp_path, monkeypatch):
    def asked(*args):
        assert main(["completion", *args]) == 0
        return capsys.readouterr().out

    assert asked("bash", "dlplug fit --model=pixel-r") == "pixel-rnn\n"  # bash replaces only what follows the `=`
    assert asked("bash", "dlplug info 'mnist5") == "mnist5k\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "cnn" / "a;date").mkdir(parents=True)
    (tmp_path / "runs" / "cnn" / "a;date" / "config.yaml").touch()
    assert asked("bash", "dlplug test runs/c") == "'runs/cnn/a;date'\n"  # which bash inserts as it is
    assert asked("zsh", "completion", "z") == "zsh\n"
    assert asked("fish", "repo").startswith("report\twrite a run as one HTML page")
    assert asked("zsh", "repo").startswith("report:write a run as one HTML page")


def test_a_command_brings_its_parser():
    parsers = {name: parser_of(command) for name, command in COMMANDS.items() if command.target not in OWN_PARSER}
    assert parsers["list"].prog == "dlplug list"
    assert parsers["verify"].parse_args(["3.1"]).words == ["3.1"]
    assert all(parser.get_default("run") for parser in parsers.values())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_real_shell(shell, tmp_path, monkeypatch):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "dlplug"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlplug "$@"\n')
    program.chmod(0o755)
    (tmp_path / "own-config.yaml").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    arguments, setup = SETUP[shell]
    with Terminal(arguments) as terminal:
        terminal.type(f"{setup}; echo rea''dy\n", until="ready")
        terminal.type("dlplug fit --model=pixel-r\t", until="--model=pixel-rnn")
        terminal.type("--model.ce\t", until="--model.cell")
        terminal.type("diag\t", until="diagonal")
        terminal.type("--data di\t", until="digits")
        terminal.type("-c own\t", until="own-config.yaml")


class Terminal:
    """An interactive program and what it shows."""

    def __init__(self, arguments):
        self.process, self.file = pty.fork()
        if not self.process:
            os.execvp(arguments[0], arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.file)

    def type(self, keys, until):
        os.write(self.file, keys.encode())
        shown, end = "", time.monotonic() + 60
        while until not in shown:
            assert time.monotonic() < end, shown
            if select.select([self.file], [], [], 0.5)[0]:
                shown += os.read(self.file, 65536).decode(errors="replace")
                if "\x1b[c" in shown or "\x1b[0c" in shown:  # fish asks what terminal this is, and waits
                    os.write(self.file, b"\x1b[?62;c")
                    shown = shown.replace("\x1b[c", "").replace("\x1b[0c", "")
