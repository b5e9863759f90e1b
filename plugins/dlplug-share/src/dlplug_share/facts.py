"""What is said of a run to others: named fields, so that no path, command or account comes along."""

import json
from typing import Any

from dlplug.api import TrainedRun
from dlplug.registry import Registry

INFO = ["classes", "labels", "target", "words", "voices", "size", "seq_len", "input_size", "longest"]
INFO += ["states", "observation_shape", "actions", "action_shape"]
VOCABULARIES = ("vocabulary", "source", "target")


def describe(trained: TrainedRun) -> dict[str, Any]:
    """Return what a run's model and data are, and how inputs are made for it."""
    model, data = trained.model, trained.data
    info = getattr(model, "info", None) or getattr(data, "info", None)
    labels = getattr(model, "labels", None) or getattr(info, "labels", None)
    return {
        "model": {"name": type(model).__name__.lower(), **_of_spec("model", model)},
        "data": _of_spec("data", data),
        **({"labels": list(labels)} if labels else {}),
        "info": {name: value for name in INFO if _is_plain(value := getattr(info, name, getattr(model, name, None)))},
        "preprocessing": preprocessing(info, hasattr(data, "read_inputs")),
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | tuple | list) or (isinstance(value, str) and value[:1] != "[")


def _of_spec(kind: str, thing: Any) -> dict[str, str]:
    """Return what a plugin says of a model or data; nothing where none offers it."""
    registry = Registry.discover()
    spec = registry.spec_of(kind, f"{type(thing).__module__}.{type(thing).__qualname__}")
    if spec is None:
        return {}
    return {"name": spec.name, "summary": spec.summary}


def preprocessing(info: Any, reads_files: bool) -> dict[str, Any]:
    """Return how images, sounds and texts become a network's inputs, as its ``Info`` has it."""
    steps: dict[str, Any] = {}
    if hasattr(info, "channels"):
        steps["images"] = {
            "mode": "RGB" if info.channels == 3 else "L",
            "layout": "NCHW",
            "size": [info.height, info.width],
            "range": [0, 1],
        }
        if reads_files:  # what read_image does
            fit = "upright by EXIF; on white where transparent; scaled (bilinear) to cover the size; centre crop"
            steps["images"]["files"] = fit
    if hasattr(info, "sample_rate"):
        steps["sounds"] = {"samples": info.samples, "sample_rate": info.sample_rate, "range": [-1, 1]}
    texts = {name: _vocabulary(getattr(info, name, "")) for name in VOCABULARIES}
    texts = {name: text for name, text in texts.items() if text}
    return {**steps, **({"texts": texts} if texts else {})}


def _vocabulary(text: Any) -> dict[str, Any]:
    """Return what an ``Info`` holds of a vocabulary: its level, special tokens and tokenizer, as JSON."""
    if not isinstance(text, str) or text[:1] != "[":
        return {}
    return dict(zip(("level", "specials", "tokenizer"), json.loads(text), strict=True))
