"""What is checked of a plugin: by name, each for its own reason."""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Plugin, Registry
from dlplug.registry.job import expand
from dlplug.registry.source import defines
from dlplug.specs import ClaimSpec, CommandSpec, DataSpec, ModelSpec, MutantSpec, Spec, WeightsSpec
from dlplug.testing.claims import ClaimChecks
from dlplug.testing.command_checks import CommandChecks
from dlplug.testing.data import DataChecks
from dlplug.testing.models import ModelChecks
from dlplug.testing.mutants import MutantChecks
from dlplug.testing.offers import SpecChecks
from dlplug.testing.weights import WeightsChecks


@dataclass(frozen=True)
class Check:
    """One check of one thing that a plugin offers. Calling it raises ``AssertionError`` with what to change.

    It raises ``unittest.SkipTest``, which pytest knows, where the spec's ``skip_checks`` says that it does not apply,
    or where there is nothing to check.

    Attributes:
        name: What is checked, such as ``"pickles"``.
        spec: What it is checked of.
        run: Does it.
    """

    name: str
    spec: Spec
    run: Callable[[], None]

    def __call__(self) -> None:
        """Run the check."""
        if reason := self.spec.skip_checks.get(self.name):
            raise SkipTest(reason)
        self.run()

    def __str__(self) -> str:
        return f"{self.spec.kind}-{self.spec.name}-{self.name}"


def checks_of(name: str, registry: Registry | None = None, data: str = "") -> list[Check]:
    """Return the checks of a model, data set, claim, logger or command, or of all that a plugin or distribution offers.

    Args:
        name: As in `dlplug list`, ``topic:name``, or a plugin's or a distribution's name.
        registry: The installed plugins; found where not given.
        data: Name or class path of the data that models are checked with, instead of their own.

    Raises:
        InputError: Nothing installed has that name, or none of it is a model that the data fit.
    """
    registry = registry or Registry.discover()
    named = _named(name, registry)
    if data:
        named = [(plugin, spec) for plugin, spec in named if isinstance(spec, ModelSpec)]
        if not named:
            raise InputError(f"--data {data} is for models, and {name} is none")
        for _, spec in named:
            path = expand("fit", ["--model", spec.class_path, "--data", data], registry).chosen["data"]
            files = registry.spec_of("data", path)
            if isinstance(files, DataSpec) and files.needs_files and not defines(path, "write_sample"):
                raise InputError(f"--data {data}: its files have to be there first, and it has no sample")
    checks: list[Check] = []
    for plugin, spec in named:
        checks += _checks(plugin, spec, registry, data)
    return checks


def _named(name: str, registry: Registry) -> list[tuple[Plugin, Spec]]:
    offers = [(plugin, spec) for plugin in registry.plugins for spec in plugin.specs]
    topic, _, short = name.rpartition(":")
    found = [(plugin, spec) for plugin, spec in offers if spec.name == short and topic in ("", plugin.name)]
    found = found or [(p, spec) for p, spec in offers if name in (p.name, p.origin.partition(" ")[0])]
    for plugin in registry.problems:
        if name in (plugin.name, plugin.origin.partition(" ")[0]):
            raise InputError(f"{plugin.origin} does not load: {plugin.problem}")
    if not found:
        names = {spec.name for _, spec in offers} | {plugin.name for plugin in registry.plugins}
        raise InputError(f"nothing installed is named {name!r}; " + did_you_mean(name, names))
    return found


def _checks(plugin: Plugin, spec: Spec, registry: Registry, data: str) -> list[Check]:
    kinds: dict[type[Spec], type[SpecChecks]] = {
        ModelSpec: ModelChecks,
        DataSpec: DataChecks,
        ClaimSpec: ClaimChecks,
        CommandSpec: CommandChecks,
        MutantSpec: MutantChecks,
        WeightsSpec: WeightsChecks,
    }
    folder = tempfile.mkdtemp(prefix="dlplug-check-")
    checks = kinds.get(type(spec), SpecChecks)(plugin, spec, registry, Path(folder))
    if isinstance(checks, ModelChecks):
        checks.data = data
    weakref.finalize(checks, shutil.rmtree, folder, ignore_errors=True)  # once the last check of it is gone
    return [Check(name, spec, run) for name, run in checks.all().items()]
