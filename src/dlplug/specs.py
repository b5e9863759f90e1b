"""What a plugin says about its classes before any of them is imported."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

NAME = re.compile(r"[a-z][a-z0-9-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


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
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} is not like 'my-name' (lower-case letters, digits, hyphens)")
        if not TARGET.fullmatch(self.target):
            raise ValueError(f"target {self.target!r} of {self.name!r} is not like 'package.module:Class'")
        if not isinstance(self.lecture, str) or not isinstance(self.tags, tuple):
            raise ValueError(f"lecture of {self.name!r} is not a string or its tags are not a tuple")
        if not self.summary or "\n" in self.summary:
            raise ValueError(f"summary of {self.name!r} is not one line")

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
    """

    gives: str = ""
    recipe_key: str = ""
    needs_files: bool = field(default=False, kw_only=True)

    kind = "data"


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
    """

    takes: str = ""
    data: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learning: Literal["supervised", "unsupervised", "reinforcement", ""] = ""

    kind = "model"

    def recipe_for(self, data: str, variant: str = "") -> dict[str, Any]:
        """Return the options to train on the data of that name, and on that variant of it."""
        return {**self.recipe, **self.recipes.get(data, {}), **self.recipes.get(f"{data}:{variant}", {})}


@dataclass(frozen=True)
class LoggerSpec(Spec):
    """A logger for ``--logger NAME``: a Lightning ``Logger``.

    Where it has a method ``attach(run: Run)``, that is called before training and testing with the run folder, on rank
    zero; such a logger is left out of commands that log nothing to a run folder. Where it has a method
    ``log_media(key: str, medium: Media, path: Path, step: int)``, that is called with what the model shows and the file
    it was saved in; ``step`` counts batches.
    """

    kind = "logger"


@dataclass(frozen=True)
class ClaimSpec(Spec):
    """A testable sentence of the course, which is the summary; the target is a function from a ``Lab`` to ``Evidence``.

    Attributes:
        models: Names of the models that it is about.
        full: Whether it takes longer than a few minutes, and so runs only with ``--full``.
    """

    models: tuple[str, ...] = ()
    full: bool = False

    kind = "claim"
