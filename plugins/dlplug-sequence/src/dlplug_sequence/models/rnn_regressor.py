"""One number at the end of a sequence."""

from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from dlplug.data import Batch
from dlplug.media import Figure, Media
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug_sequence.data.adding_problem import SequenceInfo
from dlplug_sequence.nn.recurrent import Activation, Cell, Init, Recurrent


class RNNRegressor(WarmupCosine):
    """Recurrent cells read a sequence of numbers; the last state says one number.

    What it takes to remember over many steps (sections 2.7 and 2.8) without a text in the way. Logs ``loss``, the mean
    squared error.

    Args:
        cell: ``rnn``, ``gru``, ``lstm``; ``irnn`` is an rnn with relu and identity (Le et al., 2015).
        activation: Of an rnn.
        init: Recurrent weights before training.
        hidden: Units.
        lr: Highest learning rate of Adam; it falls along a cosine to 0 at the last batch.
    """

    monitor = ("val/loss", "min")
    betas = (0.9, 0.99)
    panels = (
        Panel(
            "Learning",
            "Squared error",
            "Mean over sequences. Healthy: leaves the plateau where the mean is answered (1/6 in the adding problem) "
            "and falls to near 0. Broken: stays there (what it should remember does not reach the end).",
            curves=("loss",),
        ),
        Panel(
            "Learning",
            "Answers",
            "Validation sequences: the right number and the answer. Healthy: on the line. Broken: all answers alike.",
            media="answers",
        ),
    )

    def __init__(
        self,
        cell: Cell = "lstm",
        activation: Activation = "tanh",
        init: Init = "default",
        hidden: int = 64,
        lr: float = 1e-2,
    ) -> None:
        super().__init__()
        if lr <= 0:
            raise ValueError(f"lr must be above 0, not {lr}")
        self.save_hyperparameters()
        self.cell, self.activation, self.init, self.hidden, self.lr = cell, activation, init, hidden, lr

    def build(self, info: SequenceInfo) -> None:
        """Make the layers."""
        self.recurrent = Recurrent(self.cell, info.size, self.hidden, activation=self.activation, init=self.init)
        self.out = nn.Linear(self.hidden, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Return a number (n,) for each of the sequences (n, time, size)."""
        h, _ = self.recurrent(sequences)  # (n, time, hidden)
        answers: Tensor = self.out(h[:, -1]).squeeze(1)  # (n,)
        return answers

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the squared error on a batch."""
        sequences, numbers = batch
        loss = mse_loss(self(sequences).float(), numbers)
        self.record(loss=loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure."""
        sequences, numbers = batch
        self.record(loss=mse_loss(self(sequences).float(), numbers))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test sequences."""
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the answers (n,)."""
        answers: Tensor = self(batch[0])
        return answers

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show answers against the right numbers."""
        sequences, numbers = batch
        drawing = Drawing(figsize=(4, 4), layout="constrained")
        axes = drawing.add_subplot(xlabel="right number", ylabel="answer")
        axes.axline((1, 1), slope=1, linewidth=1)
        axes.scatter(numbers.cpu(), self(sequences).float().cpu(), s=8)
        return {"answers": Figure(drawing)}
