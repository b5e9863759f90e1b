"""What a plugin says about its classes before any of them is imported."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

NAME = re.compile(r"[a-z][a-z0-9-]*")
LECTURE = re.compile(r"([0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?", re.ASCII)
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
SEARCHED = re.compile(r"(model|data|trainer|optimizer|lr_scheduler)\.[A-Za-z_][\w.]*")
RANGES = ("float", "log", "int", "logint")


def _check_field(what: str, annotation: Any, value: Any) -> None:
    """Raise if a field is not what its annotation says, or what a command that prints it could not print."""
    kind = str(annotation)
    if "Mapping" in kind:
        nested = kind.count("Mapping") > 1 and isinstance(value, Mapping)
        for part in (value, *value.values()) if nested else (value,):
            if not isinstance(part, Mapping) or not all(isinstance(name, str) for name in part):
                raise ValueError(f"{what} is not a dict with names as keys")
        if not _is_plain(value):
            raise ValueError(f"{what} holds more than plain values")
    elif kind.startswith("tuple"):
        item = int if "int" in kind else str
        if not isinstance(value, tuple) or not all(
            isinstance(part, item) and str(part).isprintable() for part in value
        ):
            raise ValueError(f"{what} is not a tuple of {'whole numbers' if item is int else 'words'}")
    elif "bool" in kind:
        if not isinstance(value, bool):
            raise ValueError(f"{what} is neither True nor False")
    elif "Literal" in kind:
        if value not in get_args(annotation):
            raise ValueError(f"{what} is {value!r}, none of {', '.join(map(repr, get_args(annotation)))}")
    elif not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{what} is not one line of text")


def _is_plain(value: Any) -> bool:
    """Return whether JSON can hold a value."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(part) for name, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


@dataclass(frozen=True)
class Spec:
    """A class that a plugin offers under a short name.

    Attributes:
        name: Short name for the command line, unique within its kind.
        target: Where the class lives, as ``"package.module:Class"``; imported only when used.
        summary: One line for ``dlplug list``.
        lecture: Section of the course, such as ``"4.6"``, for grouping.
        tags: Further words to search by.
        check_options: Options with which `dlplug check` tries it on a few batches, such as ``{"model.width": 4}`` or
            ``{"generate.text": "a word"}``.
        skip_checks: Checks that do not apply to it, by name, each with the reason.

    Raises:
        ValueError: A field is malformed.
    """

    name: str
    target: str
    summary: str
    lecture: str = ""
    tags: tuple[str, ...] = ()
    check_options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    skip_checks: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} is not like 'my-name' (lower-case letters, digits, hyphens)")
        if not isinstance(self.target, str) or not TARGET.fullmatch(self.target):
            raise ValueError(f"target {self.target!r} of {self.name!r} is not like 'package.module:Class'")
        if not isinstance(self.lecture, str) or not LECTURE.fullmatch(self.lecture):
            raise ValueError(f"lecture {self.lecture!r} of {self.name!r} is not like '4.6'")
        if not self.summary:
            raise ValueError(f"summary of {self.name!r} is empty, not one line of text")
        for part in fields(self):
            _check_field(f"{part.name} of {self.name!r}", part.type, getattr(self, part.name))

    @property
    def class_path(self) -> str:
        """The target as a Lightning config file spells it."""
        return self.target.replace(":", ".")


@dataclass(frozen=True)
class DataSpec(Spec):
    """A ``LightningDataModule``.

    Attributes:
        gives: Kind of item it yields, such as ``"images"``; models that take this kind fit it.
        recipe_key: Its option that recipes tell apart, such as ``"env"``; none if empty.
        needs_files: Whether it reads files that have to be there first, and so cannot be loaded by a check.
        judges: Targets of the functions that ``dlplug compare`` measures runs on it with; see ``dlplug.judges``.
    """

    gives: str = ""
    recipe_key: str = ""
    needs_files: bool = field(default=False, kw_only=True)
    judges: tuple[str, ...] = field(default=(), kw_only=True)

    kind = "data"


@dataclass(frozen=True)
class Range:
    """What an option is searched over: choices, or the numbers between two bounds, which are among them.

    Attributes:
        choices: Plain values; none for numbers.
        low: The least number.
        high: The greatest.
        whole: Whether the numbers are whole.
        log: Whether each order of magnitude is as likely as another.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False

    @classmethod
    def parse(cls, option: str, given: Any) -> "Range":
        """Return the range of an option.

        Args:
            option: Such as ``"model.lr"``.
            given: A list of choices, or a text such as ``"log:1e-4:1e-1"``.

        Raises:
            ValueError: There is no such range, or what is searched is no option of a model, its data or the trainer.
        """
        if not SEARCHED.fullmatch(option):
            raise ValueError(f"{option!r} is no option to search, such as model.lr or data.batch_size")
        if isinstance(given, list | tuple):
            if len({repr(choice) for choice in given}) < max(2, len(given)):
                raise ValueError(f"{option}: {given!r} are not two different choices or more")
            return cls(tuple(given))
        kind, *bounds = str(given).split(":")
        whole = kind.endswith("int")
        try:
            low, high = (int(bound) if whole else float(bound) for bound in bounds)
        except ValueError:
            kind = ""
        if kind not in RANGES:
            raise ValueError(
                f"{option}: {given!r} is no range, such as float:0:0.5, log:1e-4:1e-1, int:1:8, logint:16:256 or "
                "[relu, tanh]"
            )
        least = 0 if kind.startswith("log") else -math.inf
        if not least < low < high < math.inf:
            raise ValueError(f"{option}: the bounds of {given} do not rise" + (" from above 0" if least == 0 else ""))
        return cls(low=low, high=high, whole=whole, log=kind.startswith("log"))

    @property
    def ends(self) -> tuple[Any, Any]:
        """The first and the last choice, or the bounds."""
        return (self.choices[0], self.choices[-1]) if self.choices else (self.low, self.high)


@dataclass(frozen=True)
class ModelSpec(Spec):
    """A ``LightningModule``.

    Attributes:
        takes: Kind of item it learns from, such as ``"images"``.
        data: Name of the data it trains on unless told otherwise.
        recipe: Options that give the model's stated quality, such as ``{"trainer.max_epochs": 30}``; defaults that
            config files and the command line override.
        recipes: What other data changes in the recipe, by the data's name, and then by name and variant, such as
            ``"gym:Acrobot-v1"``.
        learning: The notes' three kinds of learning (6.1).
        space: What a search tries of its options unless told otherwise, such as ``{"model.lr": "log:1e-4:1e-1",
            "model.width": "logint:16:256", "model.cell": ["gru", "lstm"]}``; see ``Range``.
    """

    takes: str = ""
    data: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learning: Literal["supervised", "unsupervised", "reinforcement", ""] = ""
    space: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)

    kind = "model"

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, given in self.space.items():
            try:
                Range.parse(option, given)
            except ValueError as error:
                raise ValueError(f"space of {self.name!r}: {error}") from None

    def recipe_for(self, data: str, variant: str = "") -> dict[str, Any]:
        """Return the options to train on the data of that name, and on that variant of it."""
        return {**self.recipe, **self.recipes.get(data, {}), **self.recipes.get(f"{data}:{variant}", {})}


class LoggerSpec(Spec):
    """A logger for ``--logger NAME``: a Lightning ``Logger``.

    Where it has a method ``attach(run: Run)``, that is called before training and testing with the run folder, on rank
    zero; such a logger is left out of commands that log nothing to a run folder. Where it has a method
    ``log_media(key: str, medium: Media, path: Path, step: int)``, that is called with what the model shows and the file
    it was saved in; ``step`` counts batches. A method ``log_checkpoints(saved: Mapping[Path, float | None])`` is called
    after each epoch with the checkpoints that were saved, and the best value of the monitored metric so far.
    """

    kind = "logger"


@dataclass(frozen=True)
class ClaimSpec(Spec):
    """A testable sentence of the course, which is the summary; the target is a function from a ``Lab`` to ``Evidence``.

    Attributes:
        models: Names of the models that it is about.
        full: Whether it takes longer than a few minutes, and so runs only with ``--full``.
        notes: The sentences of the course's notes that it measures, each after its section.
        seeds: What its measurements are repeated over; fresh ones where its bar, data or budget changed after a look.
        since: When its bar was fixed, as ``"2026-07-14"``.
        history: What changed after a look: one line each, with its date.
        corrects: A sentence of the notes that is too strong as it stands, where this one says what is true instead.
        equation: What it is about, as plain text.
        predict: What a reader should predict before looking, as a question.
        seen: What is seen, in a sentence without figures that a run would change.
        why: Why it is so, in a sentence.
    """

    models: tuple[str, ...] = ()
    full: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    since: str = field(default="", kw_only=True)
    history: tuple[str, ...] = field(default=(), kw_only=True)
    corrects: str = field(default="", kw_only=True)
    equation: str = field(default="", kw_only=True)
    predict: str = field(default="", kw_only=True)
    seen: str = field(default="", kw_only=True)
    why: str = field(default="", kw_only=True)

    kind = "claim"


@dataclass(frozen=True)
class MutantSpec(Spec):
    """A fault to plant in a model, which claims and checks have to notice; the target is the class that would have it.

    The summary says what it breaks. It is planted in a process that ends with what it was planted for: no file changes.

    Attributes:
        models: Names of the models that have the fault then.
        old: What stands once in the source of the target's module, in one line.
        new: What stands there instead.
        caught_by: Names of claims, and of checks of its models such as ``"learns"``, that are tried first.
    """

    models: tuple[str, ...] = ()
    old: str = ""
    new: str = ""
    caught_by: tuple[str, ...] = ()

    kind = "mutant"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.models or not self.old or self.old == self.new:
            raise ValueError(f"the mutant {self.name!r} names no model, or changes nothing")

    def planted(self, source: str) -> str:
        """Return the source of the target's module with the fault in it.

        Raises:
            ValueError: What it replaces does not stand there once.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.old!r} stands {source.count(self.old)} times in the source, not once")
        return source.replace(self.old, self.new)


@dataclass(frozen=True)
class CommandSpec(Spec):
    """A command, ``dlplug NAME``; the target is a function that is given the command's ``argparse.ArgumentParser``.

    It adds its arguments to that, and sets the default ``run``: a function from the parsed arguments to an exit status.
    Help and completion come from the parser, so importing the target should not import torch; ``run`` may. Bad input
    is an ``InputError``.

    Attributes:
        usage: What is typed after the name, such as ``"RUN [--n N]"``.
        group: The heading under which ``dlplug --help`` shows it.
        takes: What its positional arguments are, for completion: run folders, models, words such as ``dlplug info``
            takes, or files; ``"options"`` are those of ``dlplug fit`` that its parser does not know, which ``run`` is
            given in a list, ``rest``.
    """

    usage: str = ""
    group: str = "of plugins"
    takes: Literal["run", "model", "words", "options", ""] = ""

    kind = "command"


@dataclass(frozen=True)
class WeightsSpec(Spec):
    """Trained weights, as ``dlplug pack`` writes them; the target is ``"package:folder"``, a run folder in a package.

    Attributes:
        model: Name of the model that they are of.
        file: Where in the folder they are.
        digest: SHA-256 of that file, in hexadecimal. It shows damage, not tampering.
        card: Where in the folder their model card is.
    """

    model: str = ""
    file: str = "checkpoints/best.safetensors"
    digest: str = ""
    card: str = "README.md"

    kind = "weights"
