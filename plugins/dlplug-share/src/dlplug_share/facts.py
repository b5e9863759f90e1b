"""What is said of a run to others: named fields, so that no path, command or account comes along."""

import inspect
import json
import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from math import sqrt
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import yaml

from dlplug import ModelSpec, Spec
from dlplug.api import TrainedRun
from dlplug.registry import Registry

INFO = ["classes", "labels", "target", "words", "voices", "size", "seq_len", "input_size", "longest"]
INFO += ["states", "observation_shape", "actions", "action_shape"]
# Of a trainer's options what changes the result.
TRAINER = (
    "max_epochs",
    "max_steps",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "limit_train_batches",
    "precision",
)
# Student's t for 95 %, by degrees of freedom; of more than ten the last, which is a little too wide.
T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
VOCABULARIES = ("vocabulary", "source", "target")


def describe(trained: TrainedRun) -> dict[str, Any]:
    """Return what a run's model and data are, and how inputs are made for it."""
    model, data = trained.model, trained.data
    info = getattr(model, "info", None) or getattr(data, "info", None)
    labels = getattr(model, "labels", None) or getattr(info, "labels", None)
    return {
        "model": {"name": type(model).__name__.lower(), **_of_spec("model", model)},
        "data": _of_spec("data", data),
        **({"labels": list(labels)} if labels else {}),
        "info": {name: value for name in INFO if _is_plain(value := getattr(info, name, getattr(model, name, None)))},
        "preprocessing": preprocessing(info, hasattr(data, "read_inputs")),
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | tuple | list) or (isinstance(value, str) and value[:1] != "[")


def _of_spec(kind: str, thing: Any) -> dict[str, str]:
    """Return what a plugin says of a model or data; nothing where none offers it."""
    spec = spec_of(kind, thing)
    return {"name": spec.name, "summary": spec.summary} if spec else {}


def spec_of(kind: str, thing: Any) -> Spec | None:
    """Return the spec of a model or data; None where no plugin offers it."""
    return Registry.discover().spec_of(kind, path_of(thing))


def origins(trained: TrainedRun) -> list[str]:
    """Return the names and versions of the distributions that offer a run's model and data."""
    registry = Registry.discover()
    specs = (registry.spec_of(kind, path_of(getattr(trained, kind))) for kind in ("model", "data"))
    return list(dict.fromkeys(registry.owner(spec).origin for spec in specs if spec))


def path_of(thing: Any) -> str:
    """Return the class path of an object."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def documented(thing: Any) -> str:
    """Return what a class says of itself, up to its arguments."""
    text = inspect.getdoc(type(thing)) or ""
    return re.split(r"^(?:Args|Attributes|Raises):$", text, flags=re.MULTILINE)[0].replace("``", "`").strip()


def shareable(thing: Any, given: Mapping[str, Any], keep: Collection[str] = ()) -> dict[str, Any]:
    """Return the options of a model or data that others may see: numbers, and words that their class itself names.

    Other words may be paths or names of a person's own.

    Args:
        thing: The model or data.
        given: Its options.
        keep: Names of those that may be seen all the same.
    """
    taken, words = parameters_of(thing), _recipe_words()
    return {
        name: value
        for name, value in given.items()
        if name in taken
        and (
            name in keep or value == taken[name].default or _is_shareable(value, words | _words(taken[name].annotation))
        )
    }


def parameters_of(thing: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments of an object's class and of those that it is made from, by name."""
    classes = [kind for kind in reversed(type(thing).__mro__) if "__init__" in vars(kind)]
    return {name: each for kind in classes for name, each in inspect.signature(kind, eval_str=True).parameters.items()}


def config_of(folder: Path) -> dict[str, Any]:
    """Return the config of a run folder."""
    found = yaml.safe_load((folder / "config.yaml").read_text())
    return found if isinstance(found, dict) else {}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config trains with, by option, less the seed; runs that agree in it differ by their seed alone."""
    trainer = config.get("trainer") or {}
    found = {f"trainer.{name}": trainer[name] for name in TRAINER if trainer.get(name) is not None}
    for kind in ("model", "data"):
        section = config.get(kind) or {}
        found[kind] = section.get("class_path")
        found |= {f"{kind}.{name}": value for name, value in (section.get("init_args") or {}).items()}
    more = {name: each for name, each in config.items() if name not in ("seed_everything", "trainer", "model", "data")}
    return found | {name: each for name, each in more.items() if each is not None}


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and half its 95 % interval by Student's t; None for a single value."""
    if len(values) < 2:
        return values[0], None
    return statistics.fmean(values), T[min(len(values), len(T) + 1) - 2] * statistics.stdev(values) / sqrt(len(values))


def _recipe_words() -> set[str]:
    """Return the words that recipes set, or tell data apart by, such as environments."""
    specs = [spec for spec in Registry.discover() if isinstance(spec, ModelSpec)]
    recipes = [recipe for spec in specs for recipe in (spec.recipe, *spec.recipes.values())]
    words = {word for recipe in recipes for word in recipe.values() if isinstance(word, str)}
    return words | {key.partition(":")[2] for spec in specs for key in spec.recipes}


def _words(hint: Any) -> set[Any]:
    """Return the words of the ``Literal`` in a type."""
    return {each for each in get_args(hint) if isinstance(each, str)}.union(*map(_words, get_args(hint)))


def _is_shareable(value: Any, words: Collection[Any]) -> bool:
    each = value if isinstance(value, list | tuple) else [value]
    return all(item is None or isinstance(item, Real) or (isinstance(item, str) and item in words) for item in each)


def preprocessing(info: Any, reads_files: bool) -> dict[str, Any]:
    """Return how images, sounds and texts become a network's inputs, as its ``Info`` has it."""
    steps: dict[str, Any] = {}
    if hasattr(info, "channels"):
        steps["images"] = {
            "mode": "RGB" if info.channels == 3 else "L",
            "layout": "NCHW",
            "size": [info.height, info.width],
            "range": [0, 1],
        }
        if reads_files:  # what read_image does
            fit = "upright by EXIF; on white where transparent; scaled (bilinear) to cover the size; centre crop"
            steps["images"]["files"] = fit
    if hasattr(info, "sample_rate"):
        steps["sounds"] = {"samples": info.samples, "sample_rate": info.sample_rate, "range": [-1, 1]}
    texts = {name: _vocabulary(getattr(info, name, "")) for name in VOCABULARIES}
    texts = {name: text for name, text in texts.items() if text}
    return {**steps, **({"texts": texts} if texts else {})}


def _vocabulary(text: Any) -> dict[str, Any]:
    """Return what an ``Info`` holds of a vocabulary: its level, special tokens and tokenizer, as JSON."""
    if not isinstance(text, str) or text[:1] != "[":
        return {}
    return dict(zip(("level", "specials", "tokenizer"), json.loads(text), strict=True))
