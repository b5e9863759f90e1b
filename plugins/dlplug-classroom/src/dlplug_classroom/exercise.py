"""``dlplug exercise``: a model's source with bodies to fill in, or with a fault to find."""

import argparse
import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

from dlplug import InputError, MutantSpec, Spec
from dlplug.console import say
from dlplug.files import write_atomically
from dlplug.registry import Registry

MARK, END = "# Exercise: ", "# end"


@dataclass(frozen=True)
class Body:
    """A stretch of a function that a student writes: what follows a comment ``# Exercise: …``.

    It ends at a comment ``# end`` of the same indentation, or with the function.

    Attributes:
        name: The function's, such as ``"CNN.network"``.
        task: What the comment says.
        first: Its first line, counted from 0.
        last: The line after its last.
        indent: The spaces before its lines.
    """

    name: str
    task: str
    first: int
    last: int
    indent: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a model, as in dlplug list")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="where to; my_MODEL.py unless given")
    parser.add_argument(
        "--broken", type=int, metavar="N", help="the whole file, with the N-th fault of this model in it"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the file, and say what is to be done with it."""
    registry = Registry.discover()
    spec = registry.find("model", options.model)
    file = options.file or Path(f"my_{spec.name.replace('-', '_')}.py")
    if file.exists():
        raise InputError(f"{file} is there already: name another file")
    if not file.stem.isidentifier() or file.suffix != ".py":
        raise InputError(f"{file} cannot be imported: name a file such as my_{spec.name.replace('-', '_')}.py")
    kind = class_of(spec)
    if options.broken is None:
        text = source_of(kind)
        bodies = find_bodies(text)
        if not bodies:
            raise InputError(f"the source of {spec.name} marks no body: a comment `{MARK}…` says where one begins")
        written, tasks = strip(text), [f"  {body.name}: {body.task}" for body in bodies]
        todo = "\n".join([f"{len(bodies)} bodies to write", *tasks])
    else:
        written, todo = planted(registry, spec, options.broken)[0], "one fault to find and to repair"
    try:
        write_atomically(file, written.encode())
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error
    asked = "" if options.broken is None else f" --broken {options.broken}"
    say(f"{file}: {todo}\ndlplug grade {file.with_suffix('')}.{kind.__name__} --as {spec.name}{asked}")


def class_of(spec: Any) -> type:
    """Return the class of a model."""
    module, _, name = spec.target.partition(":")
    found: type = getattr(import_module(module), name)
    return found


def source_of(kind: type) -> str:
    """Return the source of a class's module; marked methods that the class inherits from others stand in it too."""
    module = sys.modules[kind.__module__]
    text = read_source(kind)
    lines, tree = text.splitlines(keepends=True), ast.parse(text)
    methods, imports = [], []
    for base, source in _inherited(kind):
        known = vars(sys.modules[base.__module__])
        used = {node.id for node in ast.walk(ast.parse(dedent(source))) if isinstance(node, ast.Name)}
        if missing := sorted(name for name in used & known.keys() if name not in vars(module)):
            imports.append(f"from {base.__module__} import {', '.join(missing)}\n")
        methods += ["\n", source]
    end = max(node.end_lineno or 0 for node in tree.body if getattr(node, "name", "") == kind.__name__)
    last_import = max(node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    return "".join([*lines[:last_import], *imports, *lines[last_import:end], *methods, *lines[end:]])


def read_source(kind: type) -> str:
    """Return the source of a class's module."""
    return Path(str(sys.modules[kind.__module__].__file__)).read_text(encoding="utf-8")


def find_bodies(text: str) -> list[Body]:
    """Return the marked bodies of a source, in order."""
    lines, functions, found = text.splitlines(), [*_functions(ast.parse(text))], []
    for place, line in enumerate(lines):
        if not line.lstrip().startswith(MARK):
            continue
        name, node = [each for each in functions if each[1].lineno <= place < (each[1].end_lineno or 0)][-1]
        indent = line[: len(line) - len(line.lstrip())]
        within = range(place + 1, node.end_lineno or 0)
        last = next((number for number in within if lines[number] == indent + END), within.stop)
        found.append(Body(name, line.strip().removeprefix(MARK), place + 1, last, indent))
    return found


def strip(text: str) -> str:
    """Return a source without its marked bodies."""
    lines = text.splitlines(keepends=True)
    for body in reversed(find_bodies(text)):
        lines[body.first : body.last] = [f'{body.indent}raise NotImplementedError("{body.name}")\n']
    return "".join(lines)


def planted(registry: Iterable[Spec], spec: Any, number: int) -> tuple[str, MutantSpec]:
    """Return a model's source with one of its faults in it, and the fault.

    Raises:
        InputError: It has no fault of that number in its own file.
    """
    here = spec.target.partition(":")[0]
    faults = [s for s in registry if isinstance(s, MutantSpec) and s.target.partition(":")[0] == here]
    own = [fault for fault in faults if spec.name in fault.models]
    if not 1 <= number <= len(own):
        raise InputError(f"--broken {number}: {spec.name} has {len(own) or 'no'} faults to plant in its file")
    return own[number - 1].planted(read_source(class_of(spec))), own[number - 1]


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions of a source with their names, an outer one before those in it."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{node.name}" if isinstance(node, ast.FunctionDef | ast.ClassDef) else prefix.rstrip(".")
        if isinstance(node, ast.FunctionDef):
            yield name, node
        yield from _functions(node, f"{name}." if name else "")


def _inherited(kind: type) -> Iterator[tuple[type, str]]:
    """Yield the source of each marked method that a class has from another module, with the class it has it from."""
    for base in kind.__mro__[1:]:
        for name, function in vars(base).items():
            if base.__module__ != kind.__module__ and inspect.isfunction(function) and getattr(kind, name) is function:
                source = inspect.getsource(function)
                if MARK in source:
                    yield base, source
