"""``dlplug fit``, ``validate``, ``test`` and ``predict``."""

import os
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlplug.commands.parser import Parser, print_arguments, print_wrapped
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.source import defines, read_class
from dlplug.specs import DataSpec, ModelSpec

if TYPE_CHECKING:
    from dlplug.registry.job import Job

COMMON_TRAINER = ("max_epochs", "max_steps", "accelerator", "devices", "strategy", "precision", "gradient_clip_val")


def main(command: str, args: list[str]) -> int:
    """Run a training command, or print its help."""
    # A class of the user's own may be in a file here. Last, so that no file here hides a module of Python's.
    sys.path.append(os.getcwd())
    registry = Registry.discover()
    if {"-h", "--help"} & set(args):
        return print_help(registry, command, args)
    from dlplug.registry.job import expand  # and YAML, which `fit --help` does without

    predictions, rest = predict_parser().parse_known_args(args) if command == "predict" else (Namespace(), args)
    if command == "fit" and any(arg.partition("=")[0] in ("--seeds", "--jobs") for arg in args):
        from dlplug.commands import seeds

        asked, rest = seeds.parser().parse_known_args(args)
        if asked.seeds is None:
            raise InputError("--jobs is how many of --seeds are fitted at once")
        return seeds.fit_seeds(rest, asked.seeds, asked.jobs, registry)
    job = expand(command, [arg for arg in rest if arg != "--help-all"], registry)
    job = replace(job, predictions=vars(predictions))
    check_inputs(job, registry)
    from dlplug.training.cli import print_help_all, run  # seconds, from here on

    if "--help-all" in args:
        return print_help_all(job, registry)
    return run(job, registry)


def predict_parser() -> Parser:
    """Return the parser of what ``predict`` takes besides."""
    parser = Parser(prog="dlplug predict RUN", allow_abbrev=False, add_help=False)
    parser.add_argument("--input", metavar="PATH", help="new files: a file, a folder, or - for standard input")
    parser.add_argument("--output", metavar="PATH", help="where to write, such as new.csv; - for standard output")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="what --output ends with unless given")
    parser.add_argument("--top", type=int, metavar="K", help="how many of the likeliest classes or words are named")
    return parser


def check_inputs(job: "Job", registry: Registry) -> None:
    """Refuse, before the seconds that importing torch takes, new files that are not there or that nothing reads.

    Raises:
        InputError: They cannot be predicted.
    """
    source, output = (job.predictions.get(name) for name in ("input", "output"))
    if job.run is None and (source or output):
        raise InputError("predict: --input and --output are for a run folder, as in `dlplug predict RUN --input FILE`")
    if output and Path(output).is_dir():
        raise InputError(f"--output {output} is a folder, not a file to write")
    if not isinstance(source, str):
        return  # the items themselves, from Python
    if source != "-" and not os.path.exists(source):
        raise InputError(f"--input {source}: there is no such file or folder")
    if source != "-" and output and os.path.exists(output) and os.path.samefile(source, output):
        raise InputError(f"--output {output} would replace what is to be predicted")
    if job.chosen["data"] and not defines(job.chosen["data"], "read_inputs"):
        able = {s.gives for s in registry if isinstance(s, DataSpec) and defines(s.class_path, "read_inputs")}
        fitting = [s for s in registry if isinstance(s, ModelSpec) and s.takes in able]
        models = ", ".join(sorted(s.name for s in fitting if defines(s.class_path, "predict_step")))
        raise InputError(f"--input: {job.model} is no model of new files; these are: {models or 'none installed'}")


def print_help(registry: Registry, command: str, args: list[str]) -> int:
    """Print the arguments of the chosen model and data, and the trainer's most used ones."""
    rest = [arg for arg in args if arg not in ("-h", "--help")]
    if not rest:
        print(f"usage: dlplug {command} --model NAME [--data NAME] [-c FILE] [--model.ARG VALUE] ...")
        print(f"       dlplug {command} RUN [options]\n")
        if command == "predict":
            print(predict_parser().format_help().partition("\n\n")[2])
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
        print_arguments(source.arguments, f"--{kind}.", recipe)
    print("\ntrainer (Lightning's; --help-all shows the rest)")
    for argument in (a for a in read_class(TRAINER).arguments if a.name in COMMON_TRAINER):
        default = recipe.get(f"trainer.{argument.name}", argument.default)
        print(f"  --trainer.{argument.name:18} {default}")
    return 0
