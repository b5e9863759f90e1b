"""What is installed, as ``importlib.metadata`` finds it: importing that would take half the time of ``dlplug list``."""

import os
import re
import sys
from collections.abc import Mapping
from functools import cached_property
from pkgutil import resolve_name
from typing import Any, NamedTuple

from dlplug.console import plain

GROUP = "dlplug"


class Distribution:
    """A distribution, by what its installer wrote down.

    Args:
        folder: Its ``.dist-info``, or an older ``.egg-info``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def read_text(self, name: str) -> str:
        """Return a file of the folder, what is not UTF-8 marked; empty where it cannot be read."""
        try:
            with open(os.path.join(self.folder, name), "rb") as file:
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """Its metadata, without the README below it, which would take longest to read."""
        headers: dict[str, list[str]] = {}
        for line in (self.read_text("METADATA") or self.read_text("PKG-INFO")).split("\n\n", 1)[0].splitlines():
            key, _, value = line.partition(": ")
            headers.setdefault(key, []).append(value)
        return headers

    @property
    def version(self) -> str:
        """Its version; empty where it does not say."""
        return next(iter(self.headers.get("Version", ())), "")

    @property
    def origin(self) -> str:
        """Its name and version."""
        return plain(" ".join([*self.headers.get("Name", ["unknown distribution"]), *self.headers.get("Version", [])]))

    @property
    def entry_points(self) -> list["EntryPoint"]:
        """What it has installed under our name."""
        sections = re.split(r"^\[\s*(.*?)\s*\]\s*$", self.read_text("entry_points.txt"), flags=re.MULTILINE)
        texts = (text for group, text in zip(sections[1::2], sections[2::2], strict=True) if group == GROUP)
        lines = (line.strip() for text in texts for line in text.splitlines())
        pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
        return [EntryPoint(name.strip(), value.partition("[")[0].strip(), self) for name, _, value in pairs]


class EntryPoint(NamedTuple):
    """A plugin's module, by the plugin's name."""

    name: str
    value: str
    dist: Distribution

    def load(self) -> Any:
        """Import it."""
        return resolve_name(self.value if ":" in self.value else f"{self.value}:")


def distributions() -> dict[str, Distribution]:
    """Return the distributions in the folders of ``sys.path`` by their names; the first of a name is the one."""
    found: dict[str, Distribution] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:  # there is none, or it is an archive
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                stem = name.rpartition(".")[0].partition("-")[0]
                found.setdefault(normalized(stem), Distribution(os.path.join(folder, name)))
    return found


def entry_points(installed: Mapping[str, Distribution]) -> list[EntryPoint]:
    """Return all plugins' modules."""
    return [entry_point for dist in installed.values() for entry_point in dist.entry_points]


def normalized(name: str) -> str:
    """Return a distribution's name as its folder begins: ``A.b`` is ``a_b``."""
    return re.sub("[-_.]+", "_", name).lower()
