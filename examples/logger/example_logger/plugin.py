"""What this plugin offers."""

from dlplug import LoggerSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the logger, for `--logger lines`."""
    return [LoggerSpec("lines", "example_logger.lines:Lines", "A line of JSON a logging step.")]
