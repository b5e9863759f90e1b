"""What language models that follow a gradient share."""

from abc import abstractmethod

from torch import Tensor
from torch.nn.functional import cross_entropy

from dlplug.data import Batch
from dlplug.optim import WarmupCosine
from dlplug_sequence.models.language_model import LanguageModel, State


class NeuralLM(WarmupCosine, LanguageModel):
    """A network that scores what may follow each token, trained on the loss at every step (section 2.6).

    Attributes:
        carry: Whether a training batch goes on from the state after the batch before.
    """

    betas = (0.9, 0.99)
    carry: bool = False
    _carried: State = ()

    @abstractmethod
    def forward(self, tokens: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Read on from a state.

        Args:
            tokens: Shape (n, time).
            state: What to remember of the text before; () for nothing.

        Returns:
            Scores of what follows each token, shape (n, time, vocabulary), and the state after the last.
        """

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time)."""
        scores, state = self(tokens, state)
        nats = cross_entropy(scores.float().flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view_as(targets), state

    def read_on(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return scores of what follows the last token."""
        scores, state = self(tokens, state)
        return scores[:, -1], state

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        tokens, targets = batch
        losses, state = self.losses(tokens, targets, self._carried if self.carry and batch_idx else ())
        self._carried = tuple(part.detach() for part in state)
        loss = losses.mean()
        self.record(loss=loss)
        return loss
