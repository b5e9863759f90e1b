"""What this plugin offers."""

from dlplug import DataSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the data."""
    return [
        DataSpec(
            "digits",
            "dlplug_vision.digits:Digits",
            "1,797 handwritten digits, 8×8 grey: the quickest to train on.",
            lecture="3",
            tags=("image", "label", "handwriting"),
            gives="images",
        ),
        DataSpec(
            "mnist5k",
            "dlplug_vision.mnist5k:MNIST5k",
            "5,000 of MNIST's handwritten digits, 28×28 grey, 500 a class.",
            lecture="3",
            tags=("image", "label", "handwriting", "mnist"),
            gives="images",
        ),
    ]
