"""What this plugin offers."""

from dlplug import CommandSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the command."""
    summary = "play with a trained model on a page in the browser: draw, type, speak, move sliders"
    return [CommandSpec("play", "dlplug_play.command:configure", summary, usage="[RUN ...]", takes="run")]
