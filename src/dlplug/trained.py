"""What an earlier run learned: its checkpoint, its weights, its network."""

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Registry, renamed
from dlplug.registry.job import model_of, with_version_drift
from dlplug.registry.provenance import version_drift
from dlplug.registry.source import load_class, read_class
from dlplug.runs import Run

# What torch's unpickler says where it refuses more than plain data and tensors.
HOLDS_CODE = re.compile("unsupported global|unrecognized function|allowlisted|TorchScript", re.IGNORECASE)
NEEDED = ("state_dict", "pytorch-lightning_version")
OF_MODEL = ("hyper_parameters", "hparams", "module_arguments")  # today's key of its options, and those of Lightning 0.7
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"


def read_checkpoint(path: str | os.PathLike[str], model: type | None = None) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU.

    Args:
        path: Its file.
        model: The class that it has to be of, if that is known.

    Raises:
        InputError: It cannot be read, is damaged, is of another class, or holds more than plain data and tensors.
    """
    checkpoint: dict[str, Any] = _read(path)
    missing = [key for key in NEEDED if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise InputError(f"{path} is not a Lightning checkpoint: it has no {missing[0]!r}")
    for named in _named(checkpoint, "_class_path", OF_MODEL):
        if model and not _is_path_of(named, model):
            raise InputError(
                f"the checkpoint {path} is of the class {named}, not {model.__module__}.{model.__qualname__}"
            )
    return checkpoint


def _named(content: Any, name: str, keys: Iterable[str]) -> list[Any]:
    """Return what the options that Lightning would make a model or data from say under a name."""
    found = [content.get(key) for key in keys] if isinstance(content, dict) else []
    return [options[name] for options in found if isinstance(options, dict) and name in options]


def _is_path_of(named: object, model: type) -> bool:
    """Return whether a class path is that of a class, without importing what it names."""
    module, _, name = str(named).rpartition(".")
    return named == f"{model.__module__}.{model.__qualname__}" or getattr(sys.modules.get(module), name, None) is model


def _read(path: str | os.PathLike[str]) -> Any:
    if str(path).endswith(".safetensors"):
        return _read_safetensors(path)
    try:
        if os.path.isdir(path):
            from dlplug.sharded import read_sharded  # a tenth of a second, and private parts of torch

            content = read_sharded(Path(path))
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
        if is_zipfile(path) and (part := ZipFile(path).testzip()):  # which torch does not look at
            raise ValueError(f"{part} has another checksum")
    except Exception as error:  # what a damaged file makes the unpickler raise is anyone's guess
        raise _unreadable(path, error) from error
    for called in _named(content, "_instantiator", (*OF_MODEL, "datamodule_hyper_parameters")):
        if called != INSTANTIATOR:  # Lightning below 2.6.6 imports and calls it (CVE-2026-58659)
            raise InputError(f"the checkpoint {path} asks to call {called}, which is never done")
    old = isinstance(content, dict) and "made_with" in content and "dlplug_version" not in content
    return renamed.checkpoint(content) if old else content


def _unreadable(path: str | os.PathLike[str], error: Exception) -> InputError:
    holds_code = HOLDS_CODE.search(str(error)) or HOLDS_CODE.search(str(error.__cause__))
    what = "holds code, which is never run" if holds_code else "is damaged or cannot be read"
    return InputError(f"the checkpoint {path} {what}")


def refuse_code_in(path: Path) -> None:
    """Refuse a sharded checkpoint that is damaged or holds code, without reading its tensors.

    Raises:
        InputError: It is, or does.
    """
    try:
        from dlplug.sharded import refuse_code

        refuse_code(path)
    except Exception as error:
        raise _unreadable(path, error) from error


def _read_safetensors(path: str | os.PathLike[str]) -> Any:
    """Return a checkpoint that ``dlplug pack`` wrote: tensors, and the rest as JSON beside them."""
    try:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get("dlplug_checkpoint", "null")
    except ImportError as error:
        raise InputError(f"{path} needs safetensors: pip install safetensors") from error
    except Exception as error:  # of its own, written in Rust
        raise InputError(f"the checkpoint {path} is damaged or cannot be read") from error
    checkpoint = unflatten(json.loads(text), tensors)
    return tensors if checkpoint is None else checkpoint


def flatten(value: Any, tensors: dict[str, Tensor], name: str = "checkpoint", dtype: torch.dtype | None = None) -> Any:
    """Return plain data as JSON can hold it, with the tensors in it apart.

    Args:
        value: Plain data and tensors.
        tensors: Gets the tensors, by name.
        name: Begins their names.
        dtype: What becomes of those of single precision, which ``unflatten`` makes them again; None for no change.

    Raises:
        InputError: There is something else in it.
    """
    match value:
        case Tensor():
            halved = dtype is not None and value.dtype == torch.float32
            tensors[name] = (value.to(dtype) if halved else value).detach().cpu().clone().contiguous()
            return {"tensor": name, "single": halved}
        case dict():
            return {"dict": [[k, flatten(v, tensors, f"{name}.{k}", dtype)] for k, v in value.items()]}
        case list() | tuple():
            items = [flatten(item, tensors, f"{name}.{place}", dtype) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        case None | bool() | int() | float() | str():
            return value
    raise InputError(f"{name} is a {type(value).__name__}, which is neither plain data nor a tensor")


def unflatten(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return what ``flatten`` was called on."""
    match plain:
        case {"tensor": name, "single": halved}:
            return tensors[name].float() if halved else tensors[name]
        case {"dict": pairs}:
            return {key: unflatten(value, tensors) for key, value in pairs}
        case {"tuple": items}:
            return tuple(unflatten(item, tensors) for item in items)
        case list():
            return [unflatten(item, tensors) for item in plain]
    return plain


def class_of(run: Run) -> type[LightningModule]:
    """Import the class of a run's model.

    Raises:
        InputError: It is not installed any more, or is not a model.
    """
    work = lambda: load_class(model_of(run, Registry.discover()), LightningModule)  # noqa: E731
    return with_version_drift(work, [str(run.config)])


def load_offered(class_path: str, base: type) -> type:
    """Import a model's class that a checkpoint names, where an installed plugin offers it: never any other.

    Raises:
        InputError: None does, or it is not a subclass of ``base``.
    """
    if Registry.discover().spec_of("model", class_path) is None:
        raise InputError(f"the checkpoint names {class_path}, which no installed plugin offers as a model")
    return load_class(class_path, base)


def load_trained(run: Run | str | os.PathLike[str]) -> LightningModule:
    """Return a run's model with the weights of its best checkpoint, on the CPU and in evaluation mode.

    Args:
        run: The run, or its folder.

    Raises:
        InputError: There is no such run, its model is not installed, or its checkpoint cannot be used.
    """
    run = run if isinstance(run, Run) else Run.open(str(run))
    model_class = class_of(run)
    file = io.BytesIO()
    torch.save(read_checkpoint(run.trained, model_class), file)
    file.seek(0)
    try:  # on the CPU, as a trainer loads: what a model keeps beside its weights is not always a device's
        model = model_class.load_from_checkpoint(file, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        refuse_misfit(error, run.trained, f"{model_class.__module__}.{model_class.__qualname__}")
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(unusable(run.trained, error)) from error
    return model.eval()


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the weights that a run folder, a checkpoint or a file of weights holds.

    Args:
        source: A run, as commands take it, whose best checkpoint counts, or a file: Lightning's checkpoint, a plain
            ``state_dict`` of ``torch.save``, or safetensors. Code in it is never run.

    Raises:
        InputError: There are none.
    """
    path = file_of(source)
    found = _read(path)
    found = found.get("state_dict", found) if isinstance(found, dict) else {}
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not weights:
        raise InputError(f"{path} holds no weights")
    return weights


def file_of(source: str) -> Path:
    """Return the checkpoint of a run, as commands take it, or the file that is named itself.

    Raises:
        InputError: There is none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    try:
        return Run.open(str(path)).trained
    except InputError as error:
        if path.is_dir() or "there is no such folder" not in str(error):
            raise
        raise InputError(f"there is neither a run nor a file {source} to take weights from") from error


def start_from(net: nn.Module, source: str) -> str:
    """Copy into a network the weights that another run's network has for layers of the same name and shape.

    Args:
        net: The network.
        source: As for ``read_weights``; a run's network is its model's ``net``.

    Returns:
        What was taken and what was not, in a sentence.

    Raises:
        InputError: There are no weights, or none match.
    """
    weights = {name.removeprefix("net."): value for name, value in read_weights(source).items()}
    return take(net, weights, source)


@torch.no_grad()
def take(net: nn.Module, weights: dict[str, Tensor], source: str) -> str:
    """Copy the weights whose name and shape match into a network; the others stay as initialised.

    Args:
        net: The network.
        weights: What to take from, by name.
        source: Where they are from, for messages.

    Returns:
        What was taken and what was not, in a sentence.

    Raises:
        InputError: None match.
    """
    own = net.state_dict()
    taken = [name for name in own if name in weights and weights[name].shape == own[name].shape]
    if not taken:
        raise InputError(f"no weights of {source} fit: they are of another network")
    for name in taken:
        own[name].copy_(weights[name])
    layers = {name.rpartition(".")[0]: None for name in own}  # a dict keeps the order
    left = {name.rpartition(".")[0]: name for name in reversed(own) if name not in taken}
    why = [
        f"{layer} ({'×'.join(map(str, weights[name].shape))} there, {'×'.join(map(str, own[name].shape))} here)"
        if name in weights
        else f"{layer} (not there)"
        for layer, name in reversed(left.items())
    ]
    whole = [layer for layer in layers if layer not in left]
    return f"from {source}: took {', '.join(whole)}; left as initialised: {', '.join(why) or 'none'}"


def unusable(path: object, error: Exception) -> str:
    """Return that a checkpoint cannot be used, and why."""
    why = f"it has no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
    return f"the checkpoint {path} cannot be used: {why}"


def refuse_misfit(error: Exception, path: str | os.PathLike[str], class_path: str) -> None:
    """Say in one line why a checkpoint's weights do not fit, if that is what an error is about.

    Raises:
        InputError: It is.
    """
    if "Error(s) in loading state_dict" in str(error):
        why = _what_changed(path, class_path) or " ".join(str(error).split()).partition(": ")[2][:300]
        raise InputError(f"the checkpoint's weights do not fit this model and data: {why}") from error


def _what_changed(path: str | os.PathLike[str], class_path: str) -> str:
    """Return what changed since a checkpoint was made; empty where neither plugins nor options have."""
    checkpoint = read_checkpoint(path)
    found = [version_drift(f"{path}", checkpoint.get("made_with", []))]
    source = read_class(class_path)
    if source.complete:
        known = {argument.name for argument in source.arguments}
        gone = [name for name in checkpoint.get("hyper_parameters", {}) if name not in known and name[0] != "_"]
        found += [f"{class_path} has no option {name!r} any more, {did_you_mean(name, known)}" for name in gone]
    return "; ".join(filter(None, found))
