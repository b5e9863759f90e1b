"""``dlplug pack``: trained weights as a distribution, which pip installs and commands take by name."""

import argparse
import csv
import json
import re
import shutil
import tempfile
from collections.abc import Collection
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from math import isclose, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dlplug import InputError, load
from dlplug.api import TrainedRun
from dlplug.console import say
from dlplug.files import write_atomically
from dlplug.runs import Run, digest_of
from dlplug_share import facts
from dlplug_share.card import card

if TYPE_CHECKING:
    from torch import Tensor, dtype

NAME = re.compile(r"[a-z][a-z0-9-]*")
TABLES = ("metrics.csv", "test.csv", "timing.csv")
FIELDS = ("epoch", "global_step", "pytorch-lightning_version", "dlplug_version")  # of a checkpoint
HALF = 1e-3  # how much of itself the monitored metric may change in half precision
PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "dlplug-{name}"
version = "1.0.0"
description = {summary}
readme = "README.md"
requires-python = ">=3.11"
dependencies = {needed}

[project.entry-points.dlplug]
{name} = "{package}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]
"""
PLUGIN = '''\
"""Trained weights, as `dlplug pack` wrote them."""

from dlplug import Spec, WeightsSpec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the weights."""
    return [
        {specs},
    ]
'''


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run; several go into one package")
    parser.add_argument("--name", help="of the package, after dlplug-; MODEL-DATA of a single run unless given")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to, a new folder; dlplug-NAME unless given")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option that is a word, such as model.name: others are left out, since they may be paths",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write a distribution, whole or not at all."""
    runs = [load(name) for name in options.runs]
    names = [name_of(each) for each in runs]
    name = options.name or (names[0] if len(names) == 1 else "")
    if not NAME.fullmatch(name):
        raise InputError(f"--name {name or 'NAME'}: a name is like {names[0]}, and several runs need one")
    names = [name] if len(names) == 1 else names
    if len(set(names)) < len(names):
        raise InputError(f"two runs of one model and data: {', '.join(names)}; pack each by itself, with a --name")
    out = options.out or Path(f"dlplug-{name}")
    if out.exists():
        raise InputError(f"{out} exists: --out names another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=out.parent) as folder:
            write(Path(folder) / "package", name, dict(zip(names, runs, strict=True)), options.keep)
            (Path(folder) / "package").rename(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    # A path that has a separator: else pip would ask the index.
    place = out if out.is_absolute() else f"./{out}"
    say(f"package: {out}; once `pip install {place}` has it, commands take {', '.join(names)} in a run's place")


def write(root: Path, name: str, runs: dict[str, TrainedRun], keep: Collection[str] = ()) -> None:
    """Write a distribution of the weights of some runs, by their names."""
    package = f"dlplug_{name.replace('-', '_')}"
    needed = {f"dlplug>={'.'.join(version('dlplug').split('.')[:2])}", "safetensors>=0.5"}
    specs, readme = [], ""
    for own, trained in runs.items():
        folder = own.replace("-", "_")
        digest, summary, readme = pack(trained, own, root / "src" / package / folder, keep)
        spec = facts.spec_of("model", trained.model)
        given = {"lecture": spec.lecture, "model": spec.name, "digest": digest} if spec else {}
        options = ", ".join(f"{option}={value!r}" for option, value in given.items())
        specs.append(f"WeightsSpec({own!r}, {f'{package}:{folder}'!r}, {summary!r}, {options})")
        needed |= {origin.replace(" ", ">=") for origin in facts.origins(trained)}
    if len(runs) > 1:
        summary = f"Trained weights: {', '.join(runs)}."
        readme = f"# dlplug-{name}\n\n{summary}\n"
    project = {"name": name, "package": package, "needed": json.dumps(sorted(needed)), "summary": json.dumps(summary)}
    write_atomically(root / "pyproject.toml", PROJECT.format(**project).encode())
    write_atomically(root / "README.md", readme.encode())
    write_atomically(root / "src" / package / "plugin.py", PLUGIN.format(specs=",\n        ".join(specs)).encode())


def name_of(trained: TrainedRun) -> str:
    """Return what weights of a run are called unless somebody says otherwise, such as ``cnn-mnist5k``.

    Raises:
        InputError: No plugin offers its model, so that nobody else has it.
    """
    model, data = (facts.spec_of(kind, getattr(trained, kind)) for kind in ("model", "data"))
    if model is None:
        raise InputError(f"{trained.path}: no plugin offers {facts.path_of(trained.model)}: nobody else has that class")
    return f"{model.name}-{data.name if data else 'own'}"


def pack(trained: TrainedRun, name: str, folder: Path, keep: Collection[str]) -> tuple[str, str, str]:
    """Write a run folder of named fields, in half precision where validation does as well with it.

    Returns:
        The digest of the weights, a summary, and the card.

    Raises:
        InputError: What is left out is needed, or the weights do not come back as they were.
    """
    import torch

    left = _write(trained, folder, keep, None)
    if left:
        say(f"{name}: without {', '.join(left)}, which may be paths; --keep {left[0]} takes one along")
    try:
        packed = load(folder).model.state_dict()
    except InputError as error:
        raise InputError(f"{trained.path} does not load without {', '.join(left) or 'more of it'}: {error}") from error
    for key, value in trained.model.state_dict().items():
        if not torch.equal(packed[key].nan_to_num(), value.nan_to_num()):
            raise InputError(f"{trained.path}: {key} does not come back as it was")
    with tempfile.TemporaryDirectory() as other:
        _write(trained, Path(other, "half"), keep, torch.float16)
        single, half = (_validated(each, Path(other, "copy")) for each in (folder, Path(other, "half")))
    monitor = (getattr(trained.model, "monitor", None) or [""])[0]
    judged = [monitor] if monitor in single else list(single)
    said = "; ".join(
        f"{each} {half.get(each, nan):.4g} in half precision, {single[each]:.4g} in single" for each in judged
    )
    halved = bool(judged) and all(isclose(single[each], half.get(each, nan), rel_tol=HALF) for each in judged)
    if halved:
        _write(trained, folder, keep, torch.float16)
    precision = f"They are kept in {'half' if halved else 'single'} precision" + (
        f", measured on the validation data: {said}." if said else "."
    )
    file = folder / "checkpoints" / "best.safetensors"
    described = {"layout": 1, **facts.describe(trained)}
    text = card(trained, described, {"The weights": [precision, f"```sh\ndlplug test {name}\ndlplug info {name}\n```"]})
    write_atomically(folder / "README.md", text.encode())
    say(f"{name}: {file.stat().st_size / 1e6:.2f} MB. {precision}")
    data = described["data"].get("name")
    return digest_of(file), f"{described['model']['name']}{f' trained on {data}' if data else ''}.", text


def _validated(folder: Path, copy: Path) -> dict[str, float]:
    """Return what ``dlplug validate`` measures of a run, in a copy of it; nothing where it measures nothing."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    try:
        with redirect_stdout(StringIO()):  # Lightning's table
            return {name: value for name, value in load(copy).validate().items() if isfinite(value)}
    except InputError as error:
        say(f"not validated, so nothing is halved: {error}")
        return {}


def _write(trained: TrainedRun, folder: Path, keep: Collection[str], dtype: "dtype | None") -> list[str]:
    """Write a run folder of what others may see, and return the options that are left out of it."""
    from safetensors.torch import save

    from dlplug.trained import flatten, read_checkpoint

    model = trained.model
    config = facts.config_of(trained.path)
    seed, trainer = config.get("seed_everything"), config.get("trainer") or {}
    shown: dict[str, Any] = {"seed_everything": seed} if isinstance(seed, int) else {}
    shown["trainer"] = {each: trainer[each] for each in facts.TRAINER if isinstance(trainer.get(each), int | float)}
    about: dict[str, Any] = {"state": "done", "monitor": getattr(model, "monitor", "default")}
    about |= {"axis": getattr(model, "axis", ""), "generates": callable(getattr(model, "generate", None))}
    about["panels"] = [panel.to_dict() for panel in getattr(model, "panels", ())]
    left = []
    for kind in ("model", "data"):
        thing, spec = getattr(trained, kind), facts.spec_of(kind, getattr(trained, kind))
        given = (config.get(kind) or {}).get("init_args") or {}
        own = [option.partition(".")[2] for option in keep if option.startswith(f"{kind}.")]
        kept = facts.shareable(thing, given, own)
        left += [f"{kind}.{option}" for option in given if option not in kept]
        if spec:
            shown[kind] = {"class_path": spec.class_path, "init_args": kept}
            told = {"name": spec.name, "class_path": spec.class_path, "summary": spec.summary, "lecture": spec.lecture}
            about[kind] = {**told, "doc": facts.documented(thing)}
    checkpoint = read_checkpoint(Run(trained.path).trained)
    extra: dict[str, Any] = {}
    model.on_save_checkpoint(extra)
    words = [option.partition(".")[2] for option in keep if option.startswith("model.")]
    options = facts.shareable(model, checkpoint.get("hyper_parameters", {}), words)
    fields = {each: checkpoint[each] for each in FIELDS if each in checkpoint}
    fields |= {"state_dict": dict(model.state_dict()), "hyper_parameters": options, **extra}
    tensors: dict[str, Tensor] = {}
    plain = json.dumps(flatten(fields, tensors, dtype=dtype))
    file = folder / "checkpoints" / "best.safetensors"
    write_atomically(file, save(tensors, {"dlplug_checkpoint": plain}))
    about["digest"] = digest_of(file)
    head = "".join(
        f"# made with {origin} (pip install {origin.replace(' ', '==')})\n" for origin in facts.origins(trained)
    )
    write_atomically(folder / "config.yaml", (head + yaml.safe_dump(shown, sort_keys=False)).encode())
    write_atomically(folder / "about.json", json.dumps(about, indent=1).encode())
    for name in TABLES:
        if table := _numbers(trained.path / name):
            write_atomically(folder / name, table.encode())
    return left


def _numbers(path: Path) -> str:
    """Return a table of numbers alone."""
    if not path.is_file():
        return ""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return "".join(",".join(row) + "\n" for row in rows[:1] + [row for row in rows[1:] if all(map(_is_number, row))])


def _is_number(cell: str) -> bool:
    try:
        return not cell or float(cell) is not None
    except ValueError:
        return False
