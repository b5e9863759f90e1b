"""``dlplug card``: a run's weights and model card, a folder that hubs take as it is."""

import argparse
import csv
import json
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from dlplug import ClaimSpec, InputError, ModelSpec, load
from dlplug.api import TrainedRun
from dlplug.console import say
from dlplug.files import write_atomically
from dlplug.registry import Registry
from dlplug_share.facts import TRAINER, config_of, documented, interval, parameters_of, path_of, settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", metavar="RUN", help="the run")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to; RUN/card unless given")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write README.md, the weights, and the JSON beside them."""
    trained = load(options.folder)

    from dlplug_share.facts import describe
    from dlplug_share.formats import weights_of

    folder = options.out or trained.path / "card"
    [weights] = weights_of(trained.model).values()
    facts = {"layout": 1, **describe(trained), "parts": {"weights": {"file": "model.safetensors"}}}
    files = {
        "README.md": card(trained, facts).encode(),
        "model.safetensors": weights.encode(json.dumps(facts, ensure_ascii=False)),
        "model.safetensors.json": json.dumps(facts, ensure_ascii=False, indent=1).encode(),
    }
    try:
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}") from error
    if not options.out:
        trained.report()  # which shows it
    say(f"card: {folder / 'README.md'}, with the weights beside it")


def card(trained: TrainedRun, facts: dict[str, Any], more: Mapping[str, list[str]] = MappingProxyType({})) -> str:
    """Return a run's model card, Markdown with the YAML head that model hubs read; what is not known is left out.

    Args:
        trained: The run.
        facts: As ``describe`` returns them.
        more: Further sections by title.
    """
    registry = Registry.discover()
    model, data = trained.model, trained.data
    found = registry.spec_of("model", path_of(model))
    spec = found if isinstance(found, ModelSpec) else None
    name, source = facts["model"]["name"], facts["data"].get("name", "")
    measured = figures(trained.path / "test.csv")
    head: dict[str, Any] = {"library_name": "dlplug", "tags": ["dlplug", name, *(spec.tags if spec else ())]}
    task = task_of(facts)
    if task:
        head["pipeline_tag"] = task
    if task and measured and source:
        values = [{"type": metric, "name": metric, "value": value} for metric, value in measured.items()]
        dataset = {"type": source, "name": source, "split": "test"}
        results = [{"task": {"type": task}, "dataset": dataset, "metrics": values}]
        head["model-index"] = [{"name": name, "results": results}]
    config = config_of(trained.path)
    seeds = over_seeds(trained.path)
    splits = {
        name: each for name, each in (getattr(data, "splits", None) or {}).items() if isinstance(each, tuple | list)
    }
    sizes = ", ".join(f"{len(columns[0]):,} {split}" for split, columns in splits.items())
    claims = [s for s in registry if isinstance(s, ClaimSpec) and name in s.models] if spec else []
    sections = {
        "": [facts["model"].get("summary", ""), documented(model) if spec else ""],
        "Data": [facts["data"].get("summary", ""), documented(data) if source else "", sizes and f"Items: {sizes}."],
        "Figures": [
            measured and said_of_seeds(seeds, config.get("seed_everything")),
            measured and baseline(task, splits),
            measured and figures_table(measured, [figures(path / "test.csv") for path in seeds.values()]),
        ],
        "What is claimed of it": [
            claims and "Sentences of the course that `dlplug verify` measures, each against a control:",
            "\n".join(f"- {each.lecture}: {each.summary} (`{each.name}`)" for each in claims),
        ],
        **more,
        "Limits": [measured and "It was measured on the test data above alone."],
        "To train it again": [spec and source and f"```sh\n{command(model, spec, source, config)}\n```"],
    }
    text = [f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---", f"# {name}"]
    for title, paragraphs in sections.items():
        kept = [str(each) for each in paragraphs if each]
        text += [*([f"## {title}"] if title and kept else []), *kept]
    return "\n\n".join(text) + "\n"


def task_of(facts: dict[str, Any]) -> str:
    """Return the hubs' word for what a model is for, where its data settle that; empty where not."""
    if "actions" in facts["info"]:
        return "reinforcement-learning"
    kinds = [kind for kind in ("images", "texts") if kind in facts["preprocessing"]]
    classifies = facts["info"].get("target") == "class" and "labels" in facts
    return f"{kinds[0][:-1]}-classification" if classifies and len(kinds) == 1 else ""


def baseline(task: str, splits: Mapping[str, Any]) -> str:
    """Return what the most frequent class of the training data reaches on the test data, where a class is learned."""
    if "classification" not in task or not {"train", "test"} <= splits.keys():
        return ""
    labels, truth = (splits[name][-1] for name in ("train", "test"))
    share = (truth == labels.mode().values).float().mean().item()
    return f"A baseline: always the most frequent class of the training data has an accuracy of {share:.4g}."


def over_seeds(folder: Path) -> dict[int, Path]:
    """Return the tested runs beside a run that differ from it by their seed alone, and itself, by seed."""
    found: dict[int, Path] = {}
    for path in sorted(path.parent for path in folder.absolute().parent.glob("*/test.csv")):
        config = config_of(path) if (path / "config.yaml").is_file() else {}
        if isinstance(seed := config.get("seed_everything"), int) and settings(config) == settings(config_of(folder)):
            found.setdefault(seed, path)
    return dict(sorted(found.items()))


def said_of_seeds(seeds: Mapping[int, Path], own: Any) -> str:
    """Return what a card's figures are of."""
    if len(seeds) > 1:
        each = ", ".join(map(str, seeds))
        return (
            f"On the test data: of the run with seed {own}, whose weights these are, and over the seeds {each} of the "
            "same recipe the mean with its 95 % interval (Student's t)."
        )
    return f"On the test data, of one run{f' with seed {own}' if isinstance(own, int) else ''}."


def figures_table(own: Mapping[str, float], each: Sequence[Mapping[str, float]]) -> str:
    """Return a table of metrics in Markdown, of one run and over several."""
    several = len(each) > 1
    lines = ["| metric | value | mean |", "|---|---|---|"] if several else ["| metric | value |", "|---|---|"]
    for name, value in own.items():
        mean, half = interval([run[name] for run in each if name in run] or [value])
        lines.append(f"| {name} | {value:.4g} |" + (f" {mean:.4g} ± {half or 0:.2g} |" if several else ""))
    return "\n".join(lines)


def figures(path: Path) -> dict[str, float]:
    """Return the metrics of a run's test by name; none where it was not tested."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.DictReader(file) for cell in row.items()]
    return {name[5:]: float(value) for name, value in cells if value and re.fullmatch(r"test/[\w@ .-]+", name)}


def command(model: Any, spec: ModelSpec, data: str, config: dict[str, Any]) -> str:
    """Return a command that trains with the run's numbers where they are not the recipe's.

    Words are left out: they may be paths.
    """
    given = {f"model.{name}": value for name, value in model.hparams.items()}
    given |= {f"trainer.{name}": config.get("trainer", {}).get(name) for name in TRAINER}
    given["seed_everything"] = config.get("seed_everything")
    usual = {f"model.{name}": each.default for name, each in parameters_of(model).items()} | spec.recipe_for(data)
    usual = {"seed_everything": 0, "trainer.max_steps": -1, "trainer.accumulate_grad_batches": 1, **usual}
    typed = [f"dlplug fit --model {spec.name} --data {data}"]
    for name, value in given.items():
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if all(isinstance(each, Real) for each in numbers) and _plain(value) != _plain(usual.get(name)):
            typed.append(f"--{name} {json.dumps(_plain(value), separators=(',', ':'))}")
    return " ".join(typed)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
