"""What runs of dlplug 0.1 call otherwise, by the tables of renamed.toml: read only where such a run is opened."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _table(name: str) -> Any:
    import tomllib  # 5 ms, which all but such runs do without

    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text())[name]


def is_old(recorded: Iterable[str]) -> bool:
    """Return whether recorded versions are those of a run of dlplug 0.1."""
    return any(line.startswith("dlplug 0.1.") for line in recorded)


def class_path(path: str) -> str:
    """Return what a class path of 0.1 is now."""
    package, _, rest = path.partition(".")
    module, _, name = rest.rpartition(".")
    for room, modules in _table("rooms").get(package, {}).items():
        if (new := _pairs(modules).get(module)) is not None:
            return f"{package}.{room}.{new or module}.{_table('classes').get(name, name)}"
    return path


def config(content: Any) -> Any:
    """Return the content of a config of 0.1 in today's words: class paths, and the options of each class."""
    if isinstance(content, list):
        return [config(entry) for entry in content]
    if not isinstance(content, dict):
        return content
    renamed = {key: config(value) for key, value in content.items()}
    if isinstance(path := content.get("class_path"), str):
        renamed["class_path"] = class_path(path)
        if isinstance(init_args := renamed.get("init_args"), dict):
            renamed["init_args"] = _rename(init_args, "options", renamed["class_path"])
    return renamed


def metrics(model: str) -> dict[str, str]:
    """Return today's name of each metric that the class of that path called otherwise, stages included."""
    pairs = _of("metrics", model).items()
    return {f"{stage}/{old}": f"{stage}/{new}" for stage in ("train", "val", "test") for old, new in pairs}


def about(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says of itself in today's words, if it is of 0.1: the metrics of its panels among it."""
    match content:
        case {"versions": {"dlplug": str(made)}, "model": {"class_path": str(path)}} if made.startswith("0.1."):
            model = class_path(path)
        case _:
            return content
    names, curves = metrics(model), _of("metrics", model)
    monitor, panels = content.get("monitor") or [], content.get("panels", [])
    renamed = [{**panel, "curves": [curves.get(name, name) for name in panel["curves"]]} for panel in panels]
    new = {"monitor": [names.get(name, name) for name in monitor], "panels": renamed, "renamed_metrics": names}
    return {**content, **new, "axis": names.get(content.get("axis", ""), content.get("axis", ""))}


def checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a checkpoint of 0.1 in today's words; ``renamed_metrics`` is what ``metrics`` returns."""
    options = content.get("hyper_parameters", {})
    model = class_path(str(options.get("_class_path", "")))
    weights = ("state_dict", "optimizer_states")
    plain = {key: value for key, value in content.items() if key not in weights}
    renamed: dict[str, Any] = {**content, **_plain(plain, _of("state", model))}
    if "_class_path" in options:
        renamed["hyper_parameters"] = _rename({**options, "_class_path": model}, "options", model)
    renamed["state_dict"] = {_weight(name, model): value for name, value in content["state_dict"].items()}
    renamed["renamed_metrics"] = metrics(model)
    return renamed


def _pairs(text: str) -> dict[str, str]:
    return {old: new for old, _, new in (pair.partition("=") for pair in text.split())}


def _of(table: str, path: str) -> dict[str, str]:
    """Return what a table says of the class at the end of a class path."""
    name = path.rpartition(".")[2] if path.startswith("dlplug_") else ""
    return {
        old: new for names, text in _table(table).items() if name in names.split() for old, new in _pairs(text).items()
    }


def _rename(content: Mapping[str, Any], table: str, path: str) -> dict[str, Any]:
    names = _of(table, path)
    return {names.get(key, key): value for key, value in content.items()}


def _plain(content: Any, names: Mapping[str, str]) -> Any:
    """Rename keys and Infos in plain data, however deep."""
    if isinstance(content, list):
        return [_plain(part, names) for part in content]
    if not isinstance(content, dict):
        return content
    renamed = {names.get(key, key): _plain(value, names) for key, value in content.items()}
    if (new := _table("infos").get(str(content.get("type")))) is not None:
        renamed = {**_rename(renamed, "options", new.replace(":", ".")), "type": new}
    if isinstance(path := content.get("class_path"), str):  # of a model kept in another's checkpoint
        renamed["class_path"] = class_path(path)
        renamed["options"] = _rename(renamed.get("options", {}), "options", renamed["class_path"])
    return renamed


def _weight(name: str, path: str) -> str:
    for classes, pattern, new in _table("weights")["patterns"]:
        if path.rpartition(".")[2] in classes.split():
            name = re.sub(pattern, new, name)
    return name
