"""Where a distribution was installed from, and the versions that a config file or checkpoint records.

A recorded version is a line such as ``"dlplug-vision 0.2.0 (pip install dlplug-vision==0.2.0)"``: what it was, and how
to get it.
"""

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from dlplug.console import plain
from dlplug.registry import Plugin, Registry
from dlplug.registry.installed import distributions, normalized
from dlplug.registry.source import file_of

HEAD = "# made with "  # begins the first lines of a run's config.yaml
RECORDED = re.compile(r"(?P<name>\S+) (?P<version>\S+) \((?P<how>.+)\)")


def source_of(plugin: Plugin) -> tuple[str, str]:
    """Return where a plugin's distribution was installed from, in words, and the command that installs it again."""
    name, _, version = plugin.origin.partition(" ")
    url, vcs, editable = _direct_url(plugin)
    if not url:
        return "a package index", f"pip install {name}=={version}"
    if url.startswith("file:") and not vcs:
        from urllib.parse import unquote, urlsplit  # 5 ms, which `fit` of a misspelt name does without

        path = plain(unquote(urlsplit(url).path))
        return f"{path} (editable)" if editable else path, f"pip install {'-e ' * editable}{shlex.quote(path)}"
    url = f"{vcs[0]}+{url}@{vcs[1]}" if vcs else url
    return url, f"pip install {shlex.quote(f'{name} @ {url}')}"


def _direct_url(plugin: Plugin) -> tuple[str, tuple[str, str] | None, bool]:
    """Return what the installer noted of where it came from (PEP 610), without login: an empty URL where by name.

    Returns:
        The URL, the version control system and its commit, and whether it is editable.
    """
    try:
        direct = json.loads((plugin.dist and plugin.dist.read_text("direct_url.json")) or "{}")
        url = re.sub(r"(?<=//)[^/@]*@", "", plain(direct.get("url", "")))
        vcs = direct.get("vcs_info")
        commit = (plain(vcs["vcs"]), plain(vcs["commit_id"])) if vcs else None
        return url, commit, bool(direct.get("dir_info", {}).get("editable"))
    except Exception:  # whatever an installer, or a hand, made of it
        return "", None, False


def versions_to_record(config: str, registry: Registry) -> list[str]:
    """Return the versions behind a run: of the core, and of each plugin that its config names or that hooks into it."""
    return [
        f"{plugin.origin} ({_way_back(plugin)})"
        for plugin in registry.plugins
        if plugin.name == "core"
        or set(plugin.hooks) - {"dlplug_specs"}
        or any(spec.class_path in config for spec in plugin.specs)
    ]


def _way_back(plugin: Plugin) -> str:
    # Nobody whom a run is given can read a place of this machine.
    return "from a local folder" if _direct_url(plugin)[0].startswith("file:") else source_of(plugin)[1]


def recorded_versions(config: Path) -> list[str]:
    """Return the versions that the head of a config file names."""
    with open(config) as file:
        return [line.removeprefix(HEAD).strip() for line in file if line.startswith(HEAD)]


def version_drift(what: str | Path, recorded: Iterable[str]) -> str:
    """Return what has changed since: a clause for the end of a message, empty where all are as they were.

    Args:
        what: The file that records the versions.
        recorded: As ``recorded_versions`` returns them.
    """
    clauses = []
    installed = distributions()
    for made in filter(None, map(RECORDED.fullmatch, recorded)):
        origin, how = f"{made['name']} {made['version']}", made["how"]
        how = f"back with: {how}" if how.startswith("pip") else f"it came {how}"
        found = installed.get(normalized(made["name"]))
        if not found:
            clauses.append(f"{origin}, which is not installed; {how}")
        elif found.version != made["version"]:
            clauses.append(f"{origin}, but {found.version} is installed; {how}")
    return f"{what} was made with {' and '.join(clauses)}" if clauses else ""


def code_digest(registry: Registry) -> str:
    """Return what tells this code from any other: of the core and of all that plugins offer, and of what trains."""
    import hashlib  # 2 ms, which a misspelt name does without

    found = distributions()
    versions = (found[name].version for name in ("torch", "lightning", "numpy") if name in found)
    digest = hashlib.sha256(" ".join(versions).encode())
    for name in sorted({"dlplug", *(spec.target.partition(":")[0].partition(".")[0] for spec in registry)}):
        file = file_of(name)
        whole = sorted(file.parent.rglob("*")) if file and file.name == "__init__.py" else [file]
        for part in whole:
            if part and part.is_file() and part.suffix != ".pyc":
                digest.update(f"{name}/{part.name}".encode() + hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest()[:16]
