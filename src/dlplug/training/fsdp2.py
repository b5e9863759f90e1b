"""``--trainer.strategy fsdp2``: weights, gradients and the optimizer's state sharded over processes."""

import os
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry

from dlplug.trained import read_checkpoint, refuse_code_in
from dlplug.training.plain_data import plain_data


class FSDP2Strategy(ModelParallelStrategy):
    """Lightning's ``ModelParallelStrategy`` over data alone, for models with a method ``shard``.

    A checkpoint is a folder with a file a process, on a file system that all share. Lightning writes it in place; here
    it is a link to a hidden folder beside it, so that a kill at any moment leaves the old or the new one, whole.

    Args:
        kwargs: Lightning's ``process_group_backend`` and ``timeout``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(tensor_parallel_size=1, **kwargs)

    def setup_environment(self) -> None:
        """Shard over all processes: Lightning's own default is over nodes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write a folder beside the place of the old one, then let the link lead to it."""
        path = Path(self.broadcast(filepath))
        folder = path.with_name(self.broadcast(f".{path.name}-{uuid4().hex}"))
        super().save_checkpoint(plain_data(checkpoint), folder)
        self.barrier()
        if self.is_global_zero:
            link = path.with_name(f".{path.name}.{os.getpid()}")
            link.symlink_to(folder.name)
            if path.is_dir() and not path.is_symlink():  # a copy that followed links
                path.rename(path.with_name(f".{path.name}-copied"))
            os.replace(link, path)
            sweep_shards(path, folder)

    def load_checkpoint(
        self, checkpoint_path: str | os.PathLike[str], weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load plain data and tensors, never code, each process its shards or from one process's file."""
        path = Path(self.broadcast(checkpoint_path))
        if path.is_dir():
            refuse_code_in(path)
        else:
            read_checkpoint(path)
        return super().load_checkpoint(path, weights_only=True)


def sweep_shards(path: Path, kept: Path | None = None) -> None:
    """Remove the folders that a checkpoint's link led to, but for one."""
    for old in path.parent.glob(f".{path.name}-*"):
        if old != kept:
            shutil.rmtree(old)


StrategyRegistry.register("fsdp2", FSDP2Strategy, description="Fully sharded data parallel, by torch's fully_shard")
