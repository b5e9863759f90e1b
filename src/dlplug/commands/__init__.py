"""The commands, the core's and the plugins': how one is found and run. Their table is in ``dlplug.registry.core``.

Each command imports what it needs and no more, since a command that only looks something up is to answer at once.
"""

import os
import sys
from collections import Counter
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from dlplug.console import plain
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.core import COMMANDS, OWN_PARSER
from dlplug.registry.installed import distributions
from dlplug.registry.plugins import stdout_apart
from dlplug.specs import CommandSpec

if TYPE_CHECKING:
    from dlplug.commands.parser import Parser

STATUSES = (0, 1, 2, 130, 143)  # what a script relies on; 143 after SIGTERM, which ends training so
MORE = {  # further lines of the usage text
    "fit": """
      --data NAME  --logger NAME  -c FILE  --model.ARG VALUE  --data.ARG VALUE  --trainer.ARG VALUE
      --run NAME               its folder's name; with --resume auto, a run of that name is resumed
      --seeds 0-4 --jobs 2     a run a seed, and what they reached together
      --help                   the arguments of the chosen model and data
      --help-all               every argument, the trainer's too
  fit RUN [options]            resume a run from its last checkpoint"""
}
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
            print(f"dlplug {distributions()['dlplug'].version}")
            return 0
    name, *rest = args
    if name in COMMANDS:  # without looking for plugins, so that nothing that is installed keeps these from working
        return _run(COMMANDS[name], rest)
    registry = Registry.discover()
    command = find(name, registry)
    sys.path.append(os.getcwd())  # a class of the user's own may be in a file here
    try:
        status = _run(command, rest)
        if status not in STATUSES:
            raise RuntimeError(f"it ends with status {status}")
        return status
    except BaseException as error:  # a plugin may raise whatever it likes
        if isinstance(error, InputError | BrokenPipeError | KeyboardInterrupt) or os.environ.get("DLPLUG_DEBUG"):
            raise
        if isinstance(error, SystemExit) and error.code in (None, *STATUSES):
            raise
        reason = f"{type(error).__name__}: {plain(error)}"
        print(f"dlplug: the command {name} of {registry.owner(command).origin} fails: {reason}", file=sys.stderr)
        return 1


def _run(command: CommandSpec, args: list[str]) -> int:
    if command.target in OWN_PARSER:
        return int(resolve_name(command.target)(command.name, args))
    parser = parser_of(command)
    options, rest = parser.parse_known_args(args)
    options.rest = rest
    if rest and command.takes != "options":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return int(options.run(options) or 0)


def parser_of(command: CommandSpec) -> "Parser":
    """Return the parser of a command that has one."""
    from dlplug.commands.parser import Parser  # argparse and ast: 10 ms, which the usage text does without

    parser = Parser(prog=f"dlplug {command.name}", description=command.summary, allow_abbrev=False)
    with stdout_apart():  # what importing it prints would be taken for completions
        try:
            resolve_name(command.target)(parser)
        except SystemExit as error:
            raise RuntimeError(f"it exits while it is loaded: {error}") from error
    return parser


def find(name: str, registry: Registry) -> CommandSpec:
    """Return the command of that name, the core's or a plugin's.

    Raises:
        InputError: There is none, or more than one.
    """
    found = COMMANDS.get(name) or registry.find("command", name)
    assert isinstance(found, CommandSpec)
    return found


def offered(registry: Registry) -> dict[str, CommandSpec]:
    """Return the commands by what is typed: ``topic:name`` where another one has the name."""
    found = [(p.name, s) for p in registry.plugins if p.name != "core" for s in p.specs if isinstance(s, CommandSpec)]
    count = Counter(["help", *COMMANDS, *(spec.name for _, spec in found)])
    return COMMANDS | {spec.name if count[spec.name] == 1 else f"{topic}:{spec.name}": spec for topic, spec in found}


def usage() -> str:
    """Return the usage text: every command, by group."""
    groups: dict[str, list[str]] = {}
    for name, command in offered(Registry.discover()).items():
        line = f"  {f'{name} {command.usage}':28} {command.summary}{MORE.get(name, '')}"
        groups.setdefault(command.group, []).append(line)
    lines = [line for group, shown in groups.items() for line in ("", group, *shown)]
    return "\n".join(["usage: dlplug COMMAND ...", *lines, FOOT])
