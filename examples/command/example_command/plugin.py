"""What this plugin offers."""

from dlplug import CommandSpec, hookimpl


@hookimpl
def dlplug_specs():
    """Return the command; its target says the arguments."""
    text = "A run's mistakes, and what is like them."
    return [CommandSpec("nearest", "example_command.nearest:configure", text, usage="RUN", takes="run")]
