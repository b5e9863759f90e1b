"""A model with all that a model may have."""

import torch

from dlplug import InputError, Panel
from dlplug.console import say
from dlplug.media import Image, Media, Table, Text
from dlplug.optim import WarmupCosine, set_lr, warmup_cosine
from dlplug.plots import plot_curves
from dlplug.trained import start_from
from stranger.data import PointsInfo


class Plane(WarmupCosine):
    """A plane.

    Args:
        hidden_size: Units.
        weights: A run to start from.
        lr: Highest learning rate.
    """

    monitor = ("val/loss", "min")
    panels = (
        Panel("Fit", "Loss", "Healthy: falls.", curves=("loss",)),
        Panel("Fit", "Weights", "Healthy: two.", media="weights"),
    )

    def __init__(self, hidden_size: int = 1, weights: str = "", lr: float = 0.1):
        super().__init__()
        if hidden_size < 1:
            raise InputError(f"hidden_size must be at least 1, not {hidden_size}")
        self.save_hyperparameters()
        self.hidden_size, self.weights, self.lr = hidden_size, weights, lr

    def build(self, info: PointsInfo) -> None:
        """Make the layers."""
        self.net = torch.nn.Sequential(
            torch.nn.Linear(info.coordinates, self.hidden_size), torch.nn.Linear(self.hidden_size, 1)
        )

    def initialise(self) -> None:
        """Take weights."""
        if self.weights:
            say(start_from(self.net, self.weights))

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the loss."""
        points, heights = batch
        loss = (self.net(points)[:, 0] - heights).square().mean()
        if self.stage == "test":
            assert not self.training
        self.record(loss=loss)
        return loss

    validation_step = training_step

    def predict_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> dict[str, object]:
        """Return a column a name."""
        return {"height": self.net(batch[0])[:, 0].tolist()}

    def showcase(self, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, Media]:
        """Show pictures and a table."""
        assert warmup_cosine(0, 10) == 1
        return {
            "weights": Image(next(self.net.parameters())[None], low=-1, high=1),
            "rows": Table(("x", "height"), [(float(x), float(y)) for (x, _), y in zip(*batch, strict=True)]),
        }

    def generate(self, n: int = 2) -> Text:
        """Draw.

        Args:
            n: How many.
        """
        return Text("\n".join(f"{height:.3f}" for height in self.net(torch.rand(n, 2))[:, 0].tolist()))


assert callable(set_lr)
assert callable(plot_curves)
