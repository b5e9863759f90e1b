"""The commands: one table of them, and how one is run.

Each command imports what it needs and no more, since a command that only looks something up is to answer at once.
"""

from importlib import import_module
from typing import Any, NamedTuple

from dlplug.errors import InputError, did_you_mean


class Command(NamedTuple):
    """A command.

    Attributes:
        name: What is typed.
        target: Where it is, as ``"package.module:function"``. The function is given a ``Parser`` to add its arguments
            to, and to set its default ``run`` to a function from the parsed arguments to an exit status. One that is
            called ``main`` parses by itself: it is given the command's name and arguments, and returns the status.
        typed: How it is typed, in the usage text.
        text: What it does, in one line.
        more: Further lines of the usage text.
    """

    name: str
    target: str
    typed: str
    text: str
    more: str = ""

    @property
    def own_parser(self) -> bool:
        """Whether it parses its arguments itself."""
        return self.target.endswith(":main")

    def load(self) -> Any:
        """Import its target."""
        module, _, function = self.target.partition(":")
        return getattr(import_module(f"dlplug.{module}"), function)


TRAIN, SHOW = "commands.train:main", "commands.show:configure"
FIT = """
      --data NAME  --logger NAME  -c FILE  --model.ARG VALUE  --data.ARG VALUE  --trainer.ARG VALUE
      --help                   the arguments of the chosen model and data
      --help-all               every argument, the trainer's too
  fit RUN [options]            resume a run from its last completed epoch"""
REPORT = "\n      --open  --out FILE"
NEW = "write a plugin that works at once, to be changed into yours; --kind model, data or claim"
PLUGINS = "installed plugins: where from, what they hook, or why one does not load"
COMPLETION = "a script that completes commands, names, options and run folders"
# fmt: off
GROUPS = {
    "train and look": (
        ("fit", TRAIN, "--model NAME [options]", "train a model on its own data with its own recipe", FIT),
        ("test", TRAIN, "RUN", "measure a run's best checkpoint on the test data"),
        ("validate", TRAIN, "RUN", "the same on the validation data"),
        ("predict", TRAIN, "RUN", "write the predictions for the test data"),
        ("generate", "commands.generate:main", "RUN [options]", "draw, write or play with a trained model"),
        ("report", "commands.report:configure", "RUN [RUN ...]",
         "write a run as one HTML page, or several side by side", REPORT),
        ("dashboard", "commands.dashboard:configure", "MODEL --entity E",
         "save the model's panels as a Weights & Biases workspace"),
    ),
    "write and check": (
        ("new", "commands.new:configure", "NAME [DIR]", NEW),
        ("verify", "commands.verify:configure", "[WORD ...]",
         "measure sentences of the course: claims, models or sections by name"),
        ("check", "testing.check_command:configure", "NAME",
         "whether a plugin keeps what it promises, and what to change"),
    ),
    "find": (
        ("list", f"{SHOW}_list", "[WORD] [--json]", "models and data, by section of the course"),
        ("info", f"{SHOW}_info", "NAME", "one card: arguments, data that fits, where it comes from"),
        ("plugins", f"{SHOW}_plugins", "", PLUGINS),
    ),
    "set up": (
        ("doctor", "commands.doctor:configure", "",
         "what is installed here, what works, and what to put in a bug report"),
        ("completion", "commands.completion:configure", "bash|zsh|fish", COMPLETION),
    ),
}
# fmt: on
COMMANDS = {row[0]: Command(*row) for group in GROUPS.values() for row in group}
FOOT = """
dlplug --help, --version. DLPLUG_DISABLE=a,b switches plugins off, DLPLUG_ONLY=a,b all others; DLPLUG_DEBUG=1 shows
tracebacks."""


def run(args: list[str]) -> int:
    """Run a command line and return its exit status.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    match args:
        case [] | ["-h" | "--help" | "help", *_]:
            print(usage())
            return 0
        case ["--version", *_]:
            from importlib.metadata import version

            print(f"dlplug {version('dlplug')}")
            return 0
    name, *rest = args
    command = COMMANDS.get(name)
    if command is None:
        raise InputError(f"there is no command {name!r}; " + did_you_mean(name, COMMANDS))
    status: int
    if command.own_parser:
        status = command.load()(name, rest)
    else:
        options = parser_of(command).parse_args(rest)
        status = options.run(options)
    return status


def parser_of(command: Command) -> Any:
    """Return the parser of a command that has one."""
    from dlplug.commands.parser import Parser

    parser = Parser(prog=f"dlplug {command.name}", allow_abbrev=False)
    command.load()(parser)
    return parser


def usage() -> str:
    """Return the usage text: every command, by group."""
    lines = ["usage: dlplug COMMAND ..."]
    for group, rows in GROUPS.items():
        shown = [COMMANDS[name] for name, *_ in rows]
        lines += ["", group, *(f"  {f'{c.name} {c.typed}':28} {c.text}{c.more}" for c in shown)]
    return "\n".join([*lines, FOOT])
