"""``dlplug new``: the first version of a plugin, from the files in ``template``."""

import re
from argparse import Namespace
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path

from dlplug.commands.parser import Parser
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.installed import distributions, normalized

TEMPLATE = Path(__file__).parent / "template"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SUMMARIES = {
    "model": "A small network that classifies images.",
    "data": "Images of one line each, vertical or horizontal.",
    "claim": "A convolutional network learns to classify digits.",
    "command": "The lowest value that a metric of a run had, and when.",
}
TRY = {
    "model": "dlplug fit --model {name}",
    "data": "dlplug fit --model cnn --data {name}",
    "claim": "dlplug verify {name}",
    "command": "dlplug {name} --help",
}
# What the template itself imports or has a file for.
TAKEN = {
    *("check", "evidence", "image", "image-info", "lab", "measure"),
    *("model", "panel", "plugin", "tensor", "tensor-data"),
}


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug new``."""
    parser.add_argument("name", metavar="NAME", help="what it offers, such as my-net")
    parser.add_argument("folder", metavar="DIR", nargs="?", help="where; ./dlplug-NAME if not given")
    parser.add_argument("--kind", choices=SUMMARIES, default="model", help="what it offers (default: model)")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write a plugin and say what to do next."""
    _check_name(options.name, Registry.discover())
    folder = Path(options.folder or f"dlplug-{options.name}")
    _write(folder, _render(options.name, options.kind))
    print(f"wrote the {options.kind} {options.name} to {folder}; next:")
    print(f"  pip install -e '{folder}[test]'")
    print(f"  {TRY[options.kind].format(name=options.name)}")
    print(f"  dlplug check {options.name}")
    return 0


def _check_name(name: str, registry: Registry) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a name: lower-case letters, digits and single hyphens, such as my-net")
    if iskeyword(name) or name in TAKEN:
        raise InputError(f"{name!r} means something else in the files of a plugin: take another name")
    for plugin in registry.plugins:
        for spec in plugin.specs:
            if spec.name == name:
                raise InputError(f"the {spec.kind} {name!r} is offered by {plugin.origin} already: take another name")
        if plugin.name == name:
            raise InputError(f"a plugin {name!r} is installed already, by {plugin.origin}: take another name")
    if dist := distributions().get(normalized(f"dlplug-{name}")):
        raise InputError(f"{dist.origin} is installed already: take another name")


def _render(name: str, kind: str) -> dict[Path, str]:
    """Return the text of each file by its place in the plugin."""
    from jinja2 import Environment, StrictUndefined  # 30 ms, which a refused name does without

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.trim_blocks = environment.lstrip_blocks = True
    core = distributions()["dlplug"].version.split(".")
    values = {
        "name": name,
        "kind": kind,
        "summary": SUMMARIES[kind],
        "distribution": f"dlplug-{name}",
        "package": f"dlplug_{name.replace('-', '_')}",
        "module": name.replace("-", "_"),
        "class": "".join(part.capitalize() for part in name.split("-")),
        "bounds": f">={core[0]}.{core[1]},<{core[0]}.{int(core[1]) + 2}",  # what goes warns for a minor version
    }
    files = {}
    for part in ("every", kind):
        for source in sorted((TEMPLATE / part).rglob("*.j2")):
            place = environment.from_string(source.relative_to(TEMPLATE / part).as_posix()).render(values)
            place = place.removesuffix(".j2")
            files[Path(place)] = environment.from_string(source.read_text()).render(values)
    return files


def _write(folder: Path, files: dict[Path, str]) -> None:
    """Write the files into a folder that is new, or holds nothing but an empty repository.

    Raises:
        InputError: The folder is not empty, or cannot be written to; then nothing is left in it.
    """
    made: list[Path] = []
    try:
        if folder.is_dir() and {path.name for path in folder.iterdir()} - {".git"}:
            raise InputError(f"the folder {folder} is not empty: name another one, `dlplug new NAME DIR`")
        for place, text in files.items():
            path = folder / place
            made += [parent for parent in reversed(path.parents) if not parent.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append(path)
            path.write_text(text)
    except OSError as error:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
