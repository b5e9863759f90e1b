"""What opening a run folder would import: classes of plugins, of Lightning and of torch pass, others are named."""

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from dlplug.console import say
from dlplug.errors import InputError
from dlplug.registry.plugins import Registry
from dlplug.registry.source import is_there, read_class

NAME = re.compile(r"[A-Za-z_]\w*")
PLAIN = {"str", "int", "float", "bool", "None", "list", "dict", "tuple", "Path"}  # what is never imported
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
KNOWN = {"dlplug", "lightning", "pytorch_lightning", "torch", "torchmetrics", "torchvision"}


def check_trust(config: Any, what: object, registry: Registry) -> None:
    """Say which files a run's config would import besides what is installed for it, or refuse them.

    Args:
        config: The config's content, its names expanded.
        what: The run, for messages.
        registry: The installed plugins.

    Raises:
        InputError: ``DLPLUG_TRUST`` is ``plugins``, which what grades or serves other people's runs sets.
    """
    known = KNOWN | {spec.target.partition(":")[0].partition(".")[0] for spec in registry}
    others = [path for path in dict.fromkeys(_dotted(config)) if path.partition(".")[0] not in known]
    found = {path: _file_of(path) for path in others if _is_object(path)}
    if found and os.environ.get("DLPLUG_TRUST") == "plugins":
        raise InputError(f"{what} names {next(iter(found))}, which no plugin offers: DLPLUG_TRUST=plugins refuses it")
    if found:
        _say_once(f"{what} imports {', '.join(f'{path} from {file}' for path, file in found.items())}")


_say_once = cache(say)  # a command may look at its run several times


def _dotted(config: Any) -> Iterator[str]:
    if isinstance(config, str) and DOTTED.fullmatch(config):
        yield config
    elif isinstance(config, dict) and isinstance(config.get("class_path"), str) and "init_args" in config:
        yield from _dotted(config["class_path"])
        yield from _dotted(_without_texts(config["class_path"], config["init_args"]))
    elif isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _dotted(value)


def _without_texts(class_path: str, options: Any) -> Any:
    """Return a class's options but for those that are texts, such as a file ``test.csv``, which names no class."""
    arguments = read_class(class_path).arguments
    plain = {a.name for a in arguments if a.type and PLAIN.issuperset(NAME.findall(a.type))}
    return {key: value for key, value in options.items() if key not in plain} if isinstance(options, dict) else options


def _file_of(path: str) -> str:
    try:
        spec = find_spec(path.partition(".")[0])
    except ValueError:  # such as __main__
        spec = None
    if not spec:
        return "this program"
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "a folder")  # of a namespace package


def _is_object(path: str) -> bool:
    """Return whether a module and a name in it may be meant, as far as is known without importing it."""
    root = path.partition(".")[0]
    if root in sys.modules and path.count(".") == 1:
        return hasattr(sys.modules[root], path.partition(".")[2])
    return is_there(root)
