"""A topic model that is a restricted Boltzmann machine: section 5.5 of the notes."""

import torch
from torch import Tensor

from dlplug import Panel
from dlplug.data import Batch
from dlplug.media import Media, Table, Text
from dlplug_multimodal.data.tagged_images import TaggedInfo, count_asked
from dlplug_multimodal.models.boltzmann import GAP, LEARNING, Single
from dlplug_multimodal.nn.ais import log_partition
from dlplug_multimodal.nn.rbm import ReplicatedSoftmax as Machine

SHOWN = 8


class ReplicatedSoftmax(Single):
    """Hidden units that are 0 or 1 and explain how often each word is said: the Replicated Softmax.

    A text of any length is a family of machines that share their weights, one for each length. Salakhutdinov and
    Hinton, "Replicated Softmax: an Undirected Topic Model" (2009); section 5.5 of the notes.

    Fits the words of tagged images. Logs ``nll``, nats a text as a sequence of words, and for images not trained on
    ``perplexity``, exp(the mean over texts of nats a word); while training the mean free energies of data and chains.

    Args:
        hidden: Hidden units, the topics.
        k: Times that words and hidden units are drawn for each batch.
        chains: Gibbs chains that go on from batch to batch (PCD); 0 for chains that start from the batch (CD).
        lr: Highest learning rate; it falls along a line to 0 at the last epoch.
        momentum: Share of the last step that the next one keeps.
        weight_decay: Decay of the weights.
    """

    machine: Machine
    monitor = ("val/nll", "min")
    panels = (
        LEARNING,
        Panel(
            "Learning",
            "Perplexity",
            "Among how many equally likely words each word is as good as drawn. Healthy: falls far below the number of "
            "words. Broken: stays where the words' frequencies alone put it.",
            curves=("perplexity",),
        ),
        GAP,
        Panel(
            "Words",
            "Topics",
            "The words that each hidden unit, strongest first, makes likelier. Healthy: words that belong together.",
            media="topics",
        ),
    )

    def __init__(
        self,
        hidden: int = 64,
        k: int = 1,
        chains: int = 0,
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.check_options(hidden, k, chains, lr, momentum, weight_decay)

    def build(self, info: TaggedInfo) -> None:
        """Make the machine."""
        self.words = info.words
        self.machine = Machine(len(info.words), self.hidden)

    def initialise(self) -> None:
        """Set the visible biases to how often words are said, where learning starts."""
        [said] = self.share([torch.cat([counts for _, counts in self.train_batches()]).mean(0)])
        self.machine.visible_bias.data.copy_((said + 1 / len(said)).log())

    def visible(self, batch: Batch) -> Tensor:
        """Return the counts of words."""
        return batch[1]

    def forward(self, counts: Tensor) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden), given counts of words (n, words)."""
        return self.machine.up(counts).sigmoid()

    def nll(self, counts: Tensor, steps: int) -> Tensor:
        """Return nats, shape (n,), of texts, the partition of each length estimated with so many steps."""
        lengths = counts.sum(1)
        energies = self.machine.free_energy(counts)
        for length in torch.unique(lengths).tolist():
            energies[lengths == length] += log_partition(self.machine, length, steps)[0] if length else 0.0
        return torch.where(lengths > 0, energies, torch.zeros_like(energies))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure texts that were not trained on."""
        self._measure(batch[1], 200)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the test texts."""
        self._measure(batch[1], 1000)

    def _measure(self, counts: Tensor, steps: int) -> None:
        counts = counts[counts.sum(1) > 0]
        if len(counts):
            nats = self.nll(counts, steps)
            self.record(nll=nats.mean(), perplexity=(nats / counts.sum(1)).mean().exp())

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden)."""
        hidden: Tensor = self(batch[1])
        return hidden

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the topics."""
        weight = self.machine.weight.detach()
        order = weight.norm(dim=0).argsort(descending=True)
        best = weight.T[order].topk(min(SHOWN, len(self.words)), 1).indices.tolist()
        rows = [[int(unit), " ".join(self.words[word] for word in row)] for unit, row in zip(order, best, strict=True)]
        return {"topics": Table(["hidden unit", "words"], rows)}

    def generate(self, text: str = "", n: int = 10) -> Text:
        """Say which words go with others.

        Args:
            text: Words, with spaces between them; none for the most frequent words.
            n: How many words to give.
        """
        counts = count_asked(text, self.words).to(self.device)
        likely = self.machine.log_words(self(counts))[0].masked_fill(counts[0] > 0, -torch.inf)
        best = likely.exp().topk(min(n, len(self.words)))
        found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return Text("\n".join(f"{self.words[word]} {chance:.1%}" for chance, word in found))
