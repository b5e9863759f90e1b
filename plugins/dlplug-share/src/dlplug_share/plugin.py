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
        CommandSpec(
            "card",
            "dlplug_share.card:configure",
            "Write a run's model card and weights into a folder that model hubs take as it is.",
            usage="RUN [--out FOLDER]",
            takes="run",
        ),
        CommandSpec(
            "pack",
            "dlplug_share.pack:configure",
            "Write trained weights as a distribution, which pip installs and commands take by name.",
            usage="RUN [RUN ...] [--name NAME]",
            takes="run",
        ),
        CommandSpec(
            "compare",
            "dlplug_share.compare:configure",
            "Hold models that take the same data against one ruler, the judges of the data.",
            usage="RUN [RUN ...] | --all [--data NAME]",
            takes="run",
        ),
    ]
