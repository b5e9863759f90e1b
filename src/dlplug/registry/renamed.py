"""What runs of dlplug 0.1 call otherwise: one table, read only where such a run is opened. It goes in 0.3."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Modules by the room that they moved to; old=new where the module's own name changed too.
ROOMS = {
    "dlplug": "loggers: metrics=csv",
    "dlplug_vision": "data: digits full_size image_folder images mnist5k; models: cnn resnet",
    "dlplug_rl": "data: gym; models: dqn policy_gradient ppo q_learning",
    "dlplug_sequence": "data: parallel_text phrases ui_strings tweets bible text_file text_table adding_problem; "
    "models: bag_of_words markov mixture=interpolated_lm rnn_classifier rnn_lm rnn_regressor seq2seq transformer "
    "transformer_lm",
    "dlplug_multimodal": "data: tags=tag_folder captions=caption_folder clips=video_clips emoji emoji_scenes "
    "digit_names spoken_digits; models: captioner fusion gaussian_rbm joint_embedding multimodal_dbm "
    "replicated_softmax skip_gram soundnet",
}
# Classes by their old names, Infos with the module they are in.
CLASSES: dict[str, str] = {}
INFOS: dict[str, str] = {"ImageInfo": "dlplug.data:ImageInfo"}
# By the names of classes today: options and fields of Infos, metrics, what a checkpoint holds besides, and weights.
OPTIONS: dict[str, str] = {}
METRICS: dict[str, str] = {}
STATE: dict[str, str] = {}
WEIGHTS: dict[str, tuple[tuple[str, str], ...]] = {}


def is_old(recorded: Iterable[str]) -> bool:
    """Return whether recorded versions are those of a run of dlplug 0.1."""
    return any(line.startswith("dlplug 0.1.") for line in recorded)


def class_path(path: str) -> str:
    """Return what a class path of 0.1 is now."""
    package, _, rest = path.partition(".")
    module, _, name = rest.rpartition(".")
    for room, modules in (line.split(":") for line in ROOMS.get(package, "").split(";")):
        if (new := _pairs(modules).get(module)) is not None:
            return f"{package}.{room.strip()}.{new or module}.{CLASSES.get(name, name)}"
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
            renamed["init_args"] = _rename(init_args, OPTIONS, renamed["class_path"])
    return renamed


def metrics(model: str) -> dict[str, str]:
    """Return today's name of each metric that the class of that path called otherwise, stages included."""
    pairs = _of(METRICS, model).items()
    return {f"{stage}/{old}": f"{stage}/{new}" for stage in ("train", "val", "test") for old, new in pairs}


def about(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says of itself in today's words, if it is of 0.1: the metrics of its panels among it."""
    match content:
        case {"versions": {"dlplug": str(made)}, "model": {"class_path": str(path)}} if made.startswith("0.1."):
            model = class_path(path)
        case _:
            return content
    names, curves = metrics(model), _of(METRICS, model)
    monitor, panels = content.get("monitor") or [], content.get("panels", [])
    renamed = [{**panel, "curves": [curves.get(name, name) for name in panel["curves"]]} for panel in panels]
    new = {"monitor": [names.get(name, name) for name in monitor], "panels": renamed, "renamed_metrics": names}
    return {**content, **new, "axis": names.get(content.get("axis", ""), content.get("axis", ""))}


def checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a checkpoint of 0.1 in today's words; ``renamed_metrics`` is what ``metrics`` returns."""
    options = content.get("hyper_parameters", {})
    model = class_path(str(options.get("_class_path", "")))
    renamed: dict[str, Any] = _infos(_rename(content, STATE, model))
    if "_class_path" in options:
        renamed["hyper_parameters"] = _rename({**options, "_class_path": model}, OPTIONS, model)
    renamed["state_dict"] = {_weight(name, model): value for name, value in content["state_dict"].items()}
    renamed["renamed_metrics"] = metrics(model)
    return renamed


def _pairs(text: str) -> dict[str, str]:
    return {old: new for old, _, new in (pair.partition("=") for pair in text.split())}


def _of(table: Mapping[str, str], path: str) -> dict[str, str]:
    """Return what a table says of the class at the end of a class path."""
    name = path.rpartition(".")[2]
    return {old: new for names, text in table.items() if name in names.split() for old, new in _pairs(text).items()}


def _rename(content: Mapping[str, Any], table: Mapping[str, str], path: str) -> dict[str, Any]:
    names = _of(table, path)
    return {names.get(key, key): value for key, value in content.items()}


def _infos(content: Any) -> Any:
    """Rename the Infos in plain data, however deep."""
    if not isinstance(content, dict):
        return content
    renamed = {key: _infos(value) for key, value in content.items()}
    if (new := INFOS.get(str(content.get("type")))) is not None:
        renamed = {**_rename(renamed, OPTIONS, new.replace(":", ".")), "type": new}
    return renamed


def _weight(name: str, path: str) -> str:
    for pattern, new in WEIGHTS.get(path.rpartition(".")[2], ()):
        name = re.sub(pattern, new, name)
    return name
