"""What this plugin offers."""

from dlplug import ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the model."""
    recipe = {"trainer.max_epochs": 5}
    target = "example_torchvision.shufflenet:ShuffleNet"
    return [ModelSpec("shufflenet", target, "From torchvision.", takes="images", data="mnist5k", recipe=recipe)]
