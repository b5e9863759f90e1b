"""What is checked of a data set."""

from pkgutil import resolve_name
from typing import Any
from unittest import SkipTest

from dlplug.specs import DataSpec
from dlplug.testing.offers import SpecChecks


class DataChecks(SpecChecks):
    """Checks of a ``LightningDataModule``."""

    checks = (*SpecChecks.checks, "fitting", "judges", "loads", "pickles", "traces")
    base = "lightning.pytorch.LightningDataModule"
    spec: DataSpec

    def fitting(self) -> None:
        """Check that it says what it gives, so that models can be found for it."""
        assert self.spec.gives, "its DataSpec says no gives: the kind of item, as a ModelSpec's takes names it"

    def judges(self) -> None:
        """Check that the functions which judge models of it are there."""
        for target in self.spec.judges:
            assert callable(resolve_name(target)), f"the judge {target} is no function"

    def loads(self) -> None:
        """Check that there are batches to train on, all of finite numbers, and the same data each time."""
        self._require_files()
        self.apart(self._load)

    def _load(self) -> None:
        batches = []
        for _ in range(2):
            data = self.load()(**self.options())
            data.prepare_data()
            data.setup("fit")
            loader = data.val_dataloader() or data.train_dataloader()
            batches.append(next(iter(loader)))
            next(iter(data.train_dataloader()))
        first, second = (list(tensors(batch)) for batch in batches)
        assert first, f"its batches hold no tensor: {batches[0]!r}"
        assert all(t.isfinite().all() for t in first if t.is_floating_point()), "a batch holds NaN or infinity"
        same = len(first) == len(second) and all(a.equal(b) for a, b in zip(first, second, strict=True))
        assert same, "its first validation batch is another one each time: seed the split with a generator of its own"

    def traces(self) -> None:
        """Check that importing, making and loading it changes nothing global, such as random states."""
        self._require_files()
        super().traces()

    def _require_files(self) -> None:
        if self.spec.needs_files:
            raise SkipTest("it reads files that have to be there first")

    def exercise(self, made: Any) -> None:
        """Make one and set it up."""
        data = made(**self.options())
        data.prepare_data()
        data.setup("fit")


def tensors(batch: Any) -> "list[Any]":
    """Return the tensors of a batch, however it nests them."""
    import torch

    if isinstance(batch, torch.Tensor):
        return [batch]
    if isinstance(batch, dict):
        batch = list(batch.values())
    return [found for part in batch for found in tensors(part)] if isinstance(batch, list | tuple) else []
