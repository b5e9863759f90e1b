"""Turns short names into class paths, so that what Lightning gets is an ordinary LightningCLI command line.

Everything here is torch-free: a misspelt name or option is found before the seconds that importing torch takes.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dlplug.console import say
from dlplug.errors import InputError, did_you_mean
from dlplug.files import load_yaml
from dlplug.registry import Registry, renamed
from dlplug.registry.provenance import HEAD, recorded_versions, version_drift
from dlplug.registry.source import UNREAD, data_beside, defines, is_there, read_class
from dlplug.registry.trust import check_trust
from dlplug.runs import Run
from dlplug.specs import DataSpec, ModelSpec

T = TypeVar("T")
KINDS = ("model", "data")
CHANGEABLE = ("model", "optimizer", "lr_scheduler")  # what in a resumed run may hold other options of the optimizer
# What stands on the command line for an object that Python gives.
PLACEHOLDERS = {"model": "lightning.pytorch.LightningModule", "data": "lightning.pytorch.LightningDataModule"}
SHORT = re.compile(r"(\w[\w-]*:)?\w[\w-]*")  # anything else is a class path, a file or an inline config
NAMED = r"(-c|--(config|model|data)(\.help)?)"
VALUED = re.compile(rf"{NAMED}|--logger|--\w+\.[\w.+]+")
LACKING = re.compile(rf"{NAMED}=?|--logger|--(model|data|trainer|optimizer|lr_scheduler|logger)\.[\w.+]+(?<!\.help)")
LOADERS = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
LOADERS = {command: f"{split}_dataloader" for command, split in LOADERS.items()}
ALWAYS_ON = "dlplug.loggers.csv.MetricsFile"  # `--logger csv` asks for what is there anyway
TRAINER = "lightning.pytorch.trainer.trainer.Trainer"


@dataclass(frozen=True)
class Job:
    """A training command, ready for Lightning.

    Attributes:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        args: Arguments in which every name is a class path: the recipe's first, then config files, then the user's.
        model: Name of the model, which its runs are kept under.
        chosen: Class paths of the model and, where one is named, the data.
        run: The run folder that was named instead of a model.
        changed: Whether the user's own arguments change the options of the model or the optimizer of ``run``.
        typed: The command line as the user typed it.
        files: The config files among the arguments.
        predictions: What ``predict`` is asked for besides, by option.
        objects: The model or data themselves, where Python gives them as objects.
        here: Whether Python asks, which does not end with the command: no process begins its script again.
    """

    command: str
    args: list[str]
    model: str
    chosen: Mapping[str, str]
    run: Run | None = None
    changed: bool = False
    typed: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    predictions: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)
    here: bool = False


def expand(command: str, args: list[str], registry: Registry, objects: Mapping[str, Any] | None = None) -> Job:
    """Expand names, add the model's own data and recipe, and refuse what cannot work.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        args: What the user typed after it: a run folder or options.
        registry: Where names are looked up.
        objects: The model or data that Python gives as objects, which no name or config stands for then.

    Returns:
        The job; ``--model gan`` becomes ``--model=….GAN --data=….MNIST5k --trainer.max_epochs=… --model=….GAN``.

    Raises:
        InputError: A name, option or file cannot be used.
    """
    run = Run.open(args[0]) if args and not re.match("--?\\w|--$", args[0]) else None  # a folder may be named "- a"
    if run and run.weights and command == "fit":
        raise InputError(
            f"{args[0]} is weights alone, which cannot be resumed: --model.init_from {args[0]} starts another run from "
            f"them, where the model takes that, and -c {run.config} trains it anew"
        )
    options = _expand_options(args[1:] if run else args, registry)
    files, own = _split_configs(options)
    paths = ([str(run.config)] if run else []) + files
    objects = objects or {}
    loaded = [load_config(path, registry) for path in paths]
    configs = [{key: value for key, value in config.items() if key not in objects} for config in loaded]
    if run:
        check_trust(configs[0], run.path, registry)
    named = {kind: _chosen(kind, own, configs) for kind in KINDS if kind not in objects}
    chosen = {kind: named.get(kind) or _path_of(objects.get(kind)) for kind in KINDS}
    if not chosen["model"]:
        needed = f"{command} needs a run folder or --model NAME; `dlplug list` shows the models"
        raise InputError(f"{run.config} names no model" if run else needed)

    first: list[str] = []
    model = registry.spec_of("model", chosen["model"])
    if isinstance(model, ModelSpec):
        if not chosen["data"] and model.data:
            chosen["data"] = named["data"] = registry.find("data", model.data).class_path
        data = registry.spec_of("data", chosen["data"])
        if isinstance(data, DataSpec):
            _check_fit(model, data, registry)
        if not run:
            variant = _given("data", data.recipe_key, own, configs) if isinstance(data, DataSpec) else ""
            recipe = model.recipe_for(data.name if data else "", variant)
            taken = read_class(chosen["data"])
            if taken.complete:  # data of one's own need not have the options that a recipe sets
                known = {f"data.{argument.name}" for argument in taken.arguments}
                recipe = {key: value for key, value in recipe.items() if key in known or not key.startswith("data.")}
            first = [f"--{kind}={path}" for kind, path in named.items() if path]
            first += [option(key, value) for key, value in recipe.items() if key.partition(".")[0] not in objects]
    _check_there(named, paths, run)
    with_version_drift(lambda: _check_options(named, own, configs), paths)
    if not chosen["data"] and not run and "model" not in objects and not defines(chosen["model"], LOADERS[command]):
        raise InputError(_which_data(chosen["model"], registry))

    first += [f"--{kind}={PLACEHOLDERS[kind]}" for kind in objects]
    if run:
        config = run.config.absolute() if str(run.config)[0] == "~" else run.config  # jsonargparse would go home
        first = [f"--config={config}", *_paths_from_there(configs[0], run), *first]
        checkpoint = run.last if command == "fit" else run.trained
        files = [*files, *([f"--ckpt_path={checkpoint}"] if checkpoint else [])]
    return Job(
        command=command,
        args=[*first, *(f if f.startswith("--") else f"--config={f}" for f in files), *own],
        model=model.name if model else chosen["model"].rpartition(".")[2].lower(),
        chosen=chosen,
        run=run,
        changed=any(option.startswith(tuple(f"--{key}" for key in CHANGEABLE)) for option in own)
        or any(key in config for config in configs[1:] for key in CHANGEABLE),
        typed=("dlplug", command, *args),
        files=tuple(paths),
        objects=objects,
    )


def _path_of(given: object) -> str:
    return "" if given is None else f"{type(given).__module__}.{type(given).__qualname__}"


def model_of(run: Run, registry: Registry) -> str:
    """Return the class path of a run's model, which needs none of its data.

    Raises:
        InputError: The run's config cannot be used with what is installed.
    """
    path = str(run.config)
    config = load_config(path, registry)
    check_trust(config, run.path, registry)
    chosen = {"model": _chosen("model", [], [config])}
    if not chosen["model"]:
        raise InputError(f"{path} names no model")
    _check_there(chosen, [path], run)
    with_version_drift(lambda: _check_options(chosen, [], [config]), [path])
    return chosen["model"]


def with_version_drift(work: Callable[[], T], files: Iterable[str]) -> T:
    """Do what may be refused for the sake of old config files; a refusal says which plugins made them.

    Args:
        work: Raises the ``InputError``.
        files: The config files.
    """
    try:
        return work()
    except InputError as error:
        notes = _version_drift(files)
        raise InputError(f"{error} ({notes})" if notes else str(error)) from error


def _version_drift(files: Iterable[str]) -> str:
    return "; ".join(filter(None, (version_drift(path, recorded_versions(Path(path))) for path in files)))


def _check_there(chosen: Mapping[str, str], files: Iterable[str], run: Run | None) -> None:
    """Refuse, before the seconds that importing torch takes, a class whose plugin is gone since a config was made."""
    for kind, class_path in chosen.items():
        if class_path and not is_there(class_path):
            there = run.about.get("cwd", "") if run else ""
            elsewhere = f"the run was made in {there}: its file may be there" if there not in ("", os.getcwd()) else ""
            if notes := _version_drift(files) or elsewhere:
                raise InputError(f"there is no {kind} {class_path}: {notes}")


def _paths_from_there(config: Mapping[str, Any], run: Run) -> list[str]:
    """Return the options whose relative paths lead nowhere from here, but do from where the run was made."""
    there = run.about.get("cwd", "")
    found: dict[str, str] = {}
    for kind in KINDS if there and there != os.getcwd() else ():
        section = config.get(kind)
        section = section if isinstance(section, dict) else {}
        options, source = section.get("init_args"), read_class(str(section.get("class_path")))
        words = {a.name for a in source.arguments if "Literal" in a.type}
        for name, value in (options or {}).items():
            if isinstance(value, str) and value and name not in words and not os.path.exists(value):
                path = os.path.join(there, value)
                found |= {f"{kind}.{name}": path} if os.path.exists(path) else {}
    if found:
        named = ", ".join(f"--{name} {path}" for name, path in found.items())
        say(f"relative paths count from {there}, where the run was made: {named}")
    return [option(name, path) for name, path in found.items()]


def option(key: str, value: Any) -> str:
    """Return an option as the command line takes it, such as ``--data.flip=true``."""
    return f"--{key}={value if isinstance(value, str) else json.dumps(value)}"


def parse_config(text: str, load: Callable[[str], Any] | None, registry: Registry) -> Any:
    """Return the content of a config file with its names expanded; what is not a mapping is returned as it is.

    Names stand in place of class paths: ``model: gan`` as well as ``model: {class_path: gan, ...}``.

    Args:
        text: The file's text, or the value of an option.
        load: Parses YAML; ``yaml.safe_load`` where it is None.
        registry: Where names are looked up.
    """
    if text.lstrip().startswith("#") and "\n" not in text:
        return text  # a value such as #1: YAML would find nothing but a comment
    config = load_yaml(text, load)
    if not isinstance(config, dict):
        return config
    if renamed.is_old(line.removeprefix(HEAD) for line in text.splitlines() if line.startswith(HEAD)):
        config = renamed.config(config)
    for kind in KINDS:
        match config.get(kind):
            case str(name):
                config[kind] = _class_path(kind, name, registry)
            case {"class_path": str(name), **rest}:
                config[kind] = {"class_path": _class_path(kind, name, registry), **rest}
    return config


def load_config(path: str, registry: Registry) -> dict[str, Any]:
    """Return a config file's content with its names expanded.

    Raises:
        InputError: It cannot be read, is not YAML or not a mapping of options.
    """
    import yaml  # 10 ms, which most commands do without

    try:
        config = parse_config(Path(path).read_text(), None, registry)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the config {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"the config {path} is not YAML{where}: {getattr(error, 'problem', error)}") from error
    if not isinstance(config, dict | None):
        raise InputError(f"the config {path} holds no options, such as `model: gan`")
    return config or {}


def _class_path(kind: str, name: str, registry: Registry) -> str:
    """Return the class path behind a name; a class path, file or inline config passes through."""
    return registry.find(kind, name).class_path if SHORT.fullmatch(name) else name


def _expand_options(args: list[str], registry: Registry) -> list[str]:
    """Return each option as ``--key=value`` where it can be, with names expanded."""
    options: list[str] = []
    logger = ""
    for arg in _join_values(args):
        key, _, value = arg.partition("=")
        kind = {f"--{kind}": kind for kind in KINDS}.get(key.removesuffix(".help"), "")
        if key == "--logger":
            logger = _class_path("logger", value, registry)
            options += [f"--trainer.logger+={logger}"] if logger != ALWAYS_ON else []
        elif key.startswith("--logger."):
            _check_logger_option(logger, key.removeprefix("--logger."))
            options.append(f"--trainer.{key[2:]}={value}")
        elif key in ("-c", "--config"):
            options.append(f"--config={value}")
        elif kind == key[2:] and value.lstrip().startswith("{"):
            options += _inline(kind, value, registry)
        elif kind:
            options.append(f"{key}={_class_path(kind, value, registry)}")
        else:
            options.append(arg)
    return options


def _inline(kind: str, text: str, registry: Registry) -> list[str]:
    """Return as options what is typed as one config, such as ``{class_path: gan, init_args: {latent_dim: 8}}``."""
    import yaml

    try:
        match parse_config(f"{kind}: {text}", None, registry)[kind]:
            case {"class_path": str(path), "init_args": dict(given)}:
                return [f"--{kind}={path}", *(option(f"{kind}.{name}", value) for name, value in given.items())]
            case {"class_path": str(path)}:
                return [f"--{kind}={path}"]
    except (yaml.YAMLError, AttributeError, TypeError):
        pass
    raise InputError(f"--{kind} takes a name, a class path, or {{class_path: NAME, init_args: {{…}}}}; not {text}")


def _join_values(args: list[str]) -> list[str]:
    """Join options to their values, some of which begin with a hyphen, such as -1e-3, as another option would."""
    joined: list[str] = []
    for arg in args:
        if joined and VALUED.fullmatch(joined[-1]) and not re.match("--|-[ch]$", arg):
            joined[-1] += f"={arg}"
        else:
            joined.append(arg)
    if lacking := next(filter(LACKING.fullmatch, joined), ""):
        raise InputError(f"{lacking.removesuffix('=')} needs a value")  # jsonargparse would name --model
    return joined


def _split_configs(options: list[str]) -> tuple[list[str], list[str]]:
    """Take the config files out: they come first, so that the command line wins wherever it stands."""
    files = [option.removeprefix("--config=") for option in options if option.startswith("--config=")]
    return files, [option for option in options if not option.startswith("--config=")]


def _chosen(kind: str, options: list[str], configs: Iterable[Mapping[str, Any]]) -> str:
    """Return the class path that options and configs settle on; empty where they name none."""
    chosen = ""
    for config in configs:
        match config.get(kind):
            case str(path) | {"class_path": str(path)}:
                chosen = path
    for option in options:
        key, _, value = option.partition("=")
        if key == f"--{kind}":
            chosen = value
    return chosen


def _given(kind: str, name: str, options: list[str], configs: Iterable[Mapping[str, Any]]) -> str:
    """Return what options and configs say of one option of a class; empty where they say nothing."""
    given = ""
    for config in configs:
        match config.get(kind):
            case {"init_args": {**init_args}} if name in init_args:
                given = str(init_args[name])
    names = (f"--{kind}.{name}", f"--{kind}.init_args.{name}")
    for option in options:
        key, _, value = option.partition("=")
        if key in names:
            given = value
    return given


def _check_fit(model: ModelSpec, data: DataSpec, registry: Registry) -> None:
    if model.takes and data.gives and model.takes != data.gives:
        fitting = ", ".join(registry.fitting(model)) or "none installed"
        raise InputError(
            f"{model.name} takes {model.takes}, but {data.name} gives {data.gives}; data that fits: {fitting}"
        )


def _which_data(model: str, registry: Registry) -> str:
    """Return that a model needs data, and which fit as far as its spec or its ``build(self, info: ...)`` says."""
    spec, name = registry.spec_of("model", model), model.rpartition(".")[2]
    if not isinstance(spec, ModelSpec):
        kind = _info_of(model)
        models = [s for s in registry if isinstance(s, ModelSpec) and kind and _info_of(s.class_path) == kind]
        spec = models[0] if models else None
    fitting = data_beside(model) + (registry.fitting(spec) if spec else [])
    if not spec:
        gives: dict[str, list[str]] = {}
        for data in sorted((s for s in registry if isinstance(s, DataSpec)), key=lambda s: s.name):
            gives.setdefault(data.gives, []).append(data.name)
        fitting += [f"of {kind}: {', '.join(names)}" for kind, names in gives.items()]
    what = "data that fit" if spec else "it does not say what it takes; there are"
    return f"{name} has no data of its own: --data NAME; {what}: {(', ' if spec else '; ').join(fitting)}"


def _info_of(model: str) -> str:
    """Return the type of what a model's ``build`` is told of the data, as it is written."""
    arguments = read_class(model, "build").arguments
    return next((a.type.strip("'") for a in arguments if a.type not in ("", "Any")), "")


def _check_options(chosen: Mapping[str, str], own: list[str], configs: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a misspelt option of the chosen classes or of the trainer."""
    for kind, class_path in {**chosen, "trainer": TRAINER}.items():
        given = [option[2:].partition("=")[0] for option in own if option.startswith(f"--{kind}.")]
        names = [key.split(".")[1].removesuffix("+") for key in given]  # `--trainer.callbacks+=` appends
        for section in (config.get(kind) for config in configs):
            if isinstance(section, dict) and section.get("class_path") in (None, "", class_path):
                init_args = section.get("init_args", {}) if kind in KINDS else section
                names += map(str, init_args if isinstance(init_args, dict) else ())
        what = kind if kind == "trainer" else f"{kind} {class_path.rpartition('.')[2]}"
        own_to_jsonargparse = {"class_path", "init_args", "dict_kwargs", "help"}
        _refuse_unknown(what, class_path, [name for name in names if name not in own_to_jsonargparse])


def _refuse_unknown(what: str, class_path: str, names: Iterable[str]) -> None:
    source = read_class(class_path) if names else UNREAD
    known = {argument.name for argument in source.arguments} if source.complete else {*names}
    for name in names:
        if name not in known:
            raise InputError(f"{what} has no option {name!r}; " + did_you_mean(name, known))


def _check_logger_option(logger: str, name: str) -> None:
    if not logger:
        raise InputError(f"--logger.{name} needs a --logger NAME before it")
    _refuse_unknown(f"logger {logger.rpartition('.')[2]}", logger, [name])
