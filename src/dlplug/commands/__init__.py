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
        group: Heading of the usage text that it stands under.
        target: Where it is, as ``"package.module:function"``. The function is given a ``Parser`` to add its arguments
            to, and to set its default ``run`` to a function from the parsed arguments to an exit status.
        usage: Lines of the usage text: what is typed and what it does; the first names the command.
        own_parser: The target parses by itself: it is called with the command's name and arguments instead, and
            returns the exit status.
    """

    name: str
    group: str
    target: str
    usage: tuple[tuple[str, str], ...]
    own_parser: bool = False

    def load(self) -> Any:
        """Import its target."""
        module, _, function = self.target.partition(":")
        return getattr(import_module(module), function)


COMMANDS = (
    Command(
        "fit",
        "train and look",
        "dlplug.commands.train:main",
        (
            ("fit --model NAME [options]", "train a model on its own data with its own recipe"),
            ("    --data NAME  --logger NAME  -c FILE  --model.ARG VALUE  --data.ARG VALUE  --trainer.ARG VALUE", ""),
            ("    --help", "the arguments of the chosen model and data"),
            ("    --help-all", "every argument, the trainer's too"),
            ("fit RUN [options]", "resume a run from its last completed epoch"),
        ),
        own_parser=True,
    ),
    Command(
        "test",
        "train and look",
        "dlplug.commands.train:main",
        (("test RUN", "measure a run's best checkpoint on the test data"),),
        own_parser=True,
    ),
    Command(
        "validate",
        "train and look",
        "dlplug.commands.train:main",
        (("validate RUN", "the same on the validation data"),),
        own_parser=True,
    ),
    Command(
        "predict",
        "train and look",
        "dlplug.commands.train:main",
        (("predict RUN", "write the predictions for the test data"),),
        own_parser=True,
    ),
    Command(
        "generate",
        "train and look",
        "dlplug.commands.generate:main",
        (("generate RUN [options]", "draw, write or play with a trained model"),),
        own_parser=True,
    ),
    Command(
        "report",
        "train and look",
        "dlplug.commands.report:configure",
        (
            ("report RUN [RUN ...]", "write a run as one HTML page, or several side by side"),
            ("    --open  --out FILE", ""),
        ),
    ),
    Command(
        "dashboard",
        "train and look",
        "dlplug.commands.dashboard:configure",
        (("dashboard MODEL --entity E", "save the model's panels as a Weights & Biases workspace"),),
    ),
    Command(
        "new",
        "write and check",
        "dlplug.commands.new:configure",
        (
            (
                "new NAME [DIR]",
                "write a plugin that works at once, to be changed into yours; --kind model, data or claim",
            ),
        ),
    ),
    Command(
        "verify",
        "write and check",
        "dlplug.commands.verify:configure",
        (("verify [WORD ...]", "measure sentences of the course: claims, models or sections by name"),),
    ),
    Command(
        "check",
        "write and check",
        "dlplug.testing.check_command:configure",
        (("check NAME", "whether a plugin keeps what it promises, and what to change"),),
    ),
    Command(
        "list",
        "find",
        "dlplug.commands.show:configure_list",
        (("list [WORD] [--json]", "models and data, by section of the course"),),
    ),
    Command(
        "info",
        "find",
        "dlplug.commands.show:configure_info",
        (("info NAME", "one card: arguments, data that fits, where it comes from"),),
    ),
    Command(
        "plugins",
        "find",
        "dlplug.commands.show:configure_plugins",
        (("plugins", "installed plugins: where from, what they hook, or why one does not load"),),
    ),
    Command(
        "doctor",
        "set up",
        "dlplug.commands.doctor:configure",
        (("doctor", "what is installed here, what works, and what to put in a bug report"),),
    ),
    Command(
        "completion",
        "set up",
        "dlplug.commands.completion:configure",
        (("completion bash|zsh|fish", "a script that completes commands, names, options and run folders"),),
    ),
)
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
    command = next((command for command in COMMANDS if command.name == args[0]), None)
    if command is None:
        known = {command.name for command in COMMANDS}
        raise InputError(f"there is no command {args[0]!r}; " + did_you_mean(args[0], known))
    status: int
    if command.own_parser:
        status = command.load()(command.name, args[1:])
        return status
    options = parser_of(command).parse_args(args[1:])
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
    group = ""
    for command in COMMANDS:
        if command.group != group:
            group = command.group
            lines += ["", group]
        lines += [f"  {typed:28} {text}".rstrip() for typed, text in command.usage]
    return "\n".join([*lines, FOOT])
