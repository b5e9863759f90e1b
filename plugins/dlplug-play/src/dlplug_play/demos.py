"""What can be asked of a run, as its model's types tell: ``generate``, the model's own demos, and predictions."""

import inspect
import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import torch
from lightning.pytorch import LightningModule, seed_everything

from dlplug.api import TrainedRun
from dlplug.errors import InputError
from dlplug.media import ImageFile, Media, OutputFile, SoundFile, Table, Text, TextFile, of
from dlplug.supervised import Supervised

FILES = ("image", "sound", "file")
KINDS: dict[Any, str] = {ImageFile: "image", SoundFile: "sound", TextFile: "file", OutputFile: "", Path: "file"}
KINDS |= {bool: "bool", int: "int", float: "float", str: "text"}
VECTORS = (tuple[float, ...], list[float], Sequence[float])
TOP = 10  # classes that a prediction names

_one_at_a_time = Lock()  # seeds and standard error are the whole process's


@dataclass(frozen=True)
class Field:
    """An argument that a widget stands for.

    Attributes:
        name: The argument's.
        kind: ``image``, ``sound`` and ``file``, each given as a path; ``text``, ``int``, ``float``, ``bool``;
            ``choice``; ``vector``, a slider for each number of the default.
        default: What it is unless changed.
        help: What the docstring says of it.
        choices: Of a ``choice``.
    """

    name: str
    kind: str
    default: Any = None
    help: str = ""
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Demo:
    """A question with its widgets.

    Attributes:
        title: What it is called.
        help: What it does, in a sentence.
        fields: What is asked.
        answer: Called with the fields and a ``seed``; returns media by name.
        live: Whether it answers whenever a field changes, and not only when asked to.
    """

    title: str
    help: str
    fields: tuple[Field, ...]
    answer: Callable[..., dict[str, Media]] = field(compare=False)
    live: bool = False


def demos_of(run: TrainedRun) -> list[Demo]:
    """Return what can be asked of a run.

    Raises:
        InputError: Nothing, or its model cannot be loaded.
    """
    model = run.model
    made = [_demo(title, function, live=True) for title, function in getattr(model, "demos", dict)().items()]
    predicted = _prediction(run)
    if predicted and isinstance(model, Supervised):  # whose `generate` says the same, in a line
        made.insert(0, predicted)
    else:
        made += [_demo("Generate", model.generate) if callable(getattr(model, "generate", None)) else None, predicted]
    found = [demo for demo in made if demo]
    if not found:
        raise InputError(
            f"{run.path}: {type(model).__name__} has nothing to play with: no `generate`, no `demos`, and no "
            "`predict_step` of images, texts or sounds"
        )
    return found


def _demo(title: str, function: Callable[..., Any], live: bool = False) -> Demo | None:
    """Return what asks a function, None where an argument that it needs has no widget."""
    doc = docstring_parser.parse(inspect.getdoc(function) or "", docstring_parser.DocstringStyle.GOOGLE)
    helps = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    hints = get_type_hints(function, include_extras=True)
    fields = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        kind, choices = kind_of(hints.get(name, type(parameter.default)))
        if kind:
            fields.append(Field(name, kind, None if required else parameter.default, helps.get(name, ""), choices))
        elif required:
            return None

    def answer(seed: int = 0, **options: Any) -> dict[str, Media]:
        return ask(function, seed, options)

    return Demo(title, doc.short_description or "", tuple(fields), answer, live)


def kind_of(annotation: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the kind of a field and its choices; no kind where no widget stands for the type."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return kind_of(rest[0]) if len(rest) == 1 else ("", ())
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if annotation in KINDS:
        return KINDS[annotation], ()
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    return ("vector" if annotation in VECTORS else ""), ()


def ask(function: Callable[..., Any], seed: int, options: Mapping[str, Any]) -> dict[str, Media]:
    """Call a function of a model, and return what it made, and what it said, by name.

    Raises:
        InputError: What it is asked for cannot be used.
    """
    said = StringIO()
    with _one_at_a_time, redirect_stderr(said), torch.no_grad():
        seed_everything(seed, verbose=False)
        try:
            made = function(**options)
            media = {key: of(value) for key, value in (made if isinstance(made, dict) else {"": made}).items()}
        except ValueError as error:
            raise InputError(str(error)) from error
    return media | ({"said": Text(said.getvalue().strip())} if said.getvalue().strip() else {})


def _prediction(run: TrainedRun) -> Demo | None:
    """Return what predicts a picture, a text or a sound, as the run's data module reads new files."""
    model, info = run.model, getattr(run.model, "info", None)
    if type(model).predict_step is LightningModule.predict_step:
        return None
    fields = []
    if all(hasattr(info, name) for name in ("channels", "height", "width")):
        fields.append(Field("image", "image"))
    if hasattr(info, "sample_rate"):
        fields.append(Field("sound", "sound"))
    if not fields and (hasattr(info, "vocabulary") or hasattr(info, "source")):
        fields.append(Field("text", "text"))
    if not fields:
        return None
    if len(fields) > 1:  # either will do
        fields = [replace(field, default="") for field in fields]

    def answer(seed: int = 0, text: str = "", **files: str) -> dict[str, Media]:
        given = {name: Path(path) for name, path in files.items() if path}
        if not text.strip() and not given:
            raise InputError(f"give {' or '.join(field.name for field in fields)}, or both")
        with tempfile.TemporaryDirectory() as folder:
            for path in given.values():  # of one name, which makes a picture and a sound a pair
                (Path(folder) / f"given{path.suffix}").write_bytes(path.read_bytes())
            inputs: Any = folder if given else [text]
            rows = ask(lambda: {"": _as_table(_predict(run, inputs))}, seed, {})
        return {"": rows[""]}  # without where the rows were written for a moment

    return Demo("Predict", "Predict from what the model has not seen.", tuple(fields), answer, live=True)


def _predict(run: TrainedRun, inputs: Any) -> dict[str, Any]:
    """Return the first row of predictions."""
    top = None if _names_at_most_one(run.model) else TOP
    table = run.predict(inputs, top=top)
    row = {name: next(iter(table[name])) for name in table}
    if row.get("error"):
        raise ValueError(row["error"])
    return {name: value for name, value in row.items() if name not in ("item", "error")}


def _names_at_most_one(model: Any) -> bool:
    return not hasattr(model, "top") or getattr(model.info, "target", "class") != "class"


def _as_table(row: Mapping[str, Any]) -> Table:
    """Return a row of predictions as a person reads it: a line a class, or a line a column."""
    ranks = [name for name in row if name == "class" or name.startswith("class_")]
    confidences = [name.replace("class", "confidence") for name in ranks]
    if ranks and all(name in row for name in confidences):
        return Table(("class", "confidence"), [(row[a], row[b]) for a, b in zip(ranks, confidences, strict=True)])
    return Table(("", "value"), list(row.items()))
