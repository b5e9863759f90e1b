"""Deep learning models as plugins, on top of PyTorch Lightning.

Importing this package is cheap on purpose: plugins import it to say what they offer, on every command, so it never
imports torch. The interfaces that need torch are one module further: ``dlplug.model`` and ``dlplug.data``.
"""

from dlplug.errors import InputError
from dlplug.hookspecs import hookimpl
from dlplug.panels import Panel
from dlplug.specs import ClaimSpec, CommandSpec, DataSpec, LoggerSpec, ModelSpec, Spec

__all__ = ["ClaimSpec", "CommandSpec", "DataSpec", "InputError", "LoggerSpec", "ModelSpec", "Panel", "Spec", "hookimpl"]
