"""Deep learning models as plugins, on top of PyTorch Lightning.

Importing this package is cheap on purpose: plugins import it to say what they offer, on every command, so it never
imports torch. The interfaces that need torch are one module further: ``dlplug.model`` and ``dlplug.data``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dlplug.errors import InputError
from dlplug.hookspecs import hookimpl
from dlplug.panels import Panel
from dlplug.specs import ClaimSpec, CommandSpec, DataSpec, LoggerSpec, ModelSpec, MutantSpec, Spec, WeightsSpec

if TYPE_CHECKING:
    from dlplug.api import find_lr, fit, generate, info, list_models, list_runs, load, predict, test, verify

__all__ = [
    "ClaimSpec",
    "CommandSpec",
    "DataSpec",
    "InputError",
    "LoggerSpec",
    "ModelSpec",
    "MutantSpec",
    "Panel",
    "Spec",
    "WeightsSpec",
    "find_lr",
    "fit",
    "generate",
    "hookimpl",
    "info",
    "list_models",
    "list_runs",
    "load",
    "predict",
    "test",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what trains and shows only where it is used: plugins import this package on every command."""
    if name in __all__:
        return getattr(import_module("dlplug.api"), name)
    raise AttributeError(f"module 'dlplug' has no attribute {name!r}")
