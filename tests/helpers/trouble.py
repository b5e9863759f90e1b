"""A callback that sends its own process a signal, as a cluster would at a bad moment."""

import os
import signal

import lightning as L


class Trouble(L.Callback):
    """Sends a signal before a batch, unless torchrun started the process again.

    The variable ``TROUBLE`` says which: ``"SIGUSR1 1 30"`` is SIGUSR1 to rank 1 before the 30th batch.
    """

    def __init__(self) -> None:
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        name, rank, batch = ("SIGTERM -1 -1" if again else os.environ.get("TROUBLE", "SIGTERM -1 -1")).split()
        self.name, self.rank, self.batch = name, int(rank), int(batch)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, idx: int) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batch and trainer.global_rank == self.rank:
            os.kill(os.getpid(), getattr(signal, self.name))
