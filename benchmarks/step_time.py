"""CPU seconds a training step, a file a process: what `scale.py --processes` measures with."""

import os
import time
from pathlib import Path

import lightning as L


class StepTime(L.Callback):
    """Writes down the process's CPU seconds a step, after some steps to warm up, and stops.

    The variable ``STEP_TIME`` says how: ``"20 120 FILE"`` is 120 steps after 20, into ``FILE.RANK``.
    """

    def __init__(self) -> None:
        first, steps, self.path = os.environ["STEP_TIME"].split(maxsplit=2)
        self.first, self.steps = int(first), int(steps)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.first:
            self.begun = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, *_: object, **__: object) -> None:
        if trainer.fit_loop.total_batch_idx == self.first + self.steps - 1:
            spent = time.process_time() - self.begun
            Path(f"{self.path}.{trainer.global_rank}").write_text(str(spent / self.steps))
            trainer.should_stop = True
