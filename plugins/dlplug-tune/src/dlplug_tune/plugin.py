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


if "DLPLUG_TRIAL" in os.environ:  # other runs are not made with this, and do not say so

    @hookimpl
    def dlplug_callbacks() -> list[Any]:
        """Return what prunes a trial, in the processes that train one."""
        from dlplug_tune.pruning import Prune  # and Optuna

        return [Prune(os.environ["DLPLUG_TRIAL"])]
