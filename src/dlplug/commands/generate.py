"""``dlplug generate RUN``: whatever a trained model's ``generate`` method makes, its arguments as options."""

import os
import re
import sys
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.registry import Registry
from dlplug.registry.job import model_of
from dlplug.runs import Run

if TYPE_CHECKING:
    from dlplug.media import Media


def main(command: str, args: list[str]) -> int:
    """Generate with the best checkpoint of a run.

    Raises:
        InputError: The model generates nothing, or an option or the checkpoint cannot be used.
    """
    if not args or args[0] in ("-h", "--help"):
        print(f"usage: dlplug {command} RUN [options]\n")
        print(f"`dlplug {command} RUN --help` shows what that run's model takes.")
        return 0
    run = Run.open(args[0])
    sys.path.append(os.getcwd())  # a class of the user's own may be in a file here
    model_of(run, Registry.discover())  # what is misspelt is said before the seconds that importing torch takes
    import torch

    from dlplug import media
    from dlplug.trained import class_of, load_trained

    model_class = class_of(run)
    refuse_silent(model_class)
    options = _parse(model_class, args[1:])
    model = load_trained(run).to("cuda" if torch.cuda.is_available() else "cpu")
    out = options.pop("out")
    made = generate_media(model, options.pop("seed"), options)
    shown = [(media.file_name(key) if key else "", medium) for key, medium in made.items()]
    if out and len(shown) > 1:
        raise InputError(f"--out {out}: this model generates {len(shown)} files")
    number = _next(run)
    for key, medium in shown:
        name = "-".join(filter(None, (f"{number:04d}", key)))
        _write(medium, Path(out) if out else run.path / "generated" / f"{name}.{medium.suffix}")
        if isinstance(medium, media.Text):
            print(medium.text)
    return 0


def refuse_silent(model_class: type) -> None:
    """Refuse a model that generates nothing.

    Raises:
        InputError: It is one.
    """
    if not callable(getattr(model_class, "generate", None)):
        raise InputError(f"{model_class.__name__} has no method `generate`: this model generates nothing")


def generate_media(model: Any, seed: int, options: Mapping[str, Any]) -> "dict[str, Media]":
    """Return what a model generates, by name; a single medium has none.

    Args:
        model: With its weights, in evaluation mode.
        seed: Of everything random.
        options: Arguments of its ``generate``.

    Raises:
        InputError: It generates nothing, or what it generates or is asked for cannot be used.
    """
    import torch
    from lightning.pytorch import seed_everything

    from dlplug import media

    refuse_silent(type(model))
    try:
        signature(model.generate).bind(**options)
    except TypeError as error:
        taken = ", ".join(signature(model.generate).parameters) or "nothing"
        raise InputError(f"generate: {error}; it takes {taken}") from error
    try:
        seed_everything(seed, verbose=False)
        with torch.no_grad():
            made = model.generate(**options)
        return {key: media.of(value) for key, value in (made if isinstance(made, dict) else {"": made}).items()}
    except ValueError as error:
        raise InputError(str(error)) from error


def _write(medium: Any, path: Path) -> None:
    if path.suffix != f".{medium.suffix}":
        raise InputError(f"--out {path}: what this model generates is a .{medium.suffix} file")
    try:
        write_atomically(path, medium.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    except ValueError as error:  # of a shape that nobody can look at
        raise InputError(str(error)) from error
    print(path, file=sys.stderr if medium.suffix == "txt" else sys.stdout)


def _parse(model_class: Any, args: list[str]) -> dict[str, Any]:
    from jsonargparse import ArgumentError, ArgumentParser, Namespace

    from dlplug.training.parse_errors import explain

    parser = ArgumentParser(prog="dlplug generate RUN", exit_on_error=False, allow_abbrev=False)
    parser.add_method_arguments(model_class, "generate", fail_untyped=False)
    parser.add_argument("--seed", type=int, default=0, help="Seed of everything random.")
    text = "File to write; a new one in the run folder if none."
    parser.add_argument("--out", type=str | None, default=None, help=text)
    flags = {f"--{name}" for name, p in signature(model_class.generate).parameters.items() if p.annotation is bool}
    line = [re.sub(r"^-(?=[a-z]\b)", "--", arg) for arg in args]  # -n as well as --n
    for i, arg in enumerate(line):
        if arg in flags and (i + 1 == len(line) or line[i + 1].startswith("-")):
            line[i] = f"{arg}=true"
    try:
        asked: Namespace = parser.parse_args(line)
    except ArgumentError as error:
        raise InputError(explain(error)) from error
    asked.pop("config", None)
    return asked.as_dict()


def _next(run: Run) -> int:
    number = 1
    while any((run.path / "generated").glob(f"{number:04d}[.-]*")):
        number += 1
    return number
