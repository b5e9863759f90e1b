"""``dlplug compare``: models that take the same data on one ruler."""

import argparse
import hashlib
import inspect
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

from dlplug import DataSpec, InputError, ModelSpec
from dlplug.api import TrainedRun
from dlplug.console import plain, say
from dlplug.files import write_atomically
from dlplug.registry import Registry
from dlplug.runs import Run
from dlplug.runs_index import read_entries
from dlplug_share.facts import config_of, interval, settings

COST = "cost"  # beside the judges' names
SAMPLES = 16  # of a model that generates any number
UNREAD = ("media", "generated", "wandb", "tensorboard", "export", "card", "*.html")  # of a run folder
Rows = list[dict[str, Any]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="runs; those that differ by their seed alone are one row"
    )
    parser.add_argument("--all", action="store_true", help="every trained run below runs that is on the data")
    parser.add_argument("--data", metavar="NAME", help="what all are measured on; the data of the runs unless given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too, for programs")
    parser.add_argument("--out", type=Path, default=Path("comparison.html"), help="the page (comparison.html)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure, print a table, and write the page."""
    registry = Registry.discover()
    runs = [Run.open(name) for name in options.runs]
    if options.all:
        trained = [run for entry in read_entries(Path("runs")) if (run := Run(Path(entry.path))).best]
        runs += [run for run in reversed(trained) if options.data in (None, _data(run, registry))]
    runs = list(dict.fromkeys(runs))
    names = list(dict.fromkeys(_data(run, registry) for run in runs))
    if not names:
        raise InputError(f"there are no trained runs{f' on {options.data}' if options.data else ''}: compare RUN RUN …")
    if len(names) > 1 and not options.data:
        raise InputError(f"the runs are on {', '.join(names)}: --data NAME says which all are measured on")
    data = registry.find("data", options.data or names[0])
    if not isinstance(data, DataSpec) or not data.judges:
        raise InputError(f"the data {data.name} names no judges, which are what models are measured by")
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(run, data, registry, Path(folder, str(n))) for n, run in enumerate(runs)]
        refuse_other_items(measured)
        rows = in_rows(measured)
        compared = {"data": data.name, "judges": dict(map(_said, data.judges)), "rows": rows}
        print("\n\n".join(f"{title}\n\n{table(cells)}" for title, cells in tables(compared).items()))
        for row in rows:
            for judge, why in row["left_out"].items():
                say(f"{row['label']}: {judge} left out: {why}")
        try:
            if options.json:
                write_atomically(options.json, f"{json.dumps(compared, indent=1, ensure_ascii=False)}\n".encode())
            write_page(compared, measured, options.out)
        except OSError as error:
            raise InputError(f"cannot write {error.filename}: {error.strerror}") from error
    say(f"page: {options.out}")


def _said(judge: str) -> tuple[str, str]:
    """Return a judge's name and what it says of itself, in a sentence or two."""
    try:
        doc = inspect.getdoc(resolve_name(judge)) or ""
    except Exception:  # it is not installed, or worse; each run says so
        doc = ""
    said = plain(doc.partition("\n\n")[0]).removeprefix("Return ")
    return judge.partition(":")[2], said[:1].upper() + said[1:]


class Subject(TrainedRun):
    """A run whose test data are measured once, however many judges ask."""

    @cached_property
    def _tested(self) -> dict[str, float]:
        with redirect_stdout(StringIO()):  # Lightning's table
            return super().test()

    def test(self, options: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Return the metrics by name."""
        return self._tested


def measure(run: Run, data: DataSpec, registry: Registry, folder: Path) -> dict[str, Any]:
    """Measure a run by the judges of some data, in a copy, so that the run stays as it is.

    Args:
        run: The run.
        data: What to measure it on.
        registry: The installed plugins.
        folder: Where the copy goes, and what the model generates.

    Returns:
        What it is, its figures by name, and why what is left out does not apply.
    """
    config = config_of(run.path)
    path = str((config.get("model") or {}).get("class_path"))
    spec = registry.spec_of("model", path)
    found: dict[str, Any] = {"model": spec.name if spec else path.rpartition(".")[2].lower(), "config": config}
    found |= {"figures": {}, "left_out": {}, "shown": folder / "shown", "items": ""}
    try:
        if isinstance(spec, ModelSpec) and spec.takes and spec.takes != data.gives:
            raise InputError(f"it takes {spec.takes}, and {data.name} gives {data.gives}")
        _ = run.trained
        shutil.copytree(run.path, folder / "run", ignore=shutil.ignore_patterns(*UNREAD))
        if _data(run, registry) != data.name:
            other = {**config, "data": {"class_path": data.class_path}}
            (folder / "run" / "config.yaml").write_text(yaml.safe_dump(other))
        subject = Subject(folder / "run")
        found["figures"][COST] = _cost(subject, folder / "shown")
        options = (config.get("data") or {}).get("init_args") or {}
        found["items"] = f"{_fingerprint(subject.data)}{options.get(data.recipe_key, '')}"
    except InputError as error:
        found["left_out"] = {"all": plain(error)}
        return found
    for target in data.judges:
        name = target.partition(":")[2]
        try:
            found["figures"][name] = resolve_name(target)(subject)
        except Exception as error:  # of anybody's judge
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            found["left_out"][name] = f"{kind}{plain(error)}"
    return found


def _data(run: Run, registry: Registry) -> str:
    path = str((config_of(run.path).get("data") or {}).get("class_path"))
    spec = registry.spec_of("data", path)
    return spec.name if spec else path


def _cost(subject: Subject, shown: Path) -> dict[str, float]:
    """Return seconds, weights and memory, and keep what the model generates."""
    model = subject.model
    cost = {"weights": sum(each.numel() for each in model.parameters())}
    cost["megabytes"] = sum(each.nbytes for each in model.state_dict().values()) / 1e6
    timing = subject.path / "timing.csv"
    if timing.is_file():
        head, *lines = timing.read_text().splitlines()
        cost["train_seconds"] = sum(float(line.split(",")[head.split(",").index("seconds")]) for line in lines)
    start = time.process_time()
    subject.test()
    cost["test_seconds"] = time.process_time() - start
    arguments = inspect.signature(getattr(model, "generate", lambda needed: None)).parameters
    if all(each.default is not each.empty for each in arguments.values()):
        start = time.process_time()
        try:
            made = subject.generate(**({"n": SAMPLES} if "n" in arguments else {}))
        except InputError:  # it needs something to begin with
            return cost
        cost["sample_seconds"] = time.process_time() - start
        for name, medium in (made if isinstance(made, dict) else {"sample": made}).items():
            write_atomically(shown / f"{name}.{medium.suffix}", medium.encode())
    return cost


def _fingerprint(data: Any) -> str:
    """Return what tells test items apart; empty where they are not in memory."""
    from torch import Tensor

    columns = (getattr(data, "splits", None) or {}).get("test", ())
    columns = columns if isinstance(columns, tuple | list) else [columns]
    content = [each.numpy().tobytes() for each in columns if isinstance(each, Tensor)]
    return hashlib.sha256(b"".join(content)).hexdigest() if content else ""


def refuse_other_items(measured: Rows) -> None:
    """Leave out what was measured on other items than the first run, as options of its data may have it."""
    ruler = next((each["items"] for each in measured if each["items"]), "")
    for each in measured:
        if each["items"] not in ("", ruler):
            why = "its test items are others than those of the first run: options of the data differ"
            each |= {"figures": {}, "left_out": {"all": why}}


def in_rows(measured: Rows) -> Rows:
    """Return a row for each model and options: means over seeds, with 95 % intervals."""
    groups: dict[str, Rows] = {}
    for each in measured:
        groups.setdefault(json.dumps(settings(each["config"]), sort_keys=True, default=str), []).append(each)
    rows = []
    for group in groups.values():
        label = _label(group[0], measured)
        figures: dict[str, dict[str, list[float]]] = {}
        for each in group:
            each["label"] = label
            for judge, found in each["figures"].items():
                for name, value in found.items():
                    figures.setdefault(judge, {}).setdefault(name, []).append(value)
        summed = {judge: {name: _summary(values) for name, values in found.items()} for judge, found in figures.items()}
        seeds = [each["config"].get("seed_everything") for each in group]
        left_out = {judge: why for each in group for judge, why in each["left_out"].items()}
        rows.append({"label": label, "seeds": seeds, "figures": summed, "left_out": left_out})
    return rows


def _summary(values: list[float]) -> dict[str, Any]:
    mean, half = interval(values)
    return {"mean": mean, "interval": half, "values": values}


def _label(one: dict[str, Any], measured: Rows) -> str:
    """Return a model's name, and options in which it differs from the others of that name."""
    own, *others = (settings(each["config"]) for each in (one, *measured) if each["model"] == one["model"])
    told = [name for name in own if any(other.get(name) != own[name] for other in others)]
    return " ".join([one["model"], ", ".join(f"{name.rpartition('.')[2]}={own[name]}" for name in told)]).strip()


def tables(compared: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Return a table for each judge that applies and one of the cost: a heading, and a row for each model."""
    found = {}
    for judge in (*compared["judges"], COST):
        rows = [row for row in compared["rows"] if judge in row["figures"]]
        names = list(dict.fromkeys(name for row in rows for name in row["figures"][judge]))
        head = ["model", "seeds", *(name.replace("_", " ") for name in names)]
        if rows:
            found[judge] = [head, *([row["label"], str(len(row["seeds"])), *_cells(row, judge, names)] for row in rows)]
    return found


def _cells(row: Mapping[str, Any], judge: str, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        mean, half = map(row["figures"][judge].get(name, {}).get, ("mean", "interval"))
        shown = "" if mean is None else f"{mean:,.0f}" if mean >= 1e4 else f"{mean:.4g}"
        yield shown + (f" ± {half:.2g}" if half and judge != COST else "")


def table(cells: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [cells[0], ["---"] * len(cells[0]), *cells[1:]])


def write_page(compared: Mapping[str, Any], measured: Rows, path: Path) -> None:
    """Write the page: the table, and what models generate side by side."""
    from dlplug.report import fill, read_frame

    shown: dict[str, Any] = {}
    for each in measured:
        files = sorted(each["shown"].glob("*"))
        if files:
            shown.setdefault(each["label"], [read_frame(file) for file in files])
    page = Path(__file__).with_name("compare.html")
    values = {"tables": tables(compared), "shown": shown, "epochs": [], "axis": "step", **compared}
    write_atomically(path, fill(page, **values).encode(errors="replace"))
