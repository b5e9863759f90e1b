"""Two language models, linearly interpolated."""

import math
from typing import Any

import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.model import Parts
from dlplug.trained import load_offered, load_trained
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import GradientFreeLM, LanguageModel, State

ROUNDS = 100  # of expectation maximisation, for one weight


class InterpolatedLM(GradientFreeLM):
    """The weighted mean of the probabilities of two trained language models, such as an ``rnn-lm`` and a ``markov``.

    They err in different places: the n-gram model knows phrases by heart, the network generalises to what it never saw
    in these words. Training chooses one number, the weight of the first, on the validation text (by expectation
    maximisation); both models stay as they are, and are kept in the checkpoint. On one process.

    Args:
        first: Run folder of a language model.
        second: Run folder of another, trained on the same data.
    """

    def __init__(self, first: str = "", second: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.runs = (first, second)
        self._kept: list[dict[str, Any]] = []

    def build_layers(self, vocabulary: Vocabulary) -> None:
        """Load the two, from the checkpoint or from their runs."""
        self.parts = torch.nn.ModuleList([_restore(p) for p in self._kept] or [_load(run) for run in self.runs])
        for part, run in zip(self._both(), self.runs, strict=True):
            if part.vocabulary.to_json() != vocabulary.to_json():
                raise ValueError(f"{run} was trained on other data: its vocabulary is another")
        self.register_buffer("weight", torch.tensor(0.5))
        self.weight: Tensor
        self._losses: list[Tensor] = []
        self._characters = 0

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Do nothing: the weight is chosen in validation."""

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time); the state is that of both."""
        losses, state = self._separate_losses(tokens, targets, state)
        return self._interpolate(losses), state

    def next_logits(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return log-probabilities of what follows the last token."""
        found = [p.next_logits(tokens, s) for p, s in zip(self._both(), state or ((), ()), strict=True)]
        nats = torch.stack([-logits.double().log_softmax(1) for logits, _ in found])
        return -self._interpolate(nats), tuple(after for _, after in found)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the losses of the two."""
        tokens, targets = batch
        losses, self._eval_state = self._separate_losses(tokens, targets, self._eval_state if batch_idx else ())
        self._losses.append(losses.flatten(1))
        self._characters += int(self.lengths[targets].sum())

    def on_validation_epoch_end(self) -> None:
        """Choose the weight, and log the loss with it."""
        losses = torch.cat(self._losses, dim=1)  # (2, tokens)
        self._losses = []
        likelihoods = (losses.min(0).values - losses).exp()  # (2, tokens), relative to the likelier one
        # Exercise: expectation maximisation: how likely each token is of the first, and the mean of that.
        for _ in range(ROUNDS):
            first, second = self.weight * likelihoods[0], (1 - self.weight) * likelihoods[1]
            self.weight.copy_((first / (first + second)).mean())
        # end
        mixed = self._interpolate(losses)
        self.mean_loss.update(mixed.mean())
        self.mean_bits.update(mixed.sum() / self._characters / math.log(2))
        self._characters = 0
        self.log("val/weight", self.weight)
        super().on_validation_epoch_end()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure with the weight that validation chose."""
        super().validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log what was measured."""
        super().on_validation_epoch_end()

    def export_parts(self, batch: Batch) -> Parts:
        """Refuse."""
        raise InputError("mixture has no network of its own to export: export the runs of its two models")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what restores the two."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["parts"] = [_keep(part) for part in self._both()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the two."""
        self._kept = checkpoint["parts"]
        super().on_load_checkpoint(checkpoint)

    def _both(self) -> list[Any]:
        return list(self.parts)

    def _separate_losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        found = [p.losses(tokens, targets, s) for p, s in zip(self._both(), state or ((), ()), strict=True)]
        return torch.stack([losses for losses, _ in found]), tuple(after for _, after in found)

    def _interpolate(self, nats: Tensor) -> Tensor:
        """Interpolate negative log-probabilities of shape (2, …)."""
        # Exercise: the negative logarithm of the weighted mean of the two probabilities.
        weights = torch.stack([self.weight, 1 - self.weight]).log().view(2, *[1] * (nats.dim() - 1))
        return -(weights - nats).logsumexp(0)


def _load(path: str) -> LanguageModel:
    """Return the trained model of a run folder."""
    if not path:
        raise InputError("mixture needs two runs: --model.first RUN --model.second RUN")
    model = load_trained(path)
    if not isinstance(model, LanguageModel):
        raise InputError(f"{path} is not a run of a language model")
    return model


def _keep(part: LanguageModel) -> dict[str, Any]:
    """Return what restores a model, except for its weights, as plain data and tensors."""
    options = {name: value for name, value in part.hparams.items() if not name.startswith("_")}
    kept = {"class_path": f"{type(part).__module__}.{type(part).__qualname__}", "options": options}
    part.on_save_checkpoint(kept)
    return kept


def _restore(kept: dict[str, Any]) -> Any:
    part: Any = load_offered(kept["class_path"], LanguageModel)(**kept["options"])
    part.on_load_checkpoint(kept)
    return part.eval()
