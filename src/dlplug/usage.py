"""How commands take their arguments, and what ``--help`` says of a training command."""

import argparse
import shutil
import textwrap
from collections.abc import Iterable
from typing import NoReturn

from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.source import Argument, read_class

COMMON_TRAINER = ("max_epochs", "max_steps", "accelerator", "devices", "strategy", "precision", "gradient_clip_val")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit status 2, as everywhere."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise InputError(message)


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
    from dlplug.names import TRAINER, expand  # and YAML, which the other commands do without

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


def print_arguments(arguments: Iterable[Argument], prefix: str, values: dict[str, str]) -> None:
    """Print a line or more an argument; ``values`` are defaults that a recipe changes, by option."""
    for argument in arguments:
        default = values.get((prefix + argument.name)[2:], argument.default)
        given = "required" if default is None else f"default {default}"
        print_wrapped(f"  {prefix}{argument.name}  ", f"{argument.help} ({argument.type or 'any'}, {given})", indent=6)


def print_wrapped(start: str, text: str, indent: int | None = None) -> None:
    """Print text that starts with ``start`` and is indented by as much, or by ``indent``, on its further lines."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    hang = " " * (len(start) if indent is None else indent)
    # Names and paths stay in one piece, to be copied.
    wrapper = textwrap.TextWrapper(width, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False)
    print(wrapper.fill(start + text))
