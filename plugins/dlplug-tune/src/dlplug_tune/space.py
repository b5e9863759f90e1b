"""What is searched, and how."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dlplug.errors import InputError
from dlplug.specs import Range

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = str | float
MODES = ("min", "max")


@dataclass(frozen=True)
class Search:
    """What is searched, and how: another search is another study.

    Attributes:
        model: The model's name.
        data: The data's name or class path.
        line: What was typed for each fit.
        space: Ranges by option, as they are written.
        seeds: Of each trial, which counts by their mean.
        objectives: Names of metrics of a validation, or ``"seconds"``, each with ``"min"`` or ``"max"``.
        monitor: The metric by which a run's best checkpoint is chosen, and whether its ``"min"`` or ``"max"`` is best;
            the first objective where the model names none.
        prune: ``"median"`` or ``"none"``.
        sampler: ``"tpe"``, ``"random"`` or ``"grid"``.
    """

    model: str
    data: str
    line: Sequence[str]
    space: Mapping[str, Any]
    seeds: Sequence[int]
    objectives: Sequence[tuple[str, str]]
    monitor: tuple[str, str]
    prune: str
    sampler: str

    def first(self, recipe: Mapping[str, Any]) -> list[dict[str, Value]]:
        """Return what is tried before anything is drawn: a whole grid, or the recipe's values where in range."""
        ranges = parse(self.space)
        if self.sampler == "grid":
            chosen = product(*(map(text, range.choices) for range in ranges.values()))
            return [dict(zip(ranges, each, strict=True)) for each in chosen]
        plain = {option: text(recipe[option]) if range.choices else recipe[option] for option, range in ranges.items()}
        return [plain] if all(_holds(range, recipe[option]) for option, range in ranges.items()) else []


def parse(space: Mapping[str, Any]) -> dict[str, Range]:
    """Return the ranges by option.

    Raises:
        InputError: One is none.
    """
    try:
        return {option: Range.parse(option, given) for option, given in space.items()}
    except ValueError as error:
        raise InputError(f"--space: {error}") from error


def asked_space(given: Iterable[str]) -> dict[str, Any]:
    """Return the ranges by option that were typed, as ``OPTION=RANGE`` or as files of YAML.

    Raises:
        InputError: A file cannot be read.
    """
    space: dict[str, Any] = {}
    for word in given:
        option, equals, range = word.partition("=")
        try:
            if equals:
                space[option] = yaml.safe_load(range) if range.startswith("[") else range
                continue
            read = yaml.safe_load(Path(word).read_text())
        except OSError as error:
            raise InputError(f"--space takes OPTION=RANGE or a file of them; {word}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"--space {word}: that is not YAML") from error
        if not isinstance(read, dict):
            raise InputError(f"--space {word} holds no ranges, such as `model.lr: log:1e-4:1e-1`")
        space |= {str(option): range for option, range in read.items()}
    return space


def asked_objectives(given: Sequence[str], monitor: tuple[str, str] | None, model: str) -> list[tuple[str, str]]:
    """Return the metrics to reach, each with ``"min"`` or ``"max"``: the model's monitor unless others are asked for.

    Raises:
        InputError: One is measured on what is not there to choose by, or nothing says which of its values are better.
    """
    known = dict([monitor] if monitor else [], seconds="min")
    if not given and not monitor:
        raise InputError(f"{model} names no monitor: --objective NAME:min or NAME:max says what to search by")
    found = {}
    for word in given or known.keys() - {"seconds"}:
        name, _, mode = word.rpartition(":") if word.endswith((":min", ":max")) else (word, "", known.get(word, ""))
        if re.match(r"(test|train)([/_]|$)", name):
            raise InputError(f"--objective {name}: what is searched is chosen on validation data, so it is a val/…")
        if not mode:
            raise InputError(f"--objective {name}: say which are better, {name}:min or {name}:max")
        found[name] = mode
    return [*found.items()]


def draw(trial: "Trial", ranges: Mapping[str, Range]) -> dict[str, Value]:
    """Return the values of a trial by option."""
    values: dict[str, Value] = {}
    for option, range in ranges.items():
        if range.choices:
            values[option] = trial.suggest_categorical(option, [*map(text, range.choices)])
        elif range.whole:
            values[option] = trial.suggest_int(option, int(range.low), int(range.high), log=range.log)
        else:
            drawn = trial.suggest_float(option, range.low, range.high, log=range.log)
            values[option] = float(f"{drawn:.4g}")  # digits that nobody wants to read
    return values


def text(value: Any) -> str:
    """Return a value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _holds(range: Range, value: Any) -> bool:
    if range.choices:
        return value in range.choices
    return isinstance(value, int if range.whole else int | float) and range.low <= value <= range.high
