"""What this plugin offers."""

from dlplug import ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the model; its recipe holds the defaults of `dlplug fit`."""
    recipe = {"trainer.max_epochs": 5}
    return [ModelSpec("plain", "example_plain.plain:Plain", "One layer.", takes="images", data="digits", recipe=recipe)]
