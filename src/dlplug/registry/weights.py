"""Installed weights, as the run folders that commands take."""

import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from dlplug.errors import InputError
from dlplug.registry.plugins import Registry
from dlplug.runs import digest_of
from dlplug.specs import NAME, WeightsSpec


def folder_of(spec: WeightsSpec) -> Path:
    """Return the folder of installed weights.

    Raises:
        InputError: The file in it is damaged or gone.
    """
    package, _, folder = spec.target.partition(":")
    found = find_spec(package)
    path = Path(next(iter((found and found.submodule_search_locations) or ()), ""), folder)
    if not (path / spec.file).is_file() or digest_of(path / spec.file) != spec.digest:
        raise InputError(f"the weights {spec.name} are damaged: install the package of {package} again")
    return path


def unpack(name: str) -> Path | None:
    """Return a run folder of installed weights below ``runs``, made when they are first asked for by name.

    It is a copy, since commands write into a run folder, and named by the digest, since a package may be replaced.

    Raises:
        InputError: They are damaged, of a package that does not load, or cannot be copied.
    """
    short = name.rpartition(":")[2]
    if not NAME.fullmatch(short):  # a path, say
        return None
    registry = Registry.discover()
    for plugin in registry.problems:
        if plugin.name == short:
            lacking = re.match("requires ([^ ]+),", plugin.problem)
            advice = f"; pip install '{lacking[1]}'" if lacking else ""
            raise InputError(f"{plugin.origin} does not load: {plugin.problem}{advice}")
    if not any(isinstance(spec, WeightsSpec) and spec.name == short for spec in registry):
        return None
    spec = registry.find("weights", name)
    assert isinstance(spec, WeightsSpec)
    source = folder_of(spec)
    path = Path("runs", spec.model, f"{spec.name}-{spec.digest[:8]}")
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as made:
                shutil.copytree(source, Path(made) / "run").rename(path)
        except OSError as error:
            if not path.exists():
                raise InputError(f"cannot make a run folder of {spec.name}, {path}: {error.strerror}") from error
    return path
