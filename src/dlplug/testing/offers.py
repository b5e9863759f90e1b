"""What is checked of everything that a plugin offers."""

import os
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import SkipTest

from dlplug.registry import Plugin, Registry
from dlplug.registry.source import UNREAD, read_class
from dlplug.specs import Spec
from dlplug.testing.commands import run_apart

HEAVY = ("torch", "lightning", "pytorch_lightning")


class SpecChecks:
    """Checks of a spec and of the class behind it.

    Attributes:
        checks: Their names, which are those of methods.
        plugin: Who offers it.
        spec: What is offered.
        registry: The installed plugins.
        folder: Where the checks may write.
    """

    checks: tuple[str, ...] = ("light", "target", "arguments")
    base = ""  # class path of what the target must be

    def __init__(self, plugin: Plugin, spec: Spec, registry: Registry, folder: Path) -> None:
        self.plugin, self.spec, self.registry, self.folder = plugin, spec, registry, folder

    def all(self) -> dict[str, Callable[[], None]]:
        """Return the checks by name."""
        return {name: getattr(self, name) for name in self.checks}

    def light(self) -> None:
        """Check that saying what it offers imports nothing heavy."""
        status, said, wrong = ask(self.plugin.name)
        assert status == 0, f"dlplug_specs() raises: {last_line(wrong)}"
        heavy = said.strip()
        assert not heavy, f"its plugin module imports {heavy}, on every command: import it where it is used"

    def target(self) -> None:
        """Check that the target is there and is of the right kind."""
        self.apart(self._check_target)

    def _check_target(self) -> None:
        found = self.load()
        if not self.base:
            return
        module, _, name = self.base.rpartition(".")
        base = getattr(import_module(module), name)
        right = isinstance(found, type) and issubclass(found, base)
        assert right, f"{self.spec.target} is not a {self.base}"

    def arguments(self) -> None:
        """Check that each argument has a type and help, which the command line shows."""
        source = read_class(self.spec.class_path)
        assert source is not UNREAD, f"the source of {self.spec.target} cannot be read"
        assert source.doc, f"{self.spec.target} has no docstring"
        untyped = [argument.name for argument in source.arguments if not argument.type]
        assert not untyped, f"arguments without a type: {', '.join(untyped)}"
        silent = [argument.name for argument in source.arguments if not argument.help]
        assert not silent, f"arguments that `Args:` of the class docstring does not explain: {', '.join(silent)}"

    def traces(self) -> None:
        """Check that neither importing the module nor making an object changes what others rely on."""
        self.apart(self._check_traces)

    def _check_traces(self) -> None:
        for name in self._imported_by_it():  # whose doings are not its own
            with suppress(Exception):
                import_module(name)
        before = global_state()
        made = self.load()
        self._compare(before, "importing it")
        before = global_state()
        self.exercise(made)
        self._compare(before, "making one")

    def _imported_by_it(self) -> list[str]:
        """Return the modules of others that importing it imports, found out in one more process."""
        package = self.spec.target.partition(":")[0].partition(".")[0]

        def work() -> int:
            self.load()
            print(*(name for name in sys.modules if name.partition(".")[0] not in (package, "__main__")))
            return 0

        place = self.folder / "imports"  # not where the process that asks writes
        place.mkdir(exist_ok=True)
        return run_apart(work, place)[1].split()

    def _compare(self, before: dict[str, Any], when: str) -> None:
        after = global_state()
        changed = [name for name in before if before[name] != after[name]]
        assert not changed, f"{when} changes {' and '.join(changed)}: leave them, or put them back"

    def exercise(self, made: Any) -> None:
        """Do with the class what must leave no trace."""
        made(**self.options())

    def pickles(self) -> None:
        """Check that an object survives pickling, as when other processes are started for it."""
        self.apart(self._check_pickle)

    def _check_pickle(self) -> None:
        made = self.load()(**self.options())
        try:
            pickle.loads(pickle.dumps(made))
        except Exception as error:
            raise AssertionError(
                f"it does not pickle, so it cannot be sent to other processes: {error} (a lambda or a local function "
                "as an attribute is a usual reason)"
            ) from error

    def load(self) -> Any:
        """Import the target."""
        module, _, name = self.spec.target.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError, SystemExit) as error:
            raise AssertionError(f"{self.spec.target} cannot be imported: {error}") from error

    def options(self) -> dict[str, Any]:
        """Return the check options that are arguments of the class itself."""
        prefix = f"{self.spec.kind}."
        return {k.removeprefix(prefix): v for k, v in self.spec.check_options.items() if k.startswith(prefix)}

    def apart(self, work: Callable[[], None]) -> None:
        """Run a part of a check in a process of its own; what it raises, this raises."""

        def guarded() -> int:
            try:
                work()
            except AssertionError as error:
                print(" ".join(str(error).split()))
                return 3
            except SkipTest as reason:
                print(reason)
                return 4
            return 0

        place = self.folder / "apart"
        place.mkdir(exist_ok=True)
        status, said, wrong = run_apart(guarded, place)
        if status == 4:
            raise SkipTest(last_line(said))
        assert status == 0, last_line(said) if status == 3 else last_line(wrong)


@cache
def ask(plugin: str) -> tuple[int, str, str]:
    """Ask a plugin what it offers, in a fresh process, once for all that it offers.

    Returns:
        The exit status, the heavy modules that were imported, and what was written to stderr.
    """
    code = f"""
import sys
from importlib.metadata import entry_points
[e.load().dlplug_specs() for e in entry_points(group="dlplug") if e.name == {plugin!r}]
print(*[name for name in {HEAVY} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    return found.returncode, found.stdout, found.stderr


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it says nothing")


def global_state() -> dict[str, Any]:
    """Return what a process shares, by what it is called."""
    import numpy as np
    import torch

    state: Any = np.random.get_state()
    return {
        "Python's random state": random.getstate(),
        "numpy's random state": (state[0], state[1].tobytes(), *state[2:]),
        "torch's random state": bytes(torch.get_rng_state().numpy()),
        "torch's default type": torch.get_default_dtype(),
        "torch's threads": torch.get_num_threads(),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "whether gradients are computed": torch.is_grad_enabled(),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),
        "the warnings filters": list(warnings.filters),
    }
