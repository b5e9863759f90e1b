"""What this plugin offers."""

from dlplug import ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models."""
    return [
        ModelSpec(
            "gan",
            "dlplug_generative.gan:GAN",
            "Two networks compete: one draws images, the other tells them from real ones.",
            lecture="4.6",
            tags=("image", "adversarial", "dcgan"),
            takes="images",
            data="mnist5k",
            recipe={"trainer.max_epochs": 50, "data.batch_size": 32},
            recipes={"digits": {"model.shift": 0, "trainer.max_epochs": 160}},
            learning="unsupervised",
        ),
    ]
