"""A language model that counts."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import LanguageModel, State
from dlplug_sequence.models.ngram import Grams, NGrams, Smoothing


class Markov(LanguageModel):
    """The next token depends on the few before it alone, and how, is counted: an n-gram model.

    The Markov assumption of section 2.1, for any number of tokens. Training is one pass that counts; there is nothing
    to optimise. Counts of all lengths up to ``order`` are mixed, since most long contexts were never seen.

    It counts on one process: of several devices it asks for one.

    Args:
        order: Tokens of the longest n-gram: it looks at ``order`` - 1 tokens to guess one. 2 is a Markov chain.
        smoothing: ``kneser-ney``, modified and interpolated (Chen and Goodman, 1998); ``witten-bell`` (Bell, Cleary and
            Witten, 1990).
    """

    def __init__(self, order: int = 8, smoothing: Smoothing = "kneser-ney") -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}")
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.order, self.smoothing = order, smoothing

    def prepare(self, vocabulary: Vocabulary) -> None:
        """Start with nothing counted: each token is as likely."""
        self.ngrams = NGrams(len(vocabulary), [])
        self._read: list[Tensor] = []

    def setup(self, stage: str) -> None:
        """Ask for one process."""
        if self.trainer.world_size > 1:
            raise InputError("markov counts on one process, and has no gradients to share: --trainer.devices 1")

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return none."""
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the tokens; count after the epoch's last batch."""
        tokens, targets = (part.to(torch.int32) for part in batch)
        self._read.append(tokens)
        if self.trainer.is_last_batch:
            # A row goes on in the next batch, and the next row starts where a row ends: they are one text.
            rows = torch.cat(self._read, dim=1).flatten()
            self.count(torch.cat([rows, targets[-1, -1:]]))
            self._read = []

    def count(self, tokens: Tensor) -> None:
        """Count a text, shape (tokens,)."""
        if len(tokens) < self.order:
            raise InputError(f"a text of {len(tokens)} tokens has no n-gram of order {self.order}")
        self.ngrams = NGrams.count(tokens.cpu().numpy(), len(self.vocabulary), self.order, self.smoothing)

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time); the state is the last tokens."""
        past = self._past(tokens, state)
        rows = torch.cat([past, targets[:, -1:]], dim=1)
        found = self.ngrams.probabilities(rows.cpu().numpy())[:, -targets.shape[1] :]
        return -torch.from_numpy(found).log().float().to(targets.device), (self._last(past),)

    def read_on(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return log-probabilities of what follows the last tokens."""
        last = self._last(self._past(tokens, state))
        found = np.stack([self.ngrams.distribution(row) for row in last.cpu().numpy()])
        return torch.from_numpy(found).log().to(tokens.device), (last,)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts beside the weights, of which there are none."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["ngrams"] = [
            [torch.from_numpy(part) for part in (grams.keys, grams.probability, grams.rest)]
            for grams in self.ngrams.levels
        ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the counts back."""
        super().on_load_checkpoint(checkpoint)
        self.ngrams.levels = [Grams(*(part.numpy() for part in parts)) for parts in checkpoint["ngrams"]]

    def _past(self, tokens: Tensor, state: State) -> Tensor:
        return torch.cat([*state, tokens], dim=1)

    def _last(self, tokens: Tensor) -> Tensor:
        return tokens[:, max(0, tokens.shape[1] - self.order + 1) :]
