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

KEPT = {type(None), bool, int, float, complex, str, bytes, bytearray}
TORCHS = (Tensor, torch.Size, torch.dtype, torch.device, torch.UntypedStorage, torch.TypedStorage)
DEPTH = 100  # far more than a checkpoint has: what is nested deeper refers to itself
LEFT_OUT = object()


def plain_data(value: Any, where: tuple[str, ...] = ()) -> Any:
    """Return a checkpoint's content with all that could not be read back converted, or left out, with a warning.

    What needs no change is returned itself: a model's state_dict carries more than its items.

    Args:
        value: The content, or a part of it.
        where: The keys that lead to the part.
    """
    kind = type(value)
    if kind in KEPT or isinstance(value, TORCHS):
        foreign = isinstance(value, Tensor) and kind.__module__.partition(".")[0] != "torch"
        return value.as_subclass(Tensor) if foreign else value
    if len(where) < DEPTH and isinstance(value, dict):
        pairs = [(k, plain_data(k, (*where, "a key")), v, plain_data(v, (*where, str(k)))) for k, v in value.items()]
        if kind in (dict, OrderedDict, Counter) and all(k is key and v is inner for k, key, v, inner in pairs):
            return value
        return {key: inner for _, key, _, inner in pairs if key is not LEFT_OUT and inner is not LEFT_OUT}
    if len(where) < DEPTH and isinstance(value, list | tuple | set | frozenset | deque):
        items = [plain_data(item, (*where, str(i))) for i, item in enumerate(value)]
        if kind in (list, tuple, set) and all(item is old for item, old in zip(items, value, strict=True)):
            return value
        items = [None if item is LEFT_OUT else item for item in items]
        return tuple(items) if isinstance(value, tuple) else set(items) if isinstance(value, set) else items
    plain = _converted(value)
    kept = "left out" if plain is LEFT_OUT else f"kept as {type(plain).__name__}"
    warnings.warn(
        f"{' '.join(where)} is {kept}: a checkpoint holds plain data and tensors, not a {kind.__name__}", stacklevel=1
    )
    return plain


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
