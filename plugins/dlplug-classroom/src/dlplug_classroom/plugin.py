"""What this plugin offers."""

from dlplug import CommandSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the commands."""
    return [
        CommandSpec(
            "exercise",
            "dlplug_classroom.exercise:configure",
            "Write a model's source with bodies to fill in, or with a fault to find.",
            usage="MODEL [FILE] [--broken N]",
            takes="model",
        ),
        CommandSpec(
            "grade",
            "dlplug_classroom.grade:configure",
            "Measure a student's class by the checks and claims of the model that it stands for.",
            usage="FILE.Class --as MODEL",
        ),
    ]
