"""``dlplug fit``, ``validate``, ``test`` and ``predict``."""

import os
import sys

from dlplug.commands.parser import print_arguments, print_wrapped
from dlplug.registry import Registry
from dlplug.registry.source import read_class

COMMON_TRAINER = ("max_epochs", "max_steps", "accelerator", "devices", "strategy", "precision", "gradient_clip_val")


def main(command: str, args: list[str]) -> int:
    """Run a training command, or print its help."""
    # A class of the user's own may be in a file here. Last, so that no file here hides a module of Python's.
    sys.path.append(os.getcwd())
    registry = Registry.discover()
    if {"-h", "--help"} & set(args):
        return print_help(registry, command, args)
    from dlplug.registry.job import expand  # and YAML, which `fit --help` does without

    job = expand(command, [arg for arg in args if arg != "--help-all"], registry)
    from dlplug.training.cli import print_help_all, run  # seconds, from here on

    if "--help-all" in args:
        return print_help_all(job, registry)
    return run(job, registry)


def print_help(registry: Registry, command: str, args: list[str]) -> int:
    """Print the arguments of the chosen model and data, and the trainer's most used ones."""
    rest = [arg for arg in args if arg not in ("-h", "--help")]
    if not rest:
        print(f"usage: dlplug {command} --model NAME [--data NAME] [-c FILE] [--model.ARG VALUE] ...")
        print(f"       dlplug {command} RUN [options]\n")
        models = ", ".join(sorted(spec.name for spec in registry if spec.kind == "model"))
        print_wrapped("models: ", models or "none installed")
        print(f"`dlplug {command} --model NAME --help` shows that model's arguments, --help-all every argument.")
        return 0
    from dlplug.registry.job import TRAINER, expand  # and YAML, which the other commands do without

    job = expand(command, rest, registry)
    recipe = dict(arg[2:].partition("=")[::2] for arg in job.args if arg.startswith("--") and "=" in arg)
    print(f"usage: dlplug {command} --model {job.model} [--data NAME] [-c FILE] [--KIND.ARG VALUE] ...")
    for kind, class_path in job.chosen.items():
        if not class_path:
            continue
        spec, source = registry.spec_of(kind, class_path), read_class(class_path)
        print(f"\n{kind} {spec.name if spec else class_path}" + (f": {spec.summary}" if spec else ""))
        print_arguments(source.arguments if source else (), f"--{kind}.", recipe)
    trainer = read_class(TRAINER)
    print("\ntrainer (Lightning's; --help-all shows the rest)")
    common = [a for a in trainer.arguments if a.name in COMMON_TRAINER] if trainer else []
    for argument in common:
        default = recipe.get(f"trainer.{argument.name}", argument.default)
        print(f"  --trainer.{argument.name:18} {default}")
    return 0
