"""``dlplug install`` and ``uninstall``: plugins into this very environment and out of it, by its own pip or by uv."""

import json
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

from dlplug.commands.parser import Parser
from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Plugin, Registry
from dlplug.registry.installed import distributions, normalized
from dlplug.registry.provenance import HEAD

CAREFUL = {"torch", "lightning", "pytorch-lightning", "dlplug"}  # changed only where somebody agrees
TRY = {"model": "fit --model {}", "claim": "verify {}", "command": "{} --help", "data": "info {}"}
# Environments that are kept by a tool, which would undo what others change: the tool's file, and what to type.
KEPT = {
    "pipx_metadata.json": ("pipx inject dlplug", "pipx uninject dlplug"),
    "uv-receipt.toml": ("uv tool install dlplug --with", "uv tool install dlplug, without"),
}


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug install``."""
    parser.description = "Install plugins into this environment, and say what came. What is installed runs as you."
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a name, a wheel, a folder or a git address")
    parser.add_argument("--find-links", metavar="DIR", type=Path, help="a folder of wheels to look in")
    parser.add_argument("--no-index", action="store_true", help="look nowhere else, and use no network")
    parser.add_argument("--upgrade", action="store_true", help="the newest, where one is installed already")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=install)


def configure_uninstall(parser: Parser) -> None:
    """Add the arguments of ``dlplug uninstall``."""
    parser.add_argument("name", metavar="NAME", help="as in `dlplug plugins`, or its distribution")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=uninstall)


def install(options: Namespace) -> int:
    """Show what would change, install it and say what came; the status is 1 if something of it does not load."""
    sources = [_source(source) for source in options.sources]
    flags = ["--upgrade"] * options.upgrade + ["--no-index"] * options.no_index
    flags += [f"--find-links={options.find_links}"] if options.find_links else []
    changes = _changes(*flags, "--", *sources)
    if not changes:
        print("nothing to install: it is here already; --upgrade looks for a newer one")
        return 0
    for name, (old, new) in sorted(changes.items()):
        print(f"{name} {f'{old} -> {new}' if old else new}")
    if careful := sorted(name for name, (old, _) in changes.items() if old and name in CAREFUL):
        _agree(f"{' and '.join(careful)} would change, which other plugins and runs rely on", options.yes)
    before = _plugins()
    _call("install", *flags, "--", *sources)
    return _report(before)


def uninstall(options: Namespace) -> int:
    """Say which runs need a plugin, and remove it; the status is 1 if another does not load without it."""
    plugins = {name: p for p in Registry.discover().plugins for name in (p.origin.partition(" ")[0], p.name)}
    if options.name not in plugins:
        raise InputError(f"no plugin {options.name!r} is installed; " + did_you_mean(options.name, plugins))
    plugin = plugins[options.name]
    dist = plugin.origin.partition(" ")[0]
    if dist == "dlplug":
        raise InputError("that is dlplug itself: pip uninstall dlplug")
    runs = _runs_of(plugin, dist)
    print(f"runs here that need {plugin.origin}: {len(runs) or 'none'}", *runs, sep="\n  ")
    _agree(f"{dist} would be removed", options.yes)
    before = _plugins()
    _call("uninstall", *["--yes"] * bool(find_spec("pip")), dist)
    if plugin.origin in {p.origin for p in Registry.discover().plugins}:  # pip calls it a success
        raise InputError(f"{plugin.origin} is still here: it is outside this environment, {sys.prefix}")
    print(f"{plugin.origin} is removed")
    return _report(before)


def _runs_of(plugin: Plugin, dist: str) -> list[Path]:
    """Return the runs whose config names a class of a plugin's packages, or the plugin, which hooked into them."""
    found = [spec.target for spec in plugin.specs]
    if plugin.dist:
        found += [entry.value for entry in plugin.dist.entry_points]
    packages = "|".join(sorted({re.split("[.:]", target)[0] for target in found}))
    needs = re.compile(rf"^{HEAD}{dist} |(?<![\w.])({packages})\.\w", re.MULTILINE)
    configs = sorted(Path().glob("runs/*/*/config.yaml"))
    return [config.parent for config in configs if needs.search(config.read_text(errors="replace"))]


def _source(source: str) -> str:
    """Return a source as pip takes it: a folder by its path, or it would be looked for by name; git marked as such."""
    if (Path(source) / "pyproject.toml").is_file():
        return str(Path(source).resolve())
    return f"git+{source}" if re.fullmatch(r"(https?|ssh)://.*\.git(@.*)?", source) else source


def _changes(*args: str) -> dict[str, tuple[str, str]]:
    """Return the versions that are here, if any, and that would be, by name."""
    if find_spec("pip"):
        said = "\n" + _call("install", "--dry-run", "--report=-", *args)
        found = json.JSONDecoder().raw_decode(said[said.index("\n{\n") + 1 :])[0]["install"]
        pairs = [(each["metadata"]["name"], each["metadata"]["version"]) for each in found]
    else:
        pairs = re.findall(r"^ \+ (\S+)==(\S+)", _call("install", "--dry-run", *args), re.MULTILINE)
    here = distributions()
    old = {name: here[normalized(name)].version if normalized(name) in here else "" for name, _ in pairs}
    return {normalized(name).replace("_", "-"): (old[name], number) for name, number in pairs}


def _call(verb: str, *args: str) -> str:
    """Call what installs into this environment, and return what it says.

    Raises:
        InputError: It refuses, or there is none.
    """
    for file, types in KEPT.items():
        if (Path(sys.prefix) / file).is_file():
            what = " ".join(arg for arg in args if arg[0] != "-")
            raise InputError(f"another tool keeps this environment; type: {types[verb == 'uninstall']} {what}")
    if find_spec("pip"):
        line = [sys.executable, "-m", "pip", verb, "--disable-pip-version-check", "--no-input", *args]
    elif uv := shutil.which("uv"):
        line = [uv, "pip", verb, f"--python={sys.executable}", *args]
    else:
        raise InputError(f"this environment has no pip, and there is no uv: {sys.executable} -m ensurepip")
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        skipped = "ResolutionImpossible|Exception:"  # what either means is said elsewhere
        errors = re.findall(rf"(?m)^(?:ERROR|  fatal): (?!{skipped})(.*?)\.?$", done.stderr)  # of pip, and its reasons
        errors += re.findall(r"(?m)^    (\S+ \S+ depends on .*|The user requested .*)", done.stdout)
        last = re.split(r"error: |\n(?=[\w.]+: )", done.stderr)[-1].strip()  # of uv, or of pip's traceback
        raise InputError("; ".join(errors) or last or f"status {done.returncode}")
    return done.stdout + done.stderr


def _agree(what: str, yes: bool) -> None:
    """Ask, unless told not to.

    Raises:
        InputError: There is nobody to ask, or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"{what}: say --yes, since there is no terminal to ask in")
    if input(f"{what}; go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was changed")


def _plugins() -> list[str]:
    """Return what ``dlplug plugins`` of a new process says, in a piece for each plugin and each clash of names."""
    line = [sys.executable, "-P", "-m", "dlplug", "plugins"]
    said = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    return re.split(r"\n(?=\S)", said.strip())


def _report(before: list[str]) -> int:
    """Print what ``dlplug plugins`` says now, and a command to try; the status is 1 if some of it does not load."""
    new = "\n".join(piece for piece in _plugins() if piece not in before)
    print(new or "no plugin is new or changed")
    if found := re.search(r"^([\w-]+)  .*(?:\n    .*)*?\n    (model|claim|command|data) +([\w-]+)", new, re.MULTILINE):
        topic, kind, name = found.groups()
        print(f"try: dlplug {TRY[kind].format(f'{topic}:{name}' if f' {name!r} is offered by' in new else name)}")
    return int("NOT LOADED" in new)
