"""How checkpoints get to the disk and back: whole or not at all."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from dlplug.errors import InputError
from dlplug.runs import write_atomically


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
        if "Unsupported global" in str(error):
            raise InputError(f"the checkpoint {path} holds code, which is never run") from error
        raise InputError(f"the checkpoint {path} is damaged or cannot be read") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"{path} is no Lightning checkpoint")
    return checkpoint
