"""What this plugin offers."""

from dlplug import ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the model."""
    summary = "A cnn that says which pixels count."
    return [ModelSpec("looker", "example_demo.looker:Looker", summary, takes="images", data="digits")]
