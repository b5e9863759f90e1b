"""Data parallelism for models that optimise by hand."""

import torch
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy


class AveragedGradients(DDPStrategy):
    """DDP without its wrapper: ``Model`` averages gradients itself, after each backward pass, by one all-reduce.

    A step of a GAN or of a Boltzmann machine trains a part of the weights, and a batch of an agent has many updates:
    torch's wrapper has to look for the weights that took no part each time, and averages after the first pass alone.
    """

    def configure_ddp(self) -> None:
        """Begin with the first process's weights."""
        assert self.model is not None
        _sync_module_states(self.model)

    def on_validation_start(self) -> None:
        """Validate with the first process's buffers, such as running means: it is they that are saved."""
        assert self.model is not None
        for buffer in self.model.buffers():
            torch.distributed.broadcast(buffer, 0)
