"""``dlplug generate RUN``: whatever a trained model's ``generate`` method makes, its arguments as options."""

import re
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from lightning.pytorch import LightningModule, seed_everything

from dlplug.checkpoint_io import read_checkpoint, refuse_misfit
from dlplug.cli import load_class
from dlplug.errors import InputError
from dlplug.media import Media, Text
from dlplug.messages import explain
from dlplug.names import with_makers
from dlplug.runs import Run, write_atomically


def run(folder: Run, class_path: str, args: list[str]) -> int:
    """Generate with the best checkpoint of a run.

    Args:
        folder: The run.
        class_path: Its model.
        args: What the user typed after it.

    Raises:
        InputError: The model generates nothing, or an option or the checkpoint cannot be used.
    """
    model_class = with_makers(lambda: load_class(class_path, LightningModule), [str(folder.config)])
    if not callable(getattr(model_class, "generate", None)):
        raise InputError(f"{model_class.__name__} has no method `generate`: this model makes nothing")
    asked = _parse(model_class, args)
    model = _load(model_class, class_path, folder)
    seed_everything(asked.pop("seed"), verbose=False)
    out = asked.pop("out")
    try:
        with torch.no_grad():
            medium: Media = model.generate(**asked.as_dict())  # type: ignore[operator]
    except ValueError as error:
        raise InputError(str(error)) from error
    path = Path(out) if out else _next(folder, medium)
    if path.suffix != f".{medium.suffix}":
        raise InputError(f"--out {path}: what this model makes is a .{medium.suffix} file")
    try:
        write_atomically(path, medium.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    if isinstance(medium, Text):
        print(medium.text)
    print(path, file=sys.stderr if isinstance(medium, Text) else sys.stdout)
    return 0


def _parse(model_class: Any, args: list[str]) -> Namespace:
    parser = ArgumentParser(prog="dlplug generate RUN", exit_on_error=False, allow_abbrev=False)
    parser.add_method_arguments(model_class, "generate", fail_untyped=False)
    parser.add_argument("--seed", type=int, default=0, help="Seed of everything random.")
    parser.add_argument(
        "--out", type=str | None, default=None, help="File to write; a new one in the run folder if none."
    )
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
    return asked


def _load(model_class: type[LightningModule], class_path: str, folder: Run) -> LightningModule:
    read_checkpoint(folder.trained)  # says in one line what is wrong with it
    try:  # on the CPU, as a trainer loads: what a model keeps beside its weights is not always a device's
        model = model_class.load_from_checkpoint(folder.trained, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        refuse_misfit(error, folder.trained, class_path)
        raise
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _next(folder: Run, medium: Media) -> Path:
    number = 1
    while (path := folder.path / "generated" / f"{number:04d}.{medium.suffix}").exists():
        number += 1
    return path
