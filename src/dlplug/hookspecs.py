"""The hooks a plugin may implement; the first is the only one most plugins need."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

from dlplug.specs import Spec

if TYPE_CHECKING:
    from lightning.pytorch import Callback
    from lightning.pytorch.cli import LightningArgumentParser

hookspec = HookspecMarker("dlplug")
hookimpl = HookimplMarker("dlplug")


@hookspec
def dlplug_specs() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Say which models and data this plugin offers. Runs on every command, so it must not import torch."""


@hookspec
def dlplug_add_arguments(parser: "LightningArgumentParser") -> None:
    """Add arguments, defaults or links to the parser of each training command."""


@hookspec
def dlplug_callbacks() -> "Iterable[Callback]":  # type: ignore[empty-body]
    """Give callbacks to every trainer."""
