"""What is checked of a command."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from dlplug.commands import parser_of
from dlplug.commands.parser import Parser
from dlplug.registry.core import OWN_PARSER
from dlplug.specs import CommandSpec
from dlplug.testing.offers import HEAVY, SpecChecks, last_line

SECONDS = 0.25  # of the processor, for --help, where an empty Python takes .02
RUN = f"""
import sys, time
from dlplug.__main__ import main
try:
    status = main()
except SystemExit as error:
    status = error.code
print('taken:', time.process_time(), *[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


class CommandChecks(SpecChecks):
    """Checks of a command, short of what it does."""

    checks = (*SpecChecks.checks, "help", "refuses", "traces")
    spec: CommandSpec

    def all(self) -> dict[str, Callable[[], None]]:
        """Return the checks by name: of a parser, where there is one, and of what it answers."""
        found = super().all()
        return {name: found[name] for name in ("help", "refuses")} if self.spec.target in OWN_PARSER else found

    def arguments(self) -> None:
        """Check that it says what to run, and of each argument what it is for."""
        self.apart(self._check_arguments)

    def _check_arguments(self) -> None:
        parser = parser_of(self.spec)
        assert callable(parser.get_default("run")), f"{self.spec.target} sets no default `run` of its parser"
        silent = [action.dest for action in parser._actions if not action.help]
        assert not silent, f"arguments without help: {', '.join(silent)}"

    def help(self) -> None:
        """Check that --help answers at once, without importing torch."""
        for _ in range(3):  # whatever else the machine does
            status, said, wrong, taken = self._type("--help")
            assert status == 0, f"--help fails: {last_line(wrong)}"
            assert said, "--help says nothing"
            seconds, *heavy = taken.split()
            assert not heavy, f"--help imports {' and '.join(heavy)}: import it in `run`"
            if float(seconds) <= SECONDS:
                return
        raise AssertionError(f"--help takes {float(seconds):.2f} s: import what is large in `run`")

    def refuses(self) -> None:
        """Check that what it cannot use is refused in one line, with status 2: an option, and a run or a model."""
        for word in ("--no-such-option", *(["nowhere"] if self.spec.takes in ("run", "model") else [])):
            status, _, wrong, _ = self._type(word)
            right = status == 2 and wrong.count("\n") == 1
            assert right, f"{word}: status {status} and {wrong.count(chr(10))} lines, the last {last_line(wrong)!r}"

    def _type(self, *args: str) -> tuple[int, str, str, str]:
        """Return the status, what was said on stdout and stderr, and the seconds and heavy modules that it took."""
        line = [sys.executable, "-W", "ignore", "-c", RUN, f"{self.plugin.name}:{self.spec.name}", *args]
        done = subprocess.run(line, capture_output=True, text=True, cwd=self.folder, check=False)
        wrong, _, taken = done.stderr.rstrip("\n").rpartition("taken: ")
        return done.returncode, done.stdout, wrong, taken

    def exercise(self, made: Any) -> None:
        """Let it add its arguments."""
        made(Parser())
