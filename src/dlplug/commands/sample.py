"""``dlplug sample KIND DIR``: small files of a kind of own data, to look at and to start from."""

import shlex
import shutil
from argparse import Namespace
from pathlib import Path

from dlplug.commands.parser import Parser
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.source import defines, load_class
from dlplug.specs import DataSpec, ModelSpec


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug sample``."""
    parser.description = "Write small files as a kind of own data takes them, to look at and to start from."
    parser.add_argument("kind", metavar="KIND", help="such as image-folder; `dlplug info KIND` describes it")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write the files and say what to do with them."""
    registry, folder = Registry.discover(), options.folder
    spec = registry.find("data", options.kind)
    if not defines(spec.class_path, "write_sample"):
        kinds = (s.name for s in registry if isinstance(s, DataSpec) and defines(s.class_path, "write_sample"))
        raise InputError(f"{options.kind} has no sample; these have: {', '.join(sorted(kinds)) or 'none installed'}")
    if folder.exists():
        raise InputError(f"{folder} is there already: give a new folder")
    folder.mkdir(parents=True)
    try:
        asked = load_class(spec.class_path, object).write_sample(folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    gives = getattr(spec, "gives", "")
    fitting = [s for s in (*registry.owner(spec).specs, *registry) if isinstance(s, ModelSpec) and s.takes == gives]
    model = fitting[0].name if fitting else "NAME"
    line = [f"--model {model} --data {options.kind}", *(f"--{k} {shlex.quote(str(v))}" for k, v in asked.items())]
    print(f"wrote {sum(path.is_file() for path in folder.rglob('*'))} files to {folder}; next:")
    print(f"  dlplug fit {' '.join(line)}")
    return 0
