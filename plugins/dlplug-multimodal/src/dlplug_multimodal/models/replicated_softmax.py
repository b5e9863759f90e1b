"""A topic model that is a restricted Boltzmann machine: section 5.5 of the notes."""

from typing import Any

import torch
from torch import Tensor

from dlplug import Panel
from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.media import Media, Table, Text
from dlplug.model import Parts, mean_over_processes
from dlplug_multimodal.data.tagged_images import TaggedImageInfo, count_query_words
from dlplug_multimodal.evaluation.retrieval import most_likely
from dlplug_multimodal.models.boltzmann import ENERGY_PANEL, LIKELIHOOD_PANEL, SingleRBM
from dlplug_multimodal.nn.ais import log_partition
from dlplug_multimodal.nn.rbm import ReplicatedSoftmaxRBM

TOP_WORDS = 8  # of a topic


class ReplicatedSoftmax(SingleRBM):
    """Binary hidden units, the topics, that explain counts of words: the Replicated Softmax.

    It is a family of machines that share their weights, one for each length of a text. Salakhutdinov and Hinton,
    "Replicated Softmax: an Undirected Topic Model" (2009); section 5.5 of the notes.

    Fits the words of tagged images. Logs ``nll``, nats a text as a sequence of words, and for images not trained on
    ``perplexity``, exp(the mean over texts of nats a word); while training the mean free energies of data and chains.
    """

    machine: ReplicatedSoftmaxRBM
    monitor = ("val/nll", "min")
    panels = (
        LIKELIHOOD_PANEL,
        Panel(
            "Learning",
            "Perplexity",
            "exp(nats a word): the number of equally likely words that is as uncertain. Healthy: falls far below the "
            "number of words. Broken: stays at that of the words' frequencies.",
            curves=("perplexity",),
            expect=("perplexity falls",),
        ),
        ENERGY_PANEL,
        Panel(
            "Words",
            "Topics",
            "The words that each hidden unit, strongest first, makes most likely. Healthy: words of one topic.",
            media="topics",
        ),
    )

    def __init__(self, hidden: int = 64, chains: int = 0, lr: float = 0.05, **kwargs: Any) -> None:
        super().__init__(hidden, chains, lr, **kwargs)

    def build(self, info: TaggedImageInfo) -> None:
        """Make the machine."""
        self.words = info.words
        self.machine = ReplicatedSoftmaxRBM(len(info.words), self.hidden)

    def initialise(self) -> None:
        """Set the visible biases to the words' log-frequencies, smoothed for words that training lacks."""
        [frequency] = mean_over_processes([torch.cat([counts for _, counts in self.train_batches()]).mean(0)])
        self.machine.visible_bias.data.copy_((frequency + 1 / len(frequency)).log())

    def visible(self, batch: Batch) -> Tensor:
        """Return the counts of words."""
        if len(batch) < 2:
            raise InputError("replicated-softmax reads words, not images")
        return batch[1]

    def forward(self, counts: Tensor) -> Tensor:
        """Return the hidden units' probabilities, shape (n, hidden), given counts of words (n, words)."""
        # Exercise: the sigmoid of what the hidden units get.
        return self.machine.hidden_logits(counts).sigmoid()

    def export_parts(self, batch: Batch) -> Parts:
        """Return the inference of hidden units."""
        return {"network": (lambda counts: {"hidden": self(counts)}, {"counts": self.visible(batch)}, {})}

    def nll(self, counts: Tensor, steps: int) -> Tensor:
        """Return nats, shape (n,), of counts (n, words), the partition function of each length estimated in steps."""
        lengths = counts.sum(1)
        energies = self.machine.free_energy(counts)
        for length in torch.unique(lengths).tolist():
            energies[lengths == length] += log_partition(self.machine, length, steps)[0] if length else 0.0
        return torch.where(lengths > 0, energies, torch.zeros_like(energies))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the likelihood of texts that have words; a test takes more steps."""
        counts = batch[1][batch[1].sum(1) > 0]
        if len(counts):
            nats = self.nll(counts, 1000 if self.stage == "test" else 200)
            self.record(nll=nats.mean(), perplexity=(nats / counts.sum(1)).mean().exp())

    def showcase(self, batch: Batch) -> dict[str, Media]:
        """Show the topics."""
        weight = self.machine.weight.detach()
        order = weight.norm(dim=0).argsort(descending=True)
        best = weight.T[order].topk(min(TOP_WORDS, len(self.words)), 1).indices.tolist()
        rows = [[int(unit), " ".join(self.words[word] for word in row)] for unit, row in zip(order, best, strict=True)]
        return {"topics": Table(["hidden unit", "words"], rows)}

    def generate(self, text: str = "", n: int = 10) -> Text:
        """Name words that are likely beside others.

        Args:
            text: Words, with spaces between them; none for the most frequent words.
            n: How many words.
        """
        counts = count_query_words(text, self.words).to(self.device)
        log_probs = self.machine.word_log_probs(self(counts))[0].masked_fill(counts[0] > 0, -torch.inf)
        return Text("\n".join(most_likely(log_probs.exp(), self.words, n)))
