"""What comes back from a student's process: plain values as JSON, tensors as safetensors. Reading it runs nothing."""

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

from safetensors.torch import load, save
from torch import Tensor

LARGEST = 2**31  # bytes of a part


def send(stream: IO[bytes], value: Any) -> None:
    """Write a value: of dicts with names as keys, lists, plain values and tensors."""
    tensors: dict[str, Tensor] = {}
    for part in (json.dumps(_pack(value, tensors)).encode(), save(tensors)):
        stream.write(struct.pack("<Q", len(part)) + part)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read what ``send`` wrote; tuples are lists.

    Raises:
        ValueError: It is something else, or there is no more.
    """
    plain, tensors = _part(stream), _part(stream)
    try:
        return _unpack(json.loads(plain), load(tensors))
    except Exception as error:  # safetensors has errors of its own
        raise ValueError(f"what came back cannot be read: {error}") from error


def _part(stream: IO[bytes]) -> bytes:
    head = stream.read(8)
    size = struct.unpack("<Q", head)[0] if len(head) == 8 else LARGEST
    part = stream.read(size) if size < LARGEST else b""
    if len(part) != size:
        raise ValueError("nothing came back")
    return part


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name := str(len(tensors))] = value.detach().cpu().contiguous().clone()  # tied weights share memory
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"names": {str(key): _pack(each, tensors) for key, each in value.items()}}
    return [_pack(each, tensors) for each in value] if isinstance(value, list | tuple) else value


def _unpack(plain: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(plain, list):
        return [_unpack(each, tensors) for each in plain]
    if not isinstance(plain, dict):
        return plain
    if "tensor" in plain:
        return tensors[plain["tensor"]]
    return {name: _unpack(each, tensors) for name, each in plain["names"].items()}
