"""What this plugin offers."""

from dlplug import CommandSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the commands."""
    return [
        CommandSpec(
            "export",
            "dlplug_share.export:configure",
            "Write a run's network as ONNX, for torch.export or as safetensors, checked against the run's.",
            usage="RUN [--to onnx|pt2|safetensors] [--out FILE]",
            takes="run",
        ),
    ]
