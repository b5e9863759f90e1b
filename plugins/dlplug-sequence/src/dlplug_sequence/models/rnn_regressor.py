"""Regression at the end of a sequence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from dlplug.data import Batch
from dlplug.media import Figure, Media, Text
from dlplug.model import Parts
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_regression
from dlplug_sequence.data.adding_problem import SequenceInfo
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent


class RNNRegressor(WarmupCosine):
    """Recurrent cells read a sequence of vectors; the last state predicts one number.

    What it takes to remember over many steps (sections 2.7 and 2.8), without a text in the way. Logs ``loss``, the mean
    squared error.

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Activation function of an rnn.
        init: Initialisation of recurrent weights.
        hidden_size: Hidden units.
        lr: Highest learning rate of Adam; it decays along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    betas = (0.9, 0.99)
    panels = (
        Panel(
            "Learning",
            "Squared error",
            "Mean over sequences. Healthy: leaves the plateau of predicting the mean (1/6 in the adding problem) and "
            "falls to near 0. Broken: stays there (what it should remember does not reach the end).",
            curves=("loss",),
            expect=("loss falls",),
        ),
        Panel(
            "Learning",
            "Predictions",
            "Validation sequences: the target and the prediction. Healthy: on the line. Broken: all predictions alike.",
            media="answers",
        ),
    )

    def __init__(
        self,
        cell: Cell = "lstm",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden_size: int = 64,
        lr: float = 1e-2,
    ) -> None:
        super().__init__()
        if lr <= 0:
            raise ValueError(f"lr must be above 0, not {lr}")
        self.save_hyperparameters()
        self.cell, self.activation, self.init, self.hidden_size, self.lr = cell, activation, init, hidden_size, lr

    def build(self, info: SequenceInfo) -> None:
        """Make the layers."""
        self.input_size = info.input_size
        sizes = (info.input_size, self.hidden_size)
        self.recurrent = Recurrent(self.cell, *sizes, activation=self.activation, init=self.init)
        self.out = nn.Linear(self.hidden_size, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Return predictions (n,) of sequences (n, time, input_size)."""
        # Exercise: read the sequences, and predict from the last state.
        h, _ = self.recurrent(sequences)  # (n, time, hidden_size)
        predictions: Tensor = self.out(h[:, -1]).squeeze(1)  # (n,)
        return predictions

    def export_parts(self, batch: Batch) -> Parts:
        """Return the network."""
        sequences = {"sequences": batch[0]}
        return {"network": (lambda sequences: {"predictions": self(sequences)}, sequences, {"sequences": {1: "time"}})}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the squared error on a batch."""
        # Exercise: the mean squared error of the predictions, recorded as loss.
        sequences, targets = batch
        loss = mse_loss(self(sequences).float(), targets)
        self.record(loss=loss)
        return loss

    validation_step = training_step

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the predictions (n,)."""
        predictions: Tensor = self(batch[0])
        return predictions

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Predict of a typed sequence."""
        return {"Predict": self.predict_sequence}

    def predict_sequence(self, text: str) -> Text:
        """Predict the number of a sequence.

        Args:
            text: A line a step, with a number for each input, such as ``0.3 1``; of the adding problem a number from 0
                to 1, and 1 where it is marked or 0.
        """
        try:
            steps = torch.tensor([[float(word) for word in line.split()] for line in text.strip().splitlines()])
        except ValueError as error:
            raise ValueError(f"a line a step, of as many numbers each: {error}") from error
        if steps.ndim != 2 or steps.shape[1] != self.input_size:
            raise ValueError(f"each step is a line of {self.input_size} numbers")
        return Text(f"{self(steps[None].to(self.device)).item():.4g}")

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show predictions against targets."""
        sequences, targets = batch
        predictions = self(sequences).float()
        return {"answers": Figure(plot_regression(targets.cpu()[:, None], predictions.cpu()[:, None]))}
