"""What jsonargparse and Lightning cannot do, in one line of their ten, or done."""

import re
from argparse import ArgumentError
from importlib import import_module
from inspect import signature
from traceback import walk_tb
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule

from dlplug.errors import InputError
from dlplug.registry.trust import KNOWN
from dlplug.trained import unusable

RESTORING = ("lightning.pytorch.trainer.connectors.checkpoint_connector", ("restore", "_restore", "resume_start"))
KEY = re.compile(r'Parser key "([^"]+)":')
WRAPPING = re.compile(
    r'Parser key "|Does not validate against any|Problem with given class_path|Validation failed|\n- Expected a path'
)
UNION = re.compile(r"Subtypes: \[(?P<types>.*?)\]\n.*Given value: (?P<value>.*)\Z", re.DOTALL)
RAISED = re.compile(r"^  - (?!Not a valid subclass|Expected)(.*)$", re.MULTILINE)
SINGLE = re.compile(r"Expected an? (?P<types>.*?)(?:\. Got value: (?P<value>.*))?\Z", re.DOTALL)


def explain(error: BaseException) -> str:
    """Return option, value and what was expected, from an error of jsonargparse and those that caused it.

    A constructor's own error, which jsonargparse wraps, is returned as it is.
    """
    keys: list[str] = []
    at_key = innermost = error
    for innermost in _chain(error):
        if (found := KEY.match(str(innermost))) and found[1] not in keys:
            keys.append(found[1])
            at_key = innermost
        if not WRAPPING.match(str(innermost)):
            break
    text = str(innermost)
    if SINGLE.match(text):  # the first of the types that would do: those of the whole option say more
        found = UNION.search(str(at_key)) or SINGLE.search(text)
        assert found
        text = f"{found['value']!r} is not {_plain(found['types'])}"
    if text.startswith("Not a valid subclass") and (reasons := RAISED.findall(str(at_key))):
        named = re.search(r"class_path='([\w.]+)'", str(at_key))
        text = f"{named[1] if named else 'it'}: {reasons[0]}"  # of a class that is one of several types
    text = missing_info(innermost) or " ".join(text.split())
    raiser = "" if isinstance(innermost, ValueError | ArgumentError | OSError) else _raiser(innermost)
    if raiser or not text or not isinstance(innermost, Exception):  # SystemExit and its like say little by their text
        text = f"{raiser}{type(innermost).__name__}{text and ': '}{text}"
    return f"--{'.'.join(keys)}: {text}" if keys else text


def _raiser(error: BaseException) -> str:
    """Return the class of a plugin or a file in which something was raised; empty where it was in none."""
    kinds = (type(frame.f_locals.get("self")) for frame, _ in walk_tb(error.__traceback__))
    others = (kind for kind in kinds if kind.__module__.partition(".")[0] not in {"builtins", "jsonargparse", *KNOWN})
    named = [f"{kind.__module__}.{kind.__qualname__}: " for kind in others]
    return named[-1] if named else ""


def missing_info(error: BaseException | None) -> str:
    """Return how a plain module or its data get the ``info`` that an error says they lack; empty for other errors."""
    if not isinstance(error, AttributeError) or error.name != "info":
        return ""
    name = type(error.obj).__name__
    if isinstance(error.obj, LightningModule):
        return (
            f"{name} has no info: a LightningModule is given none. Derive it from dlplug.model.Model, whose "
            "build(self, info) makes the layers, or set it: `def configure_model(self):` "
            "`self.info = self.trainer.datamodule.info`"
        )
    if isinstance(error.obj, LightningDataModule):
        return (
            f"{name} has no info: `from dlplug.data import ImageInfo` and, in its __init__, `self.info = "
            "ImageInfo(channels=..., height=..., width=..., classes=...)` describe it, as dlplug.data.from_tensors does"
        )
    return ""


def _chain(error: BaseException | None) -> list[BaseException]:
    links = []
    while error is not None:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _plain(types: str) -> str:
    """Return types as a person would name them: ``"int or null"``."""
    types = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", types)
    types = re.sub(r"(?:typing\.)?(?:Union|Optional|Literal)\[(.*?)\]", r"\1", types).replace("typing.", "")
    names = list(dict.fromkeys(name.strip() for name in types.replace("NoneType", "null").split(",")))
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def lightnings(error: Exception) -> str:
    """Return a message of Lightning's in one line, in plainer words where its own are of its inside."""
    text = " ".join(str(error).split())
    if found := re.search("more than one `__init__` argument can be passed to its parent's `(\\w+)=", text):
        return f"a DataLoader is given its {found[1]} by place: Lightning, which makes it anew, takes {found[1]}=…"
    return text


def refuse_known(error: Exception, checkpoint: object) -> None:
    """Say in one line what cannot be used: a checkpoint that does not load, or one of Lightning's callbacks.

    Raises:
        InputError: Either is to blame.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    places = [(frame.f_globals.get("__name__", ""), frame) for frame in frames]
    if isinstance(error, InputError | OSError):
        return
    if text := missing_info(error):
        raise InputError(text) from error
    if str(error).startswith("Expected more than 1 value per channel when training"):
        raise InputError(
            "batch normalisation needs two items a batch at least: a larger --data.batch_size, or more training data"
        ) from error
    if any(module == RESTORING[0] and frame.f_code.co_name.startswith(RESTORING[1]) for module, frame in places):
        raise InputError(unusable(checkpoint, error)) from error
    if places and places[-1][0].startswith("lightning.pytorch.loops.") and frames[-1].f_code.co_name == "setup_data":
        raise InputError(lightnings(error)) from error  # limits and intervals that the data are too few for
    # A model without what a callback asks for raises in torch, on the callback's behalf.
    module, frame = next((p for p in reversed(places) if not p[0].startswith("torch.")), ("", None))
    if frame and module.startswith("lightning.pytorch.callbacks."):
        name = type(frame.f_locals.get("self")).__name__
        raise InputError(f"{name}: {str(error) or 'it cannot be used by itself'}") from error


def serialised(dumped: Any, given: Any, class_path: str = "") -> Any:
    """Return a config that runs again: without the defaults that jsonargparse cannot write, text as it was given.

    Args:
        dumped: What jsonargparse made of it.
        given: What was parsed.
        class_path: The class that it holds the ``init_args`` of.

    Raises:
        InputError: Something else that cannot be written was given.
    """
    if isinstance(dumped, list) and isinstance(given, list):
        return [serialised(*pair) for pair in zip(dumped, given, strict=True)]
    if not isinstance(dumped, dict) or not isinstance(given, dict | Namespace):
        return dumped
    config: dict[Any, Any] = {}
    for name, inner in dumped.items():
        value = given.get(name)
        if not str(inner).startswith("Unable to serialize instance"):
            config[name] = serialised(inner, value, str(dumped.get("class_path", "")) if name == "init_args" else "")
        elif isinstance(value, str):
            config[name] = value
        else:
            module, _, kind = class_path.rpartition(".")
            if not module or signature(getattr(import_module(module), kind)).parameters[name].default != value:
                raise InputError(f"{class_path or 'the config'}: {name} {value!r} cannot be written into a config")
    return config
