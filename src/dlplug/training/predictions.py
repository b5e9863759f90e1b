"""What ``dlplug predict`` reads and writes: a row for each item of the test data, or of new files."""

import csv
import io
import json
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from dlplug.data import Batch, Info
from dlplug.errors import InputError
from dlplug.files import open_atomically

Named = tuple[str, str]  # an item's name, and why it could not be read; empty where it was


class InputData(LightningDataModule):
    """New files as a run's data module reads them, in batches of samples stacked, or padded with 0 to the longest.

    Args:
        data: The data module, with a method ``read_inputs``; its training files may be gone.
        info: What the run's model was trained on; None where it keeps none.
        source: A file, a folder, or ``-`` for standard input.

    Attributes:
        items: What ``read_inputs`` gave.
        pending: Of each batch that was read and not yet predicted: its items and, among them, those that cannot be
            read.

    Raises:
        InputError: There is nothing to read.
    """

    def __init__(self, data: Any, info: Info | None, source: str) -> None:
        super().__init__()
        if not callable(getattr(data, "read_inputs", None)):
            raise InputError(f"--input: {type(data).__name__} reads no new files: it has no method `read_inputs`")
        self.data, self.info = data, info
        try:
            self.items = data.read_inputs(source, info)
        except (OSError, ValueError) as error:
            raise InputError(f"--input: {error}") from error
        if isinstance(self.items, Sized) and not len(self.items):
            raise InputError(f"--input: {source} holds nothing to predict")
        self.pending: deque[list[Named]] = deque()

    def __iter__(self) -> Iterator[Batch]:
        named: list[Named] = []
        samples: list[Batch] = []
        for name, read in self.items:
            try:
                samples.append(read())
                named.append((name, ""))
            except (OSError, ValueError) as error:
                named.append((name, " ".join(str(error).split())))
            if len(samples) == getattr(self.data, "batch_size", 64):
                self.pending.append(named)
                yield _stack(samples)
                named, samples = [], []
        self.pending.append(named)
        if samples:
            yield _stack(samples)

    def predict_dataloader(self) -> "InputData":
        """Return what gives the batches."""
        return self

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Prepare a batch as the data module does its own."""
        prepared: Batch = self.data.on_after_batch_transfer(batch, dataloader_idx)
        return prepared


def _stack(samples: Sequence[Batch]) -> Batch:
    columns = [list(column) for column in zip(*samples, strict=True)]
    return tuple(pad_sequence(c, batch_first=True) if c[0].dim() else torch.stack(c) for c in columns)


class PredictionWriter(BasePredictionWriter):
    """Writes a row an item as it is predicted: its name or place, and a column for each number or word.

    A model's ``predict_step`` returns a tensor of shape (items,) or (items, k), or a dict of such and of lists.

    Args:
        path: The file; standard output where it is ``-``.
        jsonl: Whether each row is an object of JSON instead of a line of CSV.
        bar: Whether to draw how far it has come.

    Attributes:
        count: Rows that were written.
        bad: Those among them whose item could not be read.
    """

    def __init__(self, path: Path, jsonl: bool, bar: bool) -> None:
        super().__init__("batch")
        self.path, self.jsonl = path, jsonl
        self.count = self.bad = 0
        self._bar = tqdm(disable=not bar, leave=False, dynamic_ncols=True, unit=" items")
        self._held = ExitStack()
        self._file: BinaryIO | None = None
        self._columns: list[str] | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file, which takes the place of an older one when all is predicted."""
        if trainer.world_size > 1:
            raise InputError("predict writes one file: ask for it with --trainer.devices 1")
        if str(self.path) != "-":
            try:
                self._file = self._held.enter_context(open_atomically(self.path))
            except OSError as error:
                raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        items = getattr(_data_of(trainer), "items", None)
        self._bar.total = len(items) if isinstance(items, Sized) else None

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, *_: Any, **__: Any
    ) -> None:
        """Write the rows of a batch."""
        columns = _as_columns(prediction, type(pl_module).__name__)
        rows = list(zip(*columns.values(), strict=True))
        data = _data_of(trainer)
        if isinstance(data, InputData):
            self._write(data.pending.popleft(), rows, [*columns, "error"])
        else:
            names = (getattr(data, "names", None) or range(sys.maxsize))[self.count : self.count + len(rows)]
            self._write([(str(name), "") for name in names], rows, list(columns))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what could not be read after the last batch, and put the file in its place."""
        data = _data_of(trainer)
        if isinstance(data, InputData):
            for named in data.pending:  # read ahead, and then not predicted, where the number of batches is limited
                self._write([(name, why) for name, why in named if why], [], self._columns or ["error"])
        self._bar.close()
        self._held.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave an older file as it was."""
        self._bar.close()
        self._held.__exit__(type(exception), exception, exception.__traceback__)

    def summary(self) -> str:
        """Return how many rows were written, and where to."""
        bad = f", {self.bad:,} of them bad: they say why" if self.bad else ""
        return f"predictions: {self.count:,} rows{bad} -> {'standard output' if str(self.path) == '-' else self.path}"

    def _write(self, named: Sequence[Named], rows: Sequence[Sequence[Any]], columns: list[str]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self._columns is None and not self.jsonl:
            writer.writerow(["item", *columns])
        self._columns = columns
        if len(rows) != sum(not why for _, why in named):
            raise InputError(f"predict_step gives {len(rows)} rows for {sum(not why for _, why in named)} items")
        predicted = iter(rows)
        for name, why in named:
            cells = [*[""] * (len(columns) - 1), why] if why else [*next(predicted), *[""] * ("error" in columns)]
            if self.jsonl:
                known = {c: _to_json(v) for c, v in zip(columns, cells, strict=True) if (c == "error") == bool(why)}
                text.write(json.dumps({"item": _to_json(name), **known}, ensure_ascii=False) + "\n")
            else:
                writer.writerow([name, *cells])
        self.count += len(named)
        self.bad += sum(bool(why) for _, why in named)
        self._bar.update(len(named))
        if self._file is None and sys.stdout.isatty():
            sys.stdout.write(text.getvalue())  # which shows escape codes, and obeys none
        else:
            (self._file or sys.stdout.buffer).write(text.getvalue().encode("utf-8", "backslashreplace"))


def _data_of(trainer: Trainer) -> Any:
    return getattr(trainer, "datamodule", None)


def _as_columns(prediction: Any, model: str) -> dict[str, list[Any]]:
    """Return the columns of what ``predict_step`` returned, by name."""
    columns: dict[str, list[Any]] = {}
    for name, values in (prediction if isinstance(prediction, dict) else {"prediction": prediction}).items():
        if isinstance(values, list):
            columns[name] = values
            continue
        if not isinstance(values, Tensor) or values.dim() not in (1, 2):
            what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"type {type(values).__name__}"
            raise InputError(
                f"predict_step of {model} gives {name} of {what}; a table takes lists, and tensors of shape (items,) "
                "or (items, k)"
            )
        parts = {name: values} if values.dim() == 1 else {f"{name}_{k}": part for k, part in enumerate(values.T)}
        columns |= {column: part.cpu().tolist() for column, part in parts.items()}
    return columns


def _to_json(value: Any) -> Any:
    """Return a value as JSON can say it: no lone surrogates, and null for what is not a number."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
