"""What this plugin offers."""

from dlplug import DataSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the data; models that take images fit it."""
    return [DataSpec("npz-images", "example_own_data.npz:NPZImages", "Images from your own file.", gives="images")]
