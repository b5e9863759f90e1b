"""Reads a class's arguments from its source without importing it: for ``info``, ``--help`` and spelling checks."""

import ast
import inspect
import os
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dlplug.console import plain
from dlplug.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Argument:
    """An argument of a class's ``__init__`` or of another method.

    Attributes:
        name: As in the signature.
        type: Its annotation as written; empty where there is none.
        default: Its default as written, or None where the argument is required.
        help: Its entry in the ``Args:`` of the class docstring, or else of a base class's.
    """

    name: str
    type: str
    default: str | None
    help: str


@dataclass(frozen=True)
class Source:
    """What the source says of a class.

    Attributes:
        doc: The class docstring.
        arguments: Arguments of the method, inherited ones included where it passes ``**kwargs`` on.
        complete: Whether these are all; False where a base class could not be read.
    """

    doc: str
    arguments: tuple[Argument, ...]
    complete: bool


UNREAD = Source("", (), complete=False)


def read_class(class_path: str, method: str = "__init__") -> Source:
    """Return what the source of a class says; ``UNREAD`` where there is no source to read.

    Args:
        class_path: Such as ``"dlplug_generative.gan.GAN"``, or a function that returns an object.
        method: Whose arguments to read.
    """
    module, _, name = class_path.rpartition(".")
    tree = _parse(module)
    node = _find(tree, name)
    if node is None:
        path = _resolve(tree, module, name)
        return read_class(path, method) if path and path != class_path else UNREAD
    if isinstance(node, ast.FunctionDef):
        doc = inspect.cleandoc(ast.get_docstring(node) or "")
        return Source(doc, _arguments(node, doc, bound=0), complete=node.args.kwarg is None)
    doc = inspect.cleandoc(ast.get_docstring(node) or "")
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == method), None)
    own = _arguments(init, doc) if init else ()
    passes_on = init is None or init.args.kwarg is not None
    if not passes_on and all(argument.help for argument in own):
        return Source(doc, own, complete=True)
    inherited, complete = _inherited(tree, module, node, method)
    helps = {argument.name: argument.help for argument in inherited}
    own = tuple(replace(a, help=a.help or helps.get(a.name, "")) for a in own)
    if not passes_on:
        return Source(doc, own, complete=True)
    names = {argument.name for argument in own}
    return Source(doc, own + tuple(a for a in inherited if a.name not in names), complete)


def defines(class_path: str, name: str) -> bool:
    """Return whether a class or a base of it besides Lightning's own defines a method, or may where no source is."""
    module, _, kind = class_path.rpartition(".")
    if module.partition(".")[0] in ("lightning", "pytorch_lightning"):
        return False
    tree = _parse(module)
    node = _find(tree, kind)
    if not isinstance(node, ast.ClassDef):
        path = _resolve(tree, module, kind)
        return path in (None, class_path) or defines(str(path), name)
    bases = [_resolve(tree, module, ast.unparse(base)) for base in node.bases]
    own = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
    own |= {ast.unparse(target) for n in node.body if isinstance(n, ast.Assign) for target in n.targets}
    return name in own or any(base is None or defines(base, name) for base in bases)


def data_beside(class_path: str) -> list[str]:
    """Return the class paths of the data modules in a class's file, as far as the names of their bases tell."""
    module, _, _ = class_path.rpartition(".")
    classes = [node for node in _parse(module).body if isinstance(node, ast.ClassDef)]
    ends = ("DataModule", "Data")
    return [f"{module}.{n.name}" for n in classes if any(ast.unparse(base).endswith(ends) for base in n.bases)]


def load_class(class_path: str, base: type, functions: bool = False) -> type[Any]:
    """Import a class.

    Args:
        class_path: Such as ``"my_file.MyModel"``.
        base: What it must be a subclass of.
        functions: Whether a function that returns one of ``base`` will do; it is annotated to do so.

    Returns:
        The class; ``base`` for a function.

    Raises:
        InputError: There is no such class, or it is not one of ``base``.
    """
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # importing runs the user's own file, which may exit
        raise InputError(f"cannot import {class_path}: {type(error).__name__}: {plain(error)}") from error
    if isinstance(found, type) and issubclass(found, base):
        return found
    if functions and inspect.isfunction(found):
        found.__annotations__.setdefault("return", base)  # by which jsonargparse knows it
        return base
    stale = next((b for b in getattr(found, "__mro__", ()) if b.__module__.startswith("pytorch_lightning.")), None)
    if stale:
        raise InputError(
            f"{class_path} is a pytorch_lightning {stale.__name__}, which is another class than lightning's: "
            f"write `from lightning.pytorch import {stale.__name__}` where it is defined"
        )
    raise InputError(f"{class_path} is not a {base.__name__}")


def is_there(class_path: str) -> bool:
    """Return whether the package or module that a class path begins with can be found, without importing it."""
    try:
        # Unlike PathFinder this knows the finders of editable installs; a package's own name is found without running.
        return find_spec(class_path.partition(".")[0]) is not None
    except ValueError:  # such as __main__
        return True


def read_function_doc(path: str) -> str:
    """Return the docstring of a module's function, empty where there is no source to read."""
    module, _, name = path.rpartition(".")
    found = _find(_parse(module), name)
    return (ast.get_docstring(found) or "") if isinstance(found, ast.FunctionDef) else ""


def _arguments(init: ast.FunctionDef, doc: str, bound: int = 1) -> tuple[Argument, ...]:
    helps = {name: text for docs in (doc, ast.get_docstring(init) or "") for name, text in _helps(docs).items()}
    spec = init.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(spec.defaults)), *spec.defaults]
    pairs = [
        *list(zip(positional, defaults, strict=True))[bound:],
        *zip(spec.kwonlyargs, spec.kw_defaults, strict=True),
    ]
    return tuple(
        Argument(
            name=arg.arg,
            type=ast.unparse(arg.annotation) if arg.annotation else "",
            default=ast.unparse(default) if default else None,
            help=helps.get(arg.arg, ""),
        )
        for arg, default in pairs
    )


def _helps(doc: str) -> dict[str, str]:
    import docstring_parser  # 10 ms, which `list` does without

    try:
        params = docstring_parser.parse(doc, docstring_parser.DocstringStyle.GOOGLE).params
    except docstring_parser.ParseError:
        return {}
    return {param.arg_name: " ".join((param.description or "").split()) for param in params}


def _inherited(tree: ast.Module, module: str, node: ast.ClassDef, method: str) -> tuple[tuple[Argument, ...], bool]:
    found: dict[str, Argument] = {}
    complete = True
    for base in node.bases:
        path = _resolve(tree, module, ast.unparse(base))
        source = read_class(path, method) if path else UNREAD
        if source is UNREAD and not found:
            return (), False
        found = {argument.name: argument for argument in source.arguments} | found
        complete = complete and source.complete
    return tuple(found.values()), complete


def _find(tree: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    return next((n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name), None)


def _resolve(tree: ast.Module, module: str, name: str) -> str | None:
    """Return the class path that a name in a module stands for, as far as its import statements tell."""
    first, _, rest = name.partition(".")
    if _find(tree, first) and not rest:
        return f"{module}.{first}"
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == first:
                    return ".".join(filter(None, (node.module, alias.name, rest)))
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname == first or (not alias.asname and alias.name.partition(".")[0] == first):
                    return ".".join(filter(None, (alias.name if alias.asname else first, rest)))
    return None


@cache
def _parse(module: str) -> ast.Module:
    """Parse a module; one whose source cannot be read is empty."""
    try:
        with open(_origin(module) or os.devnull, "rb") as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def file_of(module: str) -> "Path | None":
    """Return the source file of a module, found without importing its parents, as ``importlib``'s own would."""
    from pathlib import Path  # 3 ms, which `list` and `info` do without

    origin = _origin(module)
    return Path(origin) if origin else None


def _origin(module: str) -> str | None:
    path: list[str] | None = None
    origin = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, path or sys.path)
        if spec is None:
            return None
        path = [*spec.submodule_search_locations] if spec.submodule_search_locations else []
        origin = spec.origin
    return origin if origin and origin.endswith(".py") else None
