"""Finds installed plugins and answers what they offer."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TextIO, cast

from pluggy import PluginManager

from dlplug import hookspecs
from dlplug.console import PlainOutput, plain
from dlplug.errors import InputError, did_you_mean
from dlplug.registry.installed import GROUP, Distribution, EntryPoint, distributions, entry_points, normalized
from dlplug.specs import TARGET, DataSpec, ModelSpec, Spec

_NOUNS = {kind: kind for kind in ("model", "logger", "claim", "command", "mutant")}
_NOUNS |= {"data": "data set", "weights": "set of weights"}
# Nearly all requirements are as plain as this; reading the others takes a parser that takes 20 ms to import.
PLAIN_REQUIREMENT = re.compile(r"([\w.-]+?)(?:\[[\w.,-]*\])?((?:(?:[<>=!~]=|[<>])[\w.*+]+,?)*)")


@dataclass(frozen=True)
class Plugin:
    """An installed plugin.

    Attributes:
        name: Name of its entry point.
        origin: Its distribution and version, such as ``"dlplug-vision 0.1.0"``.
        specs: What it offers.
        problem: Why it does not load; empty where it does.
        hooks: Names of the hooks that it implements.
        dist: Its distribution, where there is one.
    """

    name: str
    origin: str
    specs: tuple[Spec, ...] = ()
    problem: str = ""
    hooks: tuple[str, ...] = ()
    dist: Distribution | None = field(default=None, compare=False, repr=False)


class Registry:
    """The installed plugins: those that work with what they offer, the others with the reason.

    Attributes:
        plugins: Every installed plugin that is not switched off, by entry point name.
    """

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self._manager = PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)

    @classmethod
    def discover(cls) -> "Registry":
        """Load every installed plugin that the environment allows.

        ``DLPLUG_DISABLE`` names plugins that are left out (commas between them); where ``DLPLUG_ONLY`` names any, all
        others are left out but the core. ``DLPLUG_WITH`` puts classes in models' places, ``cnn=my_file.Net``: their
        recipes, claims and checks are then about that class.
        """
        registry = cls()
        disabled, only = (_listed(f"DLPLUG_{name}") for name in ("DISABLE", "ONLY"))
        installed = distributions()
        with _interrupts():
            for entry_point in sorted(entry_points(installed), key=lambda e: (e.name, not _is_own(e))):
                name = entry_point.name
                if name not in disabled and (not only or name in (*only, "core")):
                    registry.plugins.append(registry._load(entry_point, installed))
        for pair in _listed("DLPLUG_WITH"):
            registry._put(*pair.partition("=")[::2])
        return registry

    def __iter__(self) -> Iterator[Spec]:
        return (spec for plugin in self.plugins for spec in plugin.specs)

    @property
    def problems(self) -> list[Plugin]:
        """The plugins that do not load."""
        return [plugin for plugin in self.plugins if plugin.problem]

    def find(self, kind: str, name: str) -> Spec:
        """Return the spec of that kind and name, where ``topic:name`` asks one plugin only.

        Raises:
            InputError: No plugin offers it, or more than one does.
        """
        topic, _, short = name.rpartition(":")
        offers = [
            (plugin, spec)
            for plugin in self.plugins
            for spec in plugin.specs
            if (spec.kind, spec.name) == (kind, short) and topic in ("", plugin.name)
        ]
        if not offers:
            raise InputError(self._unknown(kind, name))
        if len(offers) > 1:
            choices = " or ".join(f"{plugin.name}:{short} ({spec.class_path})" for plugin, spec in offers)
            raise InputError(f"{kind} {name!r} is offered by {len(offers)} plugins: say {choices}")
        return offers[0][1]

    def owner(self, spec: Spec) -> Plugin:
        """Return the plugin that offers a spec."""
        return next(plugin for plugin in self.plugins if any(spec is offered for offered in plugin.specs))

    def spec_of(self, kind: str, class_path: str) -> Spec | None:
        """Return the spec behind a class path, where a plugin offers that class."""
        return next((spec for spec in self if (spec.kind, spec.class_path) == (kind, class_path)), None)

    def fitting(self, model: ModelSpec) -> list[str]:
        """Return the names of the data that a model can be given."""
        return sorted(
            spec.name for spec in self if isinstance(spec, DataSpec) and model.takes and spec.gives == model.takes
        )

    def hooks(self, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Yield the plugin's name and the function of each implementation of a hook."""
        for impl in getattr(self._manager.hook, name).get_hookimpls():
            yield impl.plugin_name, impl.function

    def _unknown(self, kind: str, name: str) -> str:
        other = next((spec.kind for spec in self if spec.name == name), None)
        if other:
            return f"{name} is a {_NOUNS[other]}, not a {_NOUNS[kind]}"
        known = {spec.name for spec in self if spec.kind == kind}
        message = f"there is no {_NOUNS[kind]} {name!r}; {did_you_mean(name, known)}"
        if self.problems:
            message += f" (not loaded: {', '.join(plugin.name for plugin in self.problems)}; see `dlplug plugins`)"
        return message

    def _put(self, name: str, class_path: str) -> None:
        """Put a class in the place of a model."""
        spec, target = self.find("model", name), ":".join(class_path.rpartition(".")[::2])
        if not TARGET.fullmatch(target):
            raise InputError(f"{name}={class_path}: give a class in place of a model, such as {name}=my_file.Net")
        for place, plugin in enumerate(self.plugins):
            specs = tuple(replace(each, target=target) if each is spec else each for each in plugin.specs)
            self.plugins[place] = replace(plugin, specs=specs)

    def _load(self, entry_point: EntryPoint, installed: Mapping[str, Distribution]) -> Plugin:
        """Load one plugin, whatever it does wrong: pluggy's own loader would let one broken plugin stop them all."""
        name, dist, module = entry_point.name, entry_point.dist, None
        try:
            for line in dist.headers.get("Requires-Dist", []):
                _require(line, installed)
            if self._manager.has_plugin(name):
                raise _Unmet("another plugin has this name")
            with stdout_apart(), _nothing_taken():
                module = entry_point.load()
                self._manager.register(module, name)
                self._manager.check_pending()
                hooks = tuple(caller.name for caller in self._manager.get_hookcallers(module) or ())
                return Plugin(name, dist.origin, _specs_of(module), hooks=hooks, dist=dist)
        except BaseException as error:  # a plugin may raise whatever it likes, KeyboardInterrupt too
            if module is not None and self._manager.get_plugin(name) is module:
                self._manager.unregister(module)
            reason = plain(error) if isinstance(error, _Unmet) else f"{type(error).__name__}: {plain(error)}"
            return Plugin(name, dist.origin, problem=reason, dist=dist)


def _is_own(entry_point: EntryPoint) -> bool:
    """Return whether an entry point is of the distribution that its name belongs to: nobody else's may displace it."""
    owner = "dlplug" if entry_point.name == "core" else f"dlplug-{entry_point.name}"
    return entry_point.dist.headers.get("Name") == [owner]


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C end this in the end, though plugins that raise KeyboardInterrupt themselves do not."""
    pressed = []
    before = signal.getsignal(signal.SIGINT)
    with suppress(ValueError):  # in another thread than the main one, which alone hears of it
        signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _nothing_taken() -> Iterator[None]:
    """Put back what an import took from all others: places to import from, modules, the working directory."""
    path, modules, folder = list(sys.path), dict(sys.modules), os.getcwd()
    try:
        yield
    finally:
        sys.path = [*path, *(place for place in sys.path if place not in path)]
        sys.modules.update(modules)
        os.chdir(folder)


@contextmanager
def stdout_apart() -> Iterator[None]:
    """Send what is written to stdout to stderr, by whichever way: ``list --json`` is for programs."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        # Both are put back, whatever becomes of them; a terminal obeys no escape code that is printed or warned of.
        stderr = cast(TextIO, PlainOutput(sys.stderr))
        with redirect_stdout(stderr), redirect_stderr(stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _listed(variable: str) -> list[str]:
    return os.environ.get(variable, "").replace(",", " ").split()


class _Unmet(Exception):
    """A plugin lacks what it requires."""


def _require(line: str, installed: Mapping[str, Distribution]) -> None:
    """Raise if a requirement is not met."""
    if "extra ==" in line:
        return
    if plain := PLAIN_REQUIREMENT.fullmatch(line.replace(" ", "")):
        name, bounds = plain.groups()
    else:
        from packaging.requirements import Requirement

        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate():
            return
        name, bounds = requirement.name, str(requirement.specifier)
    found = installed.get(normalized(name))
    if not found:
        raise _Unmet(f"requires {line}, which is not installed")
    if name.startswith("dlplug") and not _within(found.version, bounds):
        raise _Unmet(f"requires {line}, but {name} is {found.version}")


def _within(found: str, bounds: str) -> bool:
    """Return whether a version is within bounds such as ``">=0.1,<0.2"``."""
    if not re.fullmatch(r"[\d.]+", found) or not re.fullmatch(r"(?:(?:>=|<)[\d.]+,?)*", bounds):
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(bounds).contains(found, prereleases=True)
    release = [int(part) for part in found.split(".")]
    for bound in filter(None, bounds.split(",")):
        limit = [int(part) for part in bound.lstrip("<>=").split(".")]
        longest = max(len(release), len(limit))
        at_least = release + [0] * (longest - len(release)) >= limit + [0] * (longest - len(limit))
        if at_least != bound.startswith(">="):
            return False
    return True


def _specs_of(module: Any) -> tuple[Spec, ...]:
    """Ask one plugin alone: a call through pluggy would mix all plugins' answers."""
    specs = tuple(module.dlplug_specs()) if hasattr(module, "dlplug_specs") else ()
    names = set()
    for spec in specs:
        if not isinstance(spec, Spec):
            raise TypeError(f"dlplug_specs gave {spec!r}, which is not a Spec")
        known: Any = next(kind for kind in type(spec).__mro__ if kind.__module__ == Spec.__module__)
        if known is not type(spec):  # a class of the plugin's own, which may check nothing
            known.__post_init__(spec)
            if getattr(known, "kind", "") != spec.kind:
                raise ValueError(f"{spec.name} is of the kind {spec.kind!r}, which its class says otherwise")
        if (spec.kind, spec.name) in names:
            raise ValueError(f"dlplug_specs gave the {spec.kind} {spec.name!r} twice")
        names.add((spec.kind, spec.name))
    return specs
