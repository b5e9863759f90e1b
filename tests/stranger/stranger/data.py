"""Data with an info of its own."""

from dataclasses import dataclass

import torch

from dlplug.data import Batch, Info, TensorData


@dataclass(frozen=True)
class PointsInfo(Info):
    """What points are like."""

    coordinates: int = 2


class Points(TensorData):
    """Points on a plane.

    Args:
        slope: How steep.
    """

    def __init__(self, batch_size: int = 16, slope: str = "gentle") -> None:
        super().__init__(batch_size)
        if slope not in ("gentle", "steep"):
            raise ValueError(f"slope must be gentle or steep, not {slope!r}")
        self.slope = slope

    def load(self):
        """Return the info and the splits."""
        points = torch.randn(96, 2, generator=torch.Generator().manual_seed(0))
        heights = points @ torch.tensor([1.0, -1.0]) * (2 if self.slope == "steep" else 1)
        parts = {"train": slice(64), "val": slice(64, 80), "test": slice(80, None)}
        return PointsInfo(2), {split: (points[part], heights[part]) for split, part in parts.items()}

    def prepare_batch(self, batch: Batch) -> Batch:
        """Leave it as it is."""
        return batch
