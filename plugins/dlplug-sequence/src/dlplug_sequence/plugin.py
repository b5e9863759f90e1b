"""What this plugin offers."""

from dlplug import Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return []
