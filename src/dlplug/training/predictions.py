"""What ``dlplug predict`` reads and writes: a row for each item of the test data, or of new files."""

import csv
import io
import json
import math
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch import Tensor, distributed
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm  # a notebook's own where there is one

from dlplug.data import Batch, Info, Input
from dlplug.errors import InputError
from dlplug.files import open_atomically

Named = tuple[str, str]  # an item's name, and why it could not be read; empty where it was
# Of a batch: its items, where new files are read; the columns; a row for each item that was read.
_Predicted = tuple[list[Named] | None, list[str], list[dict[str, Any]]]


class InputData(LightningDataModule):
    """New files as a run's data module reads them, in batches of samples stacked, or padded with 0 to the longest.

    Args:
        data: The data module, with a method ``read_inputs``; its training files may be gone. None where there was none.
        info: What the run's model was trained on; None where it keeps none.
        source: A file, a folder, ``-`` for standard input, or the items themselves.

    Attributes:
        items: What ``read_inputs`` gave.
        pending: Of each batch that was read and not yet predicted: its items and, among them, those that cannot be
            read.

    Raises:
        InputError: There is nothing to read.
    """

    def __init__(self, data: Any, info: Info | None, source: str | list[Input]) -> None:
        super().__init__()
        if isinstance(source, str) and not callable(getattr(data, "read_inputs", None)):
            raise InputError(f"--input: {type(data).__name__} reads no new files: it has no method `read_inputs`")
        self.data, self.info, self.source = data, info, source
        try:
            self.items = data.read_inputs(source, info) if isinstance(source, str) else source
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
        if self.data is None:  # it was trained on loaders, which a folder does not keep
            return batch
        self.data.trainer = self.trainer  # which it may ask whether it is training
        prepared: Batch = self.data.on_after_batch_transfer(batch, dataloader_idx)
        return prepared


def _stack(samples: Sequence[Batch]) -> Batch:
    columns = [list(column) for column in zip(*samples, strict=True)]
    return tuple(pad_sequence(c, batch_first=True) if c[0].dim() else torch.stack(c) for c in columns)


class _Share:
    """Every so-manieth batch, from a process's own on; the others are read and left out.

    Args:
        batches: All batches.
        limit: How many of them there are to be, or which share of them, as ``trainer.limit_predict_batches`` says.
        rank: The process's.
        processes: How many there are.
    """

    def __init__(self, batches: Any, limit: int | float, rank: int, processes: int) -> None:
        if isinstance(batches, list | tuple | Mapping | CombinedLoader):
            raise InputError("several loaders to predict are for one process: --trainer.devices 1")
        if isinstance(limit, float) and limit < 1 and not isinstance(batches, Sized):
            raise InputError(f"--trainer.limit_predict_batches {limit}: nobody knows of how many; give a number")
        part = int(len(batches) * limit) if isinstance(limit, float) and limit < 1 else None
        self.batches, self.stop = batches, limit if isinstance(limit, int) else part
        self.rank, self.processes = rank, processes

    def __iter__(self) -> Iterator[Any]:
        return islice(self.batches, self.rank, self.stop, self.processes)


class PredictionWriter(BasePredictionWriter):
    """Writes a row an item as it is predicted: its name or place, and a column for each number or word.

    On several processes each predicts every so-manieth batch, so that batches are those of one process, and the first
    writes what all have predicted of as many batches as there are processes.

    A model's ``predict_step`` returns a tensor of shape (items,) or (items, k), or a dict of such and of lists.

    Args:
        path: The file; standard output where it is ``-``.
        form: ``csv``, or ``jsonl``, where each row is an object of JSON.
        bar: Whether to draw how far it has come.
        data: What is predicted, which may have ``names``.
        is_stream: Whether the path is a pipe or a device, which no file may take the place of.

    Attributes:
        count: Rows that were written.
        bad: Those among them whose item could not be read.
    """

    def __init__(self, path: Path, form: str, bar: bool, data: Any, is_stream: bool = False) -> None:
        super().__init__("batch")
        self.path, self.form, self.data, self.is_stream = path, form, data, is_stream
        self.count = self.bad = 0
        items = getattr(data, "items", None)
        total = len(items) if isinstance(items, Sized) else None
        self._bar = tqdm(disable=not bar, leave=False, dynamic_ncols=True, unit=" items", total=total)
        self._held = ExitStack()
        self._file: BinaryIO | None = None
        self._columns: list[str] = []
        self._begun = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Share the batches out."""
        rank, processes = trainer.global_rank, trainer.world_size
        if processes > 1:
            if isinstance(self.data, InputData) and self.data.source == "-":
                raise InputError("--input -: one process reads standard input: --trainer.devices 1")
            owner: Any = self.data or pl_module
            read = owner.predict_dataloader
            limit, trainer.limit_predict_batches = trainer.limit_predict_batches, 1.0  # which would be each process's
            owner.predict_dataloader = lambda: _Share(read(), limit, rank, processes)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file, which takes the place of an older one when all is predicted."""
        if str(self.path) != "-" and trainer.is_global_zero:
            try:
                opened = open(self.path, "wb") if self.is_stream else open_atomically(self.path)  # noqa: SIM115
                self._file = self._held.enter_context(opened)
            except OSError as error:
                raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, *_: Any, **__: Any
    ) -> None:
        """Write the rows of a batch."""
        columns = _as_columns(prediction, type(pl_module).__name__)
        if len(sizes := {len(column) for column in columns.values()}) > 1:
            lengths = " and ".join(map(str, sorted(sizes)))
            raise InputError(f"predict_step of {type(pl_module).__name__} gives columns of {lengths} items")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        named: list[Named] | None = None
        if isinstance(self.data, InputData):
            for _each in range(
                trainer.world_size if self._begun else trainer.global_rank + 1
            ):  # those of others are read
                named = self.data.pending.popleft()
        self._begun = True
        self._write_all(trainer, (named, [*columns], rows))

    def _write_all(self, trainer: Trainer, own: _Predicted | None) -> bool:
        """Write a batch of each process in the order of their ranks; return whether there was one."""
        parts = [own] * trainer.world_size
        if trainer.world_size > 1:
            distributed.all_gather_object(parts, own)
        for given, self._columns, rows in filter(None, parts if trainer.is_global_zero else ()):
            names = getattr(self.data, "names", None) or range(sys.maxsize)
            named = given or [(str(name), "") for name in names[self.count : self.count + len(rows)]]
            good = sum(not why for _, why in named)
            if good != len(rows):
                model = type(trainer.lightning_module).__name__
                raise InputError(f"predict_step of {model} gives {len(rows)} rows for {good} items")
            self._write(named, iter(rows))
        return any(part is not None for part in parts)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what could not be read after the last batch, and put the file in its place."""
        while trainer.world_size > 1 and self._write_all(trainer, None):
            pass  # others had a batch more
        for named in getattr(self.data, "pending", ()) if trainer.is_global_zero else ():
            bad = [(name, why) for name, why in named if why]  # read ahead and not predicted, where batches are limited
            self._write(bad if trainer.world_size == 1 or len(bad) == len(named) else (), iter(()))
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

    def _write(self, named: Sequence[Named], predicted: Iterator[dict[str, Any]]) -> None:
        rows = [{"item": name, **({"error": why} if why else next(predicted))} for name, why in named]
        text = io.StringIO()
        if self.form == "jsonl":
            text.writelines(json.dumps(_finite(row), ensure_ascii=False) + "\n" for row in rows)
        else:
            columns = ["item", *self._columns, *(["error"] if isinstance(self.data, InputData) else [])]
            writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
            if not self.count:
                writer.writeheader()
            writer.writerows(rows)
        self.count += len(rows)
        self.bad += sum(bool(why) for _, why in named)
        self._bar.update(len(rows))
        if self._file is None and sys.stdout.isatty():
            sys.stdout.write(text.getvalue())  # which shows escape codes, and obeys none
        else:  # in JSON what a lone surrogate becomes is its escape sequence
            (self._file or sys.stdout.buffer).write(text.getvalue().encode("utf-8", "backslashreplace"))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with null for each number that JSON has not."""
    odd = {name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)}
    return {name: None if name in odd else value for name, value in row.items()}


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
