"""The data's side of the bargain: a ``LightningDataModule`` that describes itself, so that any model can fit it."""

import atexit
import os
import signal
import sys
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler, default_collate

from dlplug.console import MAX_NAMED, first_few, say
from dlplug.errors import InputError

Batch = tuple[Tensor, ...]
Input = tuple[str, Callable[[], Batch]]  # a new item's name, and what reads it or raises why it cannot be read
Target = Literal["class", "labels", "number"]  # what an item's is: one class, several labels, or one number or several
Order = Literal["shuffled", "in order", "spread"]
ORDERS: dict[str, Order] = {"train": "shuffled", "val": "spread"}
SHOWN = 12  # classes whose items are counted in a line
LONG = 200  # characters of a value that is too long to be shown in a message


def run_seed() -> int:
    """Return the seed that ``seed_everything`` was last called with; 0 where it never was."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


@dataclass(frozen=True)
class Info:
    """What a model must know of its data to build its layers. Subclasses hold plain values only.

    It travels in checkpoints as plain data, so that a model loads without its data.
    """

    _kinds: ClassVar[dict[str, type["Info"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Info._kinds[_type_of(cls)] = cls

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the class's name as plain data."""
        return {"type": _type_of(type(self)), **asdict(self)}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "Info":
        """Return what ``to_dict`` was called on; its class must have been imported, as it is by the model it is for."""
        known = dict(plain)
        kind = known.pop("type")
        if ":" not in kind:  # of dlplug 0.1, which told classes apart by their names alone
            kind = next(each for each in Info._kinds if each.endswith(f":{kind}"))
        return Info._kinds[kind](**known)

    def differences(self, here: "Info") -> str:
        """Return where another description differs from this one, field by field, in words."""
        if type(here) is type(self):
            pairs = [(each.name, getattr(self, each.name), getattr(here, each.name)) for each in fields(self)]
            pairs = [(name, a, b) for name, a, b in pairs if a != b]
            if pairs and all(len(value) < LONG for _, *both in pairs for value in both if isinstance(value, str)):
                return ", ".join(f"{name}: {_shown(a, b)} there; {_shown(b, a)} here" for name, a, b in pairs)
        return f"{self} there; {here} here"


def _shown(value: Any, other: Any) -> str:
    if not isinstance(value, tuple | list):
        return str(value)
    own = [str(each) for each in value if each not in other]  # of many names, those that the other lacks
    return first_few(own if own and len(value) > MAX_NAMED else [*map(str, value)]) or "none"


def _type_of(kind: type[Info]) -> str:
    return f"{kind.__module__}:{kind.__name__}"


@dataclass(frozen=True)
class ImageInfo(Info):
    """Images of one size, of values from 0 to 1, each with a target where ``outputs`` is not 0.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Rows.
        width: Columns.
        classes: Number of classes; 0 where the target is another one.
        labels: Their names, where they have some; the names of the labels, or of the numbers.
        target: What each image has: a ``class``, some ``labels`` of several, or ``number``, one or more.
    """

    channels: int
    height: int
    width: int
    classes: int = 0
    labels: tuple[str, ...] = ()
    target: Target = "class"

    @property
    def outputs(self) -> int:
        """How many outputs of a network say a target: a class's logits, labels' logits, or numbers."""
        return self.classes if self.target == "class" else len(self.labels)

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width} images"


@dataclass(frozen=True)
class VectorInfo(Info):
    """Vectors of one size, each with a class label where ``classes`` is not 0.

    Attributes:
        size: Numbers of a vector.
        classes: Number of classes.
        labels: Their names, where they have some.
    """

    size: int
    classes: int = 0
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"vectors of {self.size} numbers"


class Data(LightningDataModule):
    """A data module that says what it gives in ``info``, at the latest after ``setup``.

    A subclass, or any other ``LightningDataModule``, may also offer, each found by its name alone:

    - ``read_inputs(source: str, info: Info) -> Iterable[Input]``: what ``dlplug predict RUN --input SOURCE`` predicts,
      an item each with a function that reads it as a sample without labels, a tuple of tensors; it raises ``OSError``
      or ``ValueError`` where it cannot. ``source`` is a file, a folder, or ``-`` for standard input; class names,
      vocabulary and sizes come from ``info``, since the training files may be gone. Where the items have a length, it
      is known how many there are. Samples become a batch by ``pad_sequence``, and go through
      ``on_after_batch_transfer``.
    - ``write_sample(folder: Path) -> dict[str, Any]``, a class method: writes small files of its kind into a new
      folder, for ``dlplug sample``, and returns the options that train on them, such as ``{"data.root": folder}``.

    Attributes:
        info: What its items are like.
        names: What the items of ``predict_dataloader`` are called, in its order, where they have names.
    """

    info: Info
    names: Sequence[str] | None = None


class BatchIndexSampler(DistributedSampler[list[int]]):
    """Index tensors, a batch each, of a dataset that is indexed a batch at a time.

    The order depends on the run's seed and the epoch alone, so that a resumed run meets the batches that the unbroken
    one met; it is the same on all ranks, each of which takes its own share. A ``DistributedSampler``, since Lightning
    leaves those as they are.

    Args:
        size: Number of items.
        batch_size: Items a batch on each rank.
        order: ``shuffled`` to train, every rank with the same number of batches and the last, smaller batch left out;
            ``in order``, all items; ``spread``, all items, each batch from all over the data, so that the first, which
            models show, is a fair sample of data that are sorted.
        seed: The run's seed.
    """

    def __init__(self, size: int, batch_size: int, order: Order, seed: int = 0) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            range(size),  # type: ignore[arg-type]
            num_replicas=torch.distributed.get_world_size() if distributed else 1,
            rank=torch.distributed.get_rank() if distributed else 0,
            shuffle=order == "shuffled",
            seed=seed,
        )
        self.size = size
        self.order = order
        self.batch_size = batch_size

    def __len__(self) -> int:
        share = self.size // self.num_replicas if self.shuffle else len(range(self.rank, self.size, self.num_replicas))
        if self.shuffle:
            return max(share // self.batch_size, 1)
        return -(-share // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.size, generator=generator)
        else:
            batches = max(1, -(-self.size // self.batch_size)) if self.order == "spread" else 1
            order = torch.cat([torch.arange(first, self.size, batches) for first in range(batches)])
        # Lightning sets the epoch after `iter`, before the first batch: a generator's body waits for that.
        yield from torch.split(order[self.rank :: self.num_replicas], self.batch_size)[: len(self)]


class _Indexed(Dataset[Batch]):
    """Columns of one length, indexed a batch at a time."""

    def __init__(self, columns: Sequence[Any]) -> None:
        self.columns = columns

    def __getitem__(self, index: Tensor) -> Batch:
        return tuple(column[index] for column in self.columns)


class _Loader(DataLoader[Batch]):
    """Resumes within an epoch: Lightning keeps its state in checkpoints.

    What it counts is the batches that were taken, not those that workers have read ahead, and a resumed epoch begins
    by leaving as many out of its order: workers hold no state, since each batch is known by its places.
    """

    _taken = _skipped = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        # Workers read ahead from `iter` on; they too wait for the epoch that Lightning sets after it.
        batches = super().__iter__()
        self._taken, self._skipped = self._skipped, 0
        for batch in batches:
            self._taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch were taken, and of how many."""
        return {"taken": self._taken, "batches": len(self)}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Begin the next epoch where another one stopped.

        Raises:
            InputError: It had another number of batches.
        """
        if state["batches"] != len(self):
            raise InputError(
                f"the checkpoint is of an epoch of {state['batches']:,} batches, which cannot become {len(self):,} in "
                "its middle: batch size and number of processes stay as they are until the epoch's end"
            )
        self._skipped = state["taken"]

    @property
    def _index_sampler(self) -> Any:
        return _Rest(self)


class _Rest:
    """What is left of a loader's order."""

    def __init__(self, loader: _Loader) -> None:
        # The loader keeps its workers' iterator, and that keeps this: in a circle, workers would outlive the loader.
        self.loader = weakref.proxy(loader)

    def __iter__(self) -> Iterator[Any]:
        return islice(self.loader.sampler, self.loader._skipped, None)

    def __len__(self) -> int:
        return len(self.loader.sampler)


def load_batches(dataset: Dataset[Batch], sampler: Sampler[Any], num_workers: int = 0) -> "DataLoader[Batch]":
    """Return a loader whose items are whole batches already.

    Args:
        dataset: Gives a batch for each index that the sampler gives.
        sampler: Gives an index a batch.
        num_workers: Processes that read ahead; 0 to read in this one.
    """
    loader = _Loader(
        dataset,
        batch_size=None,
        sampler=sampler,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or each epoch would draw from the generator that the noise comes from
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=_ignore_signals,
        # As torch on Linux, until Python 3.14 or a parent says otherwise: a worker that is no fork imports torch anew.
        multiprocessing_context="fork" if num_workers and sys.platform == "linux" else None,
    )
    if num_workers:
        atexit.register(_end_workers, weakref.ref(loader))
    return loader


def _end_workers(loader: "weakref.ref[_Loader]") -> None:
    # At exit multiprocessing ends workers by a signal that these ignore, and would wait for them for ever.
    if iterator := getattr(loader(), "_iterator", None):
        iterator._shutdown_workers()


def _as_it_is(batch: Any) -> Any:
    return batch


def _ignore_signals(worker: int) -> None:
    # Ctrl-C and a cluster's warning reach all processes of a group. The training decides when it stops, and until then
    # needs its batches; torch has a worker end with the process that it reads for.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if number := getattr(signal, name, None):  # Windows has no SIGUSR1
            signal.signal(number, signal.SIG_IGN)


class TensorData(Data, ABC):
    """Data that fits in memory: it stays in tensors and is indexed a batch at a time, never collated item by item.

    A subclass gives its tensors in ``load`` and may transform whole batches in ``prepare_batch``.

    Args:
        batch_size: Items a batch on each device.

    Attributes:
        num_workers: Processes of each loader that index the columns ahead; 0 where they are tensors.
    """

    num_workers = 0

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        self.batch_size = batch_size
        self.splits: Mapping[str, Sequence[Any]] | None = None

    @abstractmethod
    def load(self) -> tuple[Info, Mapping[str, Sequence[Any]]]:
        """Return what the data is like and its tensors by split.

        Returns:
            The info, and the tensors of ``"train"`` and, where there are such, ``"val"`` and ``"test"``. The tensors of
            a split have the same first dimension: its number of items. Instead of a tensor there may be what has a
            length and, indexed by a tensor of places, gives one.
        """

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return a batch as models take it, on the device: convert and, where ``self.trainer.training``, augment."""
        return batch

    def setup(self, stage: str = "fit") -> None:
        """Load the tensors, once."""
        if self.splits is None:
            try:
                self.info, self.splits = self.load()
            except (OSError, ValueError) as error:
                raise InputError(f"{type(self).__name__}: {error}") from error

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Prepare the batch where the model is: on a GPU that is faster, and less has crossed to it."""
        return self.prepare_batch(batch)

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Return shuffled batches."""
        return self._loader("train")

    def val_dataloader(self) -> "DataLoader[Batch] | list[DataLoader[Batch]]":
        """Return the validation batches, each from all over the data; none where there is no such split."""
        return self._loader("val") if "val" in self._loaded() else []

    def test_dataloader(self) -> "DataLoader[Batch]":
        """Return the test batches in order."""
        return self._loader("test")

    def predict_dataloader(self) -> "DataLoader[Batch]":
        """Return the test batches in order, all of them in each process."""
        loader: Any = self._loader("test")
        loader.sampler.num_replicas, loader.sampler.rank = 1, 0
        return loader  # type: ignore[no-any-return]

    def sampler(self, split: str, columns: Sequence[Any]) -> BatchIndexSampler:
        """Return what gives the places of each batch's items.

        Args:
            split: Its name.
            columns: Its tensors, or what stands for them.
        """
        return BatchIndexSampler(len(columns[0]), self.batch_size, ORDERS.get(split, "in order"), seed=run_seed())

    def _loaded(self) -> Mapping[str, Sequence[Any]]:
        self.setup()
        assert self.splits is not None
        return self.splits

    def _loader(self, split: str) -> "DataLoader[Batch]":
        if split not in self._loaded():
            raise InputError(f"{type(self).__name__} has no {split} data")
        columns = self._loaded()[split]
        return load_batches(self._indexed(columns), self.sampler(split, columns), self.num_workers)

    def _indexed(self, columns: Sequence[Any]) -> Dataset[Batch]:
        return _Indexed(columns)


class FromTensors(TensorData):
    """Tensors that somebody has already, in memory."""

    def __init__(self, info: Info, splits: Mapping[str, Sequence[Any]], batch_size: int) -> None:
        super().__init__(batch_size)
        self.info, self.splits = info, splits

    def load(self) -> tuple[Info, Mapping[str, Sequence[Any]]]:
        """Return what was given."""
        return self.info, self._loaded()

    def prepare_batch(self, batch: Batch) -> Batch:
        """Return a batch in the types that models take, whichever the tensors or datasets have."""
        inputs, *others = batch
        inputs = (
            inputs / 255 if inputs.dtype == torch.uint8 else inputs.float() if inputs.is_floating_point() else inputs
        )
        labels = getattr(self.info, "target", "class") == "labels"  # which are learned as probabilities
        return inputs, *(c.float() if labels or c.is_floating_point() else c.long() for c in others)


class FromDatasets(FromTensors):
    """Datasets, each the one column of its split, whose items are read and collated when a batch is asked for."""

    def _indexed(self, columns: Sequence[Any]) -> Dataset[Batch]:
        return _Collated(columns[0])


class _Collated(Dataset[Batch]):
    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: Tensor) -> Batch:
        return _collated("the data", [self.dataset[i] for i in index.tolist()])


def from_tensors(
    train: Any,
    val: Any = None,
    test: Any = None,
    *,
    batch_size: int = 64,
    labels: Sequence[str] = (),
    info: Info | None = None,
) -> TensorData:
    """Return tensors as data that describe themselves, for a function that ``--data my_file.my_data`` names, or Python.

    Images of shape (n, channels, height, width), bytes or floats from 0 to 1, have an ``ImageInfo``, vectors of shape
    (n, size) a ``VectorInfo``. Classes are whole numbers of shape (n,); of images, floats of shape (n, columns) are
    numbers to be predicted, and whole numbers of that shape, 0 or 1, say which labels an image has.

    Args:
        train: Inputs, or a tuple of inputs and targets: tensors or arrays of one length.
        val: The same to validate on; without it nothing is validated.
        test: The same to test on and to predict.
        batch_size: Items a batch on each device.
        labels: The names of the classes, or of the columns; as many as the highest class asks for unless given.
        info: What the data are like, where they are neither images nor vectors, such as a ``TextInfo``.

    Raises:
        InputError: The tensors do not go together, or do not say what they are.
    """
    given = {"train": train, "val": val, "test": test}
    splits = {split: _columns(split, columns) for split, columns in given.items() if columns is not None}
    for split, columns in splits.items():
        shapes, expected = ([tuple(column.shape[1:]) for column in each] for each in (columns, splits["train"]))
        if shapes != expected:
            raise InputError(f"the items of {split} have the shapes {shapes}, those of train {expected}")
    return FromTensors(info or _describe(splits, labels), splits, batch_size)


def from_datasets(
    train: Dataset[Any],
    val: Dataset[Any] | None = None,
    test: Dataset[Any] | None = None,
    *,
    batch_size: int = 64,
    labels: Sequence[str] = (),
    info: Info | None = None,
) -> TensorData:
    """Return torch's map-style datasets as data that describe themselves; see ``from_tensors``.

    Args:
        train: Its items are inputs, or tuples of inputs and targets; the first tells what all are like.
        val: The same to validate on; without it nothing is validated.
        test: The same to test on and to predict.
        batch_size: Items a batch on each device.
        labels: The classes' names; those that the dataset has as ``classes``, as torchvision's do, unless given.
        info: What the data are like, where they are neither images nor vectors.

    Raises:
        InputError: A dataset is empty, has no length, or does not say what it holds.
    """
    given = {"train": train, "val": val, "test": test}
    splits = {split: dataset for split, dataset in given.items() if dataset is not None}
    for split, dataset in splits.items():
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise InputError(f"{split} is a {type(dataset).__name__}, not a torch Dataset with a length and items")
        if not len(dataset):
            raise InputError(f"{split} has no items")
    first = _columns("train", _collated("train", [train[0]]))
    base: Any = train
    while not labels and base is not None:  # a Subset's are those of what it is part of
        labels, base = getattr(base, "classes", ()), getattr(base, "dataset", None)
    if info is None and len(first) > 1 and first[1].dtype == torch.long and first[1].dim() == 1 and not labels:
        raise InputError("the targets are whole numbers, but the dataset has no `classes`: name them, labels=[...]")
    columns = {split: (dataset,) for split, dataset in splits.items()}
    return FromDatasets(info or _describe({"train": first}, labels), columns, batch_size)


def _collated(split: str, items: list[Any]) -> Batch:
    try:
        batch = default_collate(items)
    except (TypeError, RuntimeError) as error:  # PIL's images, or of different sizes
        raise InputError(
            f"the items of {split} do not become a batch: they must be tensors or numbers of one size, as "
            f"transform=ToTensor() makes images ({' '.join(str(error).split())[:100]})"
        ) from error
    return tuple(batch) if isinstance(batch, list | tuple) else (batch,)


def _columns(split: str, given: Any) -> Batch:
    """Return the columns of a split as tensors of one length."""
    if isinstance(given, Dataset | DataLoader):
        raise InputError(f"{split} is a {type(given).__name__}, not tensors: from_datasets takes datasets")
    try:
        columns = [torch.as_tensor(column) for column in (given if isinstance(given, tuple | list) else (given,))]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{split} is neither inputs nor (inputs, targets), as tensors or arrays: {error}") from error
    sizes = [len(column) if column.dim() else 0 for column in columns]
    if not columns or len({*sizes}) > 1:
        raise InputError(f"{split} has columns of {' and '.join(map(str, sizes)) or 'no'} items")
    if not sizes[0]:
        raise InputError(f"{split} has no items")
    for place, column in enumerate(columns):
        if column.is_floating_point():
            columns[place] = column.float()
            if not columns[place].isfinite().all():
                raise InputError(f"column {place} of {split} holds values that are not finite numbers")
        elif column.dtype not in (torch.uint8, torch.bool) or place:
            columns[place] = column.long()
    return tuple(columns)


def _describe(splits: Mapping[str, Batch], labels: Sequence[str]) -> Info:
    """Return what tensors say of themselves."""
    inputs, *others = splits["train"]
    targets = [columns[1] for columns in splits.values() if others and columns[1].dtype == torch.long]
    classes = 0
    if targets and targets[0].dim() == 1:
        if (least := min(int(each.min()) for each in targets)) < 0:
            raise InputError(f"class labels are whole numbers from 0 on, not {least}")
        classes = max(int(each.max()) for each in targets) + 1
        if labels and classes > len(labels):
            raise InputError(f"the label {classes - 1} has no name: there are {len(labels)} labels")
        classes = max(classes, len(labels))
    kinds = {4: "images", 2: "vectors"}
    if inputs.dim() not in kinds:
        raise InputError(
            f"inputs of shape {tuple(inputs.shape)}: images are (items, channels, height, width), vectors (items, "
            "numbers); what else they are says info=..., such as the Info of the model's own data"
        )
    if inputs.dim() == 2:
        return VectorInfo(inputs.shape[1], classes, tuple(labels))
    channels, height, width = inputs.shape[1:]
    if channels > 4 and width in (1, 3):
        raise InputError(f"images of shape {tuple(inputs.shape)}: channels come second, images.permute(0, 3, 1, 2)")
    if inputs.dtype != torch.uint8 and (inputs.dtype != torch.float32 or inputs.min() < 0 or inputs.max() > 1):
        raise InputError(
            f"images hold values from {inputs.min():g} to {inputs.max():g}: bytes (uint8) or floats from 0 to 1 are "
            "what models take"
        )
    if not others or classes:
        return ImageInfo(channels, height, width, classes, tuple(labels))
    first = others[0]
    if first.dim() != 2:
        raise InputError(
            f"targets of shape {tuple(first.shape)}: classes are whole numbers (n,); numbers are floats (n, columns), "
            "such as y[:, None], and labels 0 or 1 of that shape"
        )
    names = tuple(labels) or tuple(map(str, range(first.shape[1])))
    if len(names) != first.shape[1]:
        raise InputError(f"targets have {first.shape[1]} columns, but there are {len(names)} labels")
    if len({*names}) < len(names):
        raise InputError(f"two columns of the targets have one name: {', '.join(names)}")
    if any(int(each.min()) < 0 or int(each.max()) > 1 for each in targets):
        raise InputError(
            "whole numbers of shape (n, columns) say which labels an image has, 0 or 1; numbers to be predicted are "
            "floats"
        )
    target: Target = "number" if first.is_floating_point() else "labels"
    return ImageInfo(channels, height, width, 0, names, target)


def class_weights(data: object, labels: Sequence[str]) -> Tensor | None:
    """Say how many training items each class or label has, and return the weights that give all the same say.

    Args:
        data: Of a data module in memory, whose training split has the targets in its second column: classes (n,), or
            labels (n, labels), 1 for those that an item has.
        labels: The names of the classes or labels.

    Returns:
        ``items / (classes × items of the class)``, shape (classes,), 0 for a class without items; of labels ``items
        without it / items with it``, shape (labels,), 1 for a label that no item has; None where the data are of
        another kind.
    """
    targets = training_targets(data)
    if targets is None:
        return None
    several = targets.dim() == 2
    counts = targets.sum(0).long() if several else torch.bincount(targets.flatten().long(), minlength=len(labels))
    counts = counts.cpu()
    named = [f"{name} {count:,}" for name, count in zip(labels, counts.tolist(), strict=True)]
    extremes = [named[int(counts.argmin())], "...", named[int(counts.argmax())]]
    say(f"training items: {', '.join(named if len(named) <= SHOWN else extremes)}")
    if several:
        return torch.where(counts > 0, (len(targets) - counts) / counts.clamp(min=1), 1.0)
    return torch.where(counts > 0, len(targets) / (len(labels) * counts.clamp(min=1)), 0.0)


def training_targets(data: object) -> Tensor | None:
    """Return the second column of the training split of a data module in memory; None where there is none."""
    columns = (getattr(data, "splits", None) or {}).get("train", ())
    return columns[1] if len(columns) > 1 and isinstance(columns[1], Tensor) else None
