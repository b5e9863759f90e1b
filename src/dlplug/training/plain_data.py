"""What a checkpoint may hold: what torch reads back without running code."""

import warnings
from collections import Counter, OrderedDict, deque
from datetime import date, time, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlplug.console import first_few, plain

KEPT = {type(None), bool, int, float, complex, str, bytes, bytearray}
TORCHS = (Tensor, torch.Size, torch.dtype, torch.device, torch.UntypedStorage, torch.TypedStorage)
DEPTH = 100  # far more than a checkpoint has
LEFT_OUT = object()


def plain_data(content: Any) -> Any:
    """Return a checkpoint's content with all that could not be read back converted, or left out.

    What needs no change is returned itself: a model's state_dict carries more than its items. Of each callback, and of
    each other part, what became otherwise is named in one warning.
    """
    reader = _Reader()
    kept = reader.read(content, ())
    for changes in reader.changes.values():
        warnings.warn(f"{first_few(changes, '; ')}: a checkpoint holds plain data and tensors", stacklevel=1)
    return kept


class _Reader:
    """Reads a checkpoint's content, and each part of it that stands in several places once."""

    def __init__(self) -> None:
        self.changes: dict[tuple[str, ...], list[str]] = {}  # by whose they are, such as ("callbacks", "Mine")
        self._read: dict[int, tuple[Any, Any]] = {}  # by the identity of the first, which is kept alive for that
        self._open: set[int] = set()

    def read(self, value: Any, where: tuple[str, ...]) -> Any:
        """Return a value as it is kept; ``where`` are the keys that lead to it."""
        kind = type(value)
        if kind in KEPT or isinstance(value, TORCHS):
            foreign = isinstance(value, Tensor) and kind.__module__.partition(".")[0] != "torch"
            return value.as_subclass(Tensor) if foreign else value
        if id(value) in self._read:
            return self._read[id(value)][1]
        if id(value) in self._open or len(where) > DEPTH:
            return self._note(where, "left out (it refers to itself, or is nested too deep)", LEFT_OUT)
        self._open.add(id(value))
        try:
            kept = self._inside(value, where)
        except Exception as error:  # what a class of a plugin's own does is anyone's guess
            kept = self._note(where, f"left out ({type(error).__name__}: {plain(error)})", LEFT_OUT)
        self._open.remove(id(value))
        self._read[id(value)] = value, kept
        return kept

    def _inside(self, value: Any, where: tuple[str, ...]) -> Any:
        kind, read = type(value), self.read
        if isinstance(value, dict):
            pairs = [(k, read(k, (*where, "a key")), v, read(v, (*where, plain(k)))) for k, v in value.items()]
            if kind in (dict, OrderedDict, Counter) and all(k is key and v is inner for k, key, v, inner in pairs):
                return value
            return {key: inner for _, key, _, inner in pairs if key is not LEFT_OUT and inner is not LEFT_OUT}
        if isinstance(value, list | tuple | set | frozenset | deque):
            items = [read(item, (*where, str(i))) for i, item in enumerate(value)]
            if kind in (list, tuple, set) and all(item is old for item, old in zip(items, value, strict=True)):
                return value
            items = [None if item is LEFT_OUT else item for item in items]
            return tuple(items) if isinstance(value, tuple) else set(items) if isinstance(value, set) else items
        kept = _converted(value)
        became = "left out" if kept is LEFT_OUT else f"kept as {type(kept).__name__}"
        return self._note(where, f"{became}, not as {kind.__name__}", kept)

    def _note(self, where: tuple[str, ...], became: str, kept: Any) -> Any:
        self.changes.setdefault(where[:2], []).append(f"{' '.join(where)} is {became}")
        return kept


def _converted(value: Any) -> Any:
    match value:
        case Enum():
            return value.value if type(value.value) in KEPT else value.name
        case bool() | int() | float() | str() | bytes():  # of a subclass
            return next(base for base in (int, float, str, bytes) if isinstance(value, base)).__call__(value)
        case np.ndarray() if value.dtype.kind in "biufc" and value.dtype.isnative and value.dtype.itemsize <= 8:
            return torch.from_numpy(value.copy())
        case np.ndarray() | np.generic():
            base = {"f": float, "c": complex, "M": str, "m": str, "U": str, "S": str}.get(value.dtype.kind, value.dtype)
            return value.astype(base).tolist() if value.dtype.kind in "biufcMmUS" else LEFT_OUT
        case PurePath():
            return str(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
    return LEFT_OUT
