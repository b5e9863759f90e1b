"""``dlplug list``, ``info`` and ``plugins``: what is installed."""

import re
import sys
import textwrap
from itertools import groupby

from dlplug.commands.parser import Parser, print_arguments, print_wrapped
from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Registry
from dlplug.registry.core import COMMANDS
from dlplug.registry.source import UNREAD, defines, read_class, read_function_doc
from dlplug.specs import ClaimSpec, CommandSpec, DataSpec, ModelSpec, Spec, WeightsSpec


def configure_list(parser: Parser) -> None:
    """Add the arguments of ``dlplug list``."""
    parser.description = "Show the models and data of the installed plugins, by section of the course."
    parser.add_argument("word", nargs="?", default="", help="only what mentions this word, or this lecture")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=lambda options: print_list(Registry.discover(), options.word, options.json))


def configure_info(parser: Parser) -> None:
    """Add the argument of ``dlplug info``."""
    parser.description = "Show one model or data set: its arguments, what fits it and where it comes from."
    parser.add_argument("name", help="as in `dlplug list`, or topic:name")
    parser.set_defaults(run=lambda options: print_info(Registry.discover(), options.name))


def configure_plugins(parser: Parser) -> None:
    """Say what ``dlplug plugins`` does."""
    parser.description = "Show every installed plugin: where from, what it hooks and offers, or why it does not load."
    parser.set_defaults(run=lambda options: print_plugins(Registry.discover()))


def print_list(registry: Registry, word: str, as_json: bool) -> int:
    """Print the specs that mention a word, by section of the course."""
    specs = matching(registry, word)
    if as_json:
        import json  # only here

        print(json.dumps([_as_dict(spec) for spec in specs], indent=2))
        return 0
    if not specs:
        raise InputError(f"nothing mentions {word!r}; " + did_you_mean(word, {s.name for s in registry}))
    width = max(len(spec.name) for spec in specs)
    for lecture, group in groupby(specs, key=lambda s: s.lecture):
        print(f"section {lecture}" if lecture else "elsewhere")
        for spec in group:
            print_wrapped(f"  {spec.kind:5}  {spec.name:{width}}  ", spec.summary)
    if registry.problems:
        names = ", ".join(plugin.name for plugin in registry.problems)
        print(f"not loaded: {names}; `dlplug plugins` says why", file=sys.stderr)
    return 0


def matching(registry: Registry, word: str) -> list[Spec]:
    """Return the specs that mention a word, by section of the course: no fault, which would say what is to be found."""
    found = (s for s in registry if s not in COMMANDS.values() and s.kind != "mutant" and _mentions(s, word))
    return sorted(found, key=lambda s: (_order(s.lecture), s.kind != "model", "own" not in s.tags, s.name))


def print_info(registry: Registry, name: str) -> int:
    """Print a card for each kind of thing of that name."""
    kinds = {spec.kind for spec in registry if spec.name == name.rpartition(":")[2]}
    if not kinds:
        raise InputError(f"nothing is named {name!r}; " + did_you_mean(name, {spec.name for spec in registry}))
    for kind in sorted(kinds, reverse=True):
        _print_card(registry, registry.find(kind, name))
    return 0


def print_plugins(registry: Registry) -> int:
    """Print each plugin, where from, with what it offers or why it does not load; the status is 1 if one does not."""
    from dlplug.registry.provenance import source_of  # only here: `list` and `info` do without

    for plugin in registry.plugins:
        if plugin.problem:
            print(f"{plugin.name}  {plugin.origin}  NOT LOADED")
            print_wrapped("    ", plugin.problem)
            print(f"    from   {source_of(plugin)[0]}")
            continue
        print(f"{plugin.name}  {plugin.origin}")
        print(f"    from   {source_of(plugin)[0]}")
        print_wrapped("    hooks  ", ", ".join(sorted(plugin.hooks)) or "none")
        for kind, group in groupby(sorted(plugin.specs, key=lambda s: (s.kind, s.name)), key=lambda s: s.kind):
            print_wrapped(f"    {kind:5}  ", ", ".join(spec.name for spec in group))
    offers: dict[tuple[str, str], list[str]] = {}
    for plugin in registry.plugins:
        for spec in plugin.specs:
            offers.setdefault((spec.kind, spec.name), []).append(plugin.name)
    if others := offers.get(("command", "help")):
        others.append("core")  # whose usage text it is
    for (kind, name), names in offers.items():
        if len(names) > 1:
            print(f"the {kind} {name!r} is offered by {' and '.join(names)}: say {names[0]}:{name}")
    if not registry.plugins:
        print("no plugin is installed")
    return int(bool(registry.problems))


def _mentions(spec: Spec, word: str) -> bool:
    if re.fullmatch(r"[\d.]+", word):  # a section, not the 28 of 28×28
        return f"{spec.lecture}.".startswith(f"{word}.")
    words = (spec.name, spec.summary, *spec.tags, f"{spec.kind}s")
    return word.lower() in " ".join(words).lower()


def _order(lecture: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Sort 2.10 after 2.9, and what belongs to no section last."""
    return not lecture, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in lecture.split(".")]


def _as_dict(spec: Spec) -> dict[str, object]:
    fields = {key: getattr(spec, key) for key in spec.__dataclass_fields__}
    return {"kind": spec.kind, **fields, "class_path": spec.class_path}


def _print_card(registry: Registry, spec: Spec) -> None:
    plugin = registry.owner(spec)
    print(f"{spec.name}: {spec.summary}")
    print(
        f"  {spec.kind} of {plugin.origin}, {spec.class_path}" + (f", section {spec.lecture}" if spec.lecture else "")
    )
    if spec.tags:
        print(f"  tags: {', '.join(spec.tags)}")
    if isinstance(spec, ModelSpec):
        if spec.learning:
            print(f"  learning: {spec.learning}")
        print_wrapped(
            "  takes: ", f"{spec.takes or 'anything'}; data that fits: {', '.join(registry.fitting(spec)) or '-'}"
        )
        print(f"  trains on {spec.data or 'the data you name'} unless told otherwise")
        for data, recipe in {spec.data: spec.recipe, **spec.recipes}.items():
            options = " ".join(f"--{key} {value}" for key, value in recipe.items())
            print_wrapped(f"  recipe for {data or 'any data'}: ", options or "Lightning's defaults")
        if spec.space:
            print_wrapped("  a search tries: ", ", ".join(f"{key} {given}" for key, given in spec.space.items()))
        claims = sorted(s.name for s in registry if isinstance(s, ClaimSpec) and spec.name in s.models)
        if claims:
            print_wrapped("  claims: ", ", ".join(claims))
        print(f"  try: dlplug fit --model {spec.name}")
    if isinstance(spec, DataSpec):
        fitting = sorted(s.name for s in registry if isinstance(s, ModelSpec) and s.takes and s.takes == spec.gives)
        print_wrapped("  gives: ", f"{spec.gives or 'anything'}; models that fit: {', '.join(fitting) or '-'}")
    if isinstance(spec, ClaimSpec):
        print_wrapped("  about: ", ", ".join(spec.models) or "no model")
        print_wrapped("  how: ", read_function_doc(spec.class_path).partition("\n\n")[0] or "not said")
        for name in ("notes", "corrects", "equation", "since", "history", "predict", "seen", "why"):
            for said in filter(None, (told,) if isinstance(told := getattr(spec, name), str) else told):
                print_wrapped(f"  {name}: ", said)
        print(f"  try: dlplug verify {spec.name}")
        return
    if isinstance(spec, CommandSpec):
        print(f"  try: dlplug {spec.name} --help")
        return
    if isinstance(spec, WeightsSpec):
        from dlplug.registry.weights import folder_of

        folder = folder_of(spec)
        print(f"  weights: {folder / spec.file}, {(folder / spec.file).stat().st_size / 1e6:.2f} MB")
        print(f"  of: {spec.model}\n  card: {folder / spec.card}\n  try: dlplug test {spec.name}")
        return
    source = read_class(spec.class_path)
    if source is UNREAD:
        print("  its source cannot be read")
        return
    for paragraph in filter(None, source.doc.partition("\nArgs:")[0].strip().split("\n\n")):
        print()
        if paragraph.startswith("    "):  # drawn
            print(textwrap.indent(paragraph, "  "))
        else:
            print_wrapped("  ", " ".join(paragraph.split()))
    if defines(spec.class_path, "write_sample"):
        print(f"\n  try: dlplug sample {spec.name} DIR")
    print("\narguments")
    print_arguments(source.arguments, f"--{spec.kind}.", {})
