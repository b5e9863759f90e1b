"""What this plugin offers."""

import os
from typing import Any

from dlplug import CommandSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the command."""
    summary = "search the options that are best on validation data: each trial a run, on Optuna"
    return [
        CommandSpec("tune", "dlplug_tune.command:configure", summary, usage="--model NAME [options]", takes="options")
    ]


@hookimpl
def dlplug_callbacks() -> list[Any]:
    """Return what prunes a trial, in the processes that train one."""
    if "DLPLUG_TRIAL" not in os.environ:
        return []
    from dlplug_tune.pruning import Prune  # and Optuna

    return [Prune(os.environ["DLPLUG_TRIAL"])]
