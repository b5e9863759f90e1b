"""Checkpoints that several processes wrote, a shard each, as folders of ``torch.distributed.checkpoint``."""

import pickle
from pathlib import Path, PosixPath
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint._nested_dict import unflatten_state_dict
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

META = "meta.pt"  # what is no shard, as Lightning names it


class _PlainUnpickler(pickle.Unpickler):
    """Makes of a pickle what describes shards, and nothing else, which could be code."""

    def find_class(self, module: str, name: str) -> Any:
        if module in (metadata.__name__, filesystem.__name__):
            found = getattr({metadata.__name__: metadata, filesystem.__name__: filesystem}[module], name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        if module == "torch" and isinstance(getattr(torch, name), torch.dtype):
            return getattr(torch, name)
        known = {"torch": torch.Size, "torch.serialization": torch.serialization._get_layout, "pathlib": PosixPath}
        if module in known and known[module].__name__ == name:
            return known[module]
        raise pickle.UnpicklingError(f"unsupported global {module}.{name}")


class _Reader(filesystem.FileSystemReader):
    def read_metadata(self, *args: Any, **kwargs: Any) -> metadata.Metadata:
        with open(Path(self.path) / ".metadata", "rb") as file:
            found: metadata.Metadata = _PlainUnpickler(file).load()
        found.storage_meta = found.storage_meta or metadata.StorageMeta()
        return found


class _Planner(DefaultLoadPlanner):
    def __init__(self) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)  # what is given gets the values

    def load_bytes(self, read_item: Any, value: Any) -> None:
        self.state_dict[read_item.dest_index.fqn] = torch.load(value, weights_only=True)


def _load(path: Path, tensors: bool) -> tuple[dict[str, Any], metadata.Metadata]:
    reader = _Reader(path)
    found = reader.read_metadata()
    state: dict[str, Any] = {}
    for name, kept in found.state_dict_metadata.items():
        if not isinstance(kept, metadata.TensorStorageMetadata):
            state[name] = None
        elif tensors:
            state[name] = torch.empty(kept.size, dtype=kept.properties.dtype)
    # `load` itself would have all processes read together, where there are several.
    try:
        _load_state_dict(state, storage_reader=reader, planner=_Planner(), no_dist=True)
    except CheckpointException as error:  # no Exception to Python
        raise ValueError(str(error)) from error
    return state, found


def read_sharded(path: Path) -> dict[str, Any]:
    """Return a sharded checkpoint as one process would have written it.

    Args:
        path: Its folder.

    Raises:
        Exception: It is damaged, or holds more than plain data and tensors.
    """
    checkpoint: dict[str, Any] = torch.load(path / META, map_location="cpu", weights_only=True)
    flat, found = _load(path, tensors=True)
    state: dict[str, Any] = unflatten_state_dict(flat, found.planner_data)
    checkpoint["state_dict"] = state.pop("state_dict")
    checkpoint["optimizer_states"] = [_by_number(state[name]) for name in sorted(state)]
    return checkpoint


def _by_number(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state with numbers in place of its weights' names, as an optimizer itself has it."""
    groups = optimizer["param_groups"]
    numbers = {name: number for number, name in enumerate(name for group in groups for name in group["params"])}
    return {
        "state": {numbers[name]: value for name, value in optimizer["state"].items()},
        "param_groups": [{**group, "params": [numbers[name] for name in group["params"]]} for group in groups],
    }


def refuse_code(path: Path) -> None:
    """Read all of a sharded checkpoint but its tensors, so that what reads it with less care finds no code in it.

    Raises:
        Exception: It is damaged, or holds more than plain data and tensors.
    """
    torch.load(path / META, map_location="cpu", weights_only=True)
    _load(path, tensors=False)
