"""What this plugin hooks; Lightning is imported only once something trains."""

from dlplug import hookimpl


@hookimpl
def dlplug_callbacks():
    """Give each trainer the callback."""
    from example_callback.stop import StopAtNaN

    return [StopAtNaN()]
