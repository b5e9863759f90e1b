"""predictions.csv: what `dlplug predict` leaves in a run folder."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.runs import Run


class PredictionWriter(BasePredictionWriter):
    """Writes a row an item: its name or place in the data, and a column for each number or word predicted of it.

    A model's ``predict_step`` returns a tensor of shape (items,) or (items, k), or a dict of such and of lists.

    Args:
        run: Where predictions.csv goes.
    """

    def __init__(self, run: Run) -> None:
        super().__init__("epoch")
        self._run = run

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Write them all."""
        if trainer.world_size > 1:
            raise InputError("predict writes one file: ask for it with --trainer.devices 1")
        columns: dict[str, list[Any]] = {}
        for name, first in _named(predictions[0]).items():
            parts = [_named(batch)[name] for batch in predictions]
            if isinstance(first, list):
                columns[name] = [value for part in parts for value in part]
                continue
            values = torch.cat(parts).cpu()
            if values.dim() > 2:
                raise InputError(
                    f"predict_step of {type(pl_module).__name__} gives {name} of shape (items, …) with "
                    f"{values.dim()} dimensions; a table takes (items,) or (items, k)"
                )
            named = {name: values} if values.dim() == 1 else {f"{name}_{k}": v for k, v in enumerate(values.T)}
            columns |= {column: numbers.tolist() for column, numbers in named.items()}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["item", *columns])
        rows = list(zip(*columns.values(), strict=True))
        items = getattr(getattr(trainer, "datamodule", None), "names", None) or range(len(rows))
        writer.writerows([item, *row] for item, row in zip(items, rows, strict=True))
        write_atomically(self._run.path / "predictions.csv", text.getvalue().encode("utf-8", "backslashreplace"))


def _named(batch: Any) -> dict[str, Any]:
    return batch if isinstance(batch, dict) else {"prediction": batch}
