"""What the commands that do not train print."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby

from dlplug.errors import InputError, did_you_mean
from dlplug.names import TRAINER, expand
from dlplug.registry import Registry
from dlplug.source import Argument, read_class
from dlplug.specs import DataSpec, ModelSpec, Spec

COMMON_TRAINER = ("max_epochs", "max_steps", "accelerator", "devices", "strategy", "precision", "gradient_clip_val")


def print_list(registry: Registry, word: str, as_json: bool) -> int:
    """Print the specs that mention a word, by section of the course."""
    specs = sorted(
        (s for s in registry if _mentions(s, word)), key=lambda s: (_order(s.lecture), s.kind != "model", s.name)
    )
    if as_json:
        print(json.dumps([_as_dict(spec) for spec in specs], indent=2))
        return 0
    if not specs:
        raise InputError(f"nothing mentions {word!r}; " + did_you_mean(word, {s.name for s in registry}))
    width = max(len(spec.name) for spec in specs)
    for lecture, group in groupby(specs, key=lambda s: s.lecture):
        print(f"section {lecture}" if lecture else "elsewhere")
        for spec in group:
            _print_wrapped(f"  {spec.kind:5}  {spec.name:{width}}  ", spec.summary)
    if registry.problems:
        names = ", ".join(plugin.name for plugin in registry.problems)
        print(f"not loaded: {names}; `dlplug plugins` says why", file=sys.stderr)
    return 0


def print_info(registry: Registry, name: str) -> int:
    """Print a card for each kind of thing of that name."""
    kinds = {spec.kind for spec in registry if spec.name == name.rpartition(":")[2]}
    if not kinds:
        raise InputError(f"nothing is called {name!r}; " + did_you_mean(name, {spec.name for spec in registry}))
    for kind in sorted(kinds, reverse=True):
        _print_card(registry, registry.find(kind, name))
    return 0


def print_plugins(registry: Registry) -> int:
    """Print each plugin with what it offers or why it does not load; the status is 1 if one does not."""
    for plugin in registry.plugins:
        if plugin.problem:
            print(f"{plugin.name}  {plugin.origin}  NOT LOADED")
            _print_wrapped("    ", plugin.problem)
            continue
        print(f"{plugin.name}  {plugin.origin}")
        for kind, group in groupby(sorted(plugin.specs, key=lambda s: (s.kind, s.name)), key=lambda s: s.kind):
            _print_wrapped(f"    {kind:5}  ", ", ".join(spec.name for spec in group))
    offers: dict[tuple[str, str], list[str]] = {}
    for plugin in registry.plugins:
        for spec in plugin.specs:
            offers.setdefault((spec.kind, spec.name), []).append(plugin.name)
    for (kind, name), names in offers.items():
        if len(names) > 1:
            print(f"the {kind} {name!r} is offered by {' and '.join(names)}: say {names[0]}:{name}")
    if not registry.plugins:
        print("no plugin is installed")
    return int(bool(registry.problems))


def print_help(registry: Registry, command: str, args: list[str]) -> int:
    """Print the arguments of the chosen model and data, and the trainer's most used ones."""
    rest = [arg for arg in args if arg not in ("-h", "--help")]
    if not rest:
        print(f"usage: dlplug {command} --model NAME [--data NAME] [-c FILE] [--model.ARG VALUE] ...")
        print(f"       dlplug {command} RUN [options]\n")
        models = ", ".join(sorted(spec.name for spec in registry if spec.kind == "model"))
        _print_wrapped("models: ", models or "none installed")
        print(f"`dlplug {command} --model NAME --help` shows that model's arguments, --help-all every argument.")
        return 0
    job = expand(command, rest, registry)
    recipe = dict(arg[2:].partition("=")[::2] for arg in job.args if arg.startswith("--") and "=" in arg)
    print(f"usage: dlplug {command} --model {job.model} [--data NAME] [-c FILE] [--KIND.ARG VALUE] ...")
    for kind, class_path in job.chosen.items():
        spec = registry.spec_of(kind, class_path)
        source = read_class(class_path) if class_path else None
        if not class_path:
            continue
        print(f"\n{kind} {spec.name if spec else class_path}" + (f": {spec.summary}" if spec else ""))
        _print_arguments(source.arguments if source else (), f"--{kind}.", recipe)
    trainer = read_class(TRAINER)
    print("\ntrainer (Lightning's; --help-all shows the rest)")
    common = [a for a in trainer.arguments if a.name in COMMON_TRAINER] if trainer else []
    for argument in common:
        default = recipe.get(f"trainer.{argument.name}", argument.default)
        print(f"  --trainer.{argument.name:18} {default}")
    return 0


def _mentions(spec: Spec, word: str) -> bool:
    words = (spec.name, spec.summary, *spec.tags)
    in_lecture = spec.lecture == word or spec.lecture.startswith(f"{word}.")
    return word.lower() in " ".join(words).lower() or in_lecture


def _order(lecture: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Sort 2.10 after 2.9, and what belongs to no section last."""
    return not lecture, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in lecture.split(".")]


def _as_dict(spec: Spec) -> dict[str, object]:
    fields = {key: getattr(spec, key) for key in spec.__dataclass_fields__}
    return {"kind": spec.kind, **fields, "class_path": spec.class_path}


def _print_card(registry: Registry, spec: Spec) -> None:
    plugin = next(plugin for plugin in registry.plugins if spec in plugin.specs)
    source = read_class(spec.class_path)
    print(f"{spec.name}: {spec.summary}")
    print(
        f"  {spec.kind} of {plugin.origin}, {spec.class_path}" + (f", section {spec.lecture}" if spec.lecture else "")
    )
    if spec.tags:
        print(f"  tags: {', '.join(spec.tags)}")
    if isinstance(spec, ModelSpec):
        if spec.learning:
            print(f"  learning: {spec.learning}")
        _print_wrapped(
            "  takes: ", f"{spec.takes or 'anything'}; data that fits: {', '.join(registry.fitting(spec)) or '-'}"
        )
        print(f"  trains on {spec.data or 'the data you name'} unless told otherwise")
        for data, recipe in {spec.data: spec.recipe, **spec.recipes}.items():
            options = " ".join(f"--{key} {value}" for key, value in recipe.items())
            _print_wrapped(f"  recipe for {data or 'any data'}: ", options or "Lightning's defaults")
        print(f"  try: dlplug fit --model {spec.name}")
    if isinstance(spec, DataSpec):
        fitting = sorted(s.name for s in registry if isinstance(s, ModelSpec) and s.takes and s.takes == spec.gives)
        _print_wrapped("  gives: ", f"{spec.gives or 'anything'}; models that fit: {', '.join(fitting) or '-'}")
    if source is None:
        print("  its source cannot be read")
        return
    description = source.doc.partition("\nArgs:")[0].partition("\n\n")[2].strip()
    if description:
        print()
        for paragraph in description.split("\n\n"):
            _print_wrapped("  ", " ".join(paragraph.split()))
    print("\narguments")
    _print_arguments(source.arguments, f"--{spec.kind}.", {})


def _print_arguments(arguments: Iterable[Argument], prefix: str, values: dict[str, str]) -> None:
    for argument in arguments:
        default = values.get((prefix + argument.name)[2:], argument.default)
        given = "required" if default is None else f"default {default}"
        _print_wrapped(f"  {prefix}{argument.name}  ", f"{argument.help} ({argument.type or 'any'}, {given})", indent=6)


def _print_wrapped(start: str, text: str, indent: int | None = None) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    hang = " " * (len(start) if indent is None else indent)
    # Names and paths stay in one piece, to be copied.
    wrapper = textwrap.TextWrapper(width, subsequent_indent=hang, break_on_hyphens=False, break_long_words=False)
    print(wrapper.fill(start + text))
