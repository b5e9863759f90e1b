"""What opening a run folder would import: classes of plugins, of Lightning and of torch pass, others are named."""

import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from dlplug.console import say
from dlplug.errors import InputError
from dlplug.registry.plugins import Registry

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
        say(f"{what} imports {', '.join(f'{path} from {file}' for path, file in found.items())}")


def _dotted(config: Any) -> Iterator[str]:
    if isinstance(config, str) and DOTTED.fullmatch(config):
        yield config
    elif isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _dotted(value)


def _file_of(path: str) -> str:
    try:
        spec = find_spec(path.partition(".")[0])
    except ValueError:  # such as __main__
        spec = None
    return str(spec.origin) if spec else "this program"


def _is_object(path: str) -> bool:
    """Return whether a module and a name in it may be meant, as far as is known without importing it."""
    root = path.partition(".")[0]
    if root in sys.modules and path.count(".") == 1:
        return hasattr(sys.modules[root], path.partition(".")[2])
    try:
        return find_spec(root) is not None
    except ValueError:  # such as __main__
        return True
