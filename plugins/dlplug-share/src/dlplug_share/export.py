"""``dlplug export``: a run's network in files that need no dlplug."""

import argparse
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.version import Version

from dlplug import InputError, load
from dlplug.console import say
from dlplug.files import write_atomically

OLDEST = Version("2.9")  # of torch; tested with 2.14 alone
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": (), "safetensors": ("safetensors",)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", metavar="RUN", help="the run")
    parser.add_argument(
        "--to",
        choices=NEEDED,
        help="onnx, torch.export's pt2, or the weights alone as safetensors; unless given what --out ends with",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the file, a JSON goes beside it; RUN/export/MODEL.onnx unless given"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Export each part of a run's network and check it, then write all files or none."""
    kind = options.to or (options.out.suffix[1:] if options.out else "onnx")
    if kind not in NEEDED:
        raise InputError(f"--out {options.out}: name a format, --to {', '.join(NEEDED)}")
    if missing := [name for name in NEEDED[kind] if find_spec(name) is None]:
        raise InputError(f"--to {kind} needs {', '.join(missing)}: pip install 'dlplug-share[onnx]'")
    if kind != "safetensors" and Version(version("torch")) < OLDEST:
        raise InputError(f"--to {kind} needs torch {OLDEST}, and here is {version('torch')}")
    trained = load(options.folder)
    model = trained.model

    from dlplug_share import formats
    from dlplug_share.facts import describe
    from dlplug_share.parts import parts_of

    facts: dict[str, Any] = {"layout": 1, **describe(trained)}
    out = options.out or trained.path / "export" / f"{facts['model']['name']}.{kind}"
    if out.is_dir():
        raise InputError(f"--out {out} is a folder: give a file, such as {out / facts['model']['name']}.{kind}")
    exported = (
        formats.weights_of(model) if kind == "safetensors" else formats.export(parts_of(model, trained.data), kind)
    )
    several = len(exported) > 1
    files = {name: out.with_stem(f"{out.stem}-{name}") if several else out for name in exported}
    facts["parts"] = {name: {"file": files[name].name, **part.facts} for name, part in exported.items()}
    text = json.dumps(facts, ensure_ascii=False)
    contents = {files[name]: part.encode(text) for name, part in exported.items()}
    contents[out.with_name(f"{out.name}.json")] = json.dumps(facts, ensure_ascii=False, indent=1).encode()
    try:
        for path, content in contents.items():
            write_atomically(path, content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    for name, part in exported.items():
        largest = part.facts.get("max_error")
        checked = "" if largest is None else f", within {largest:.1g} of the run's at two batch sizes"
        say(f"{name}: {files[name]}, {len(contents[files[name]]) / 1e6:.2f} MB{checked}")
