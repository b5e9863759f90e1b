"""How checkpoints get to the disk and back: whole or not at all."""

import io
import os
import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from dlplug.errors import InputError, did_you_mean
from dlplug.origins import changes
from dlplug.runs import write_atomically
from dlplug.source import read_class

# What torch's unpickler says where it refuses more than plain data and tensors.
HOLDS_CODE = re.compile("unsupported global|unrecognized function|allowlisted|TorchScript", re.IGNORECASE)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, syncs and renames it; Lightning's goes through another file system."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Save a checkpoint so that a kill at any moment leaves the old or the new one, whole."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load plain data and tensors, never code."""
        return read_checkpoint(path)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU.

    Raises:
        InputError: It cannot be read, is damaged, or holds more than plain data and tensors.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file makes the unpickler raise is anyone's guess
        if HOLDS_CODE.search(str(error)):
            raise InputError(f"the checkpoint {path} holds code, which is never run") from error
        raise InputError(f"the checkpoint {path} is damaged or cannot be read") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"{path} is no Lightning checkpoint")
    return checkpoint


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
    found = [changes(f"{path}", checkpoint.get("made_with", []))]
    source = read_class(class_path)
    if source and source.complete:
        known = {argument.name for argument in source.arguments}
        gone = [name for name in checkpoint.get("hyper_parameters", {}) if name not in known and name[0] != "_"]
        found += [f"{class_path} has no option {name!r} any more, {did_you_mean(name, known)}" for name in gone]
    return "; ".join(filter(None, found))
