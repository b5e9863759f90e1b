"""Two language models mixed."""

import math
from typing import Any

import torch
from torch import Tensor

from dlplug.data import Batch
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.job import model_of
from dlplug.registry.source import load_class
from dlplug.runs import Run
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_sequence.models.language_model import LanguageModel, State

ROUNDS = 100  # of expectation and maximisation, for one weight


class Mixture(LanguageModel):
    """The weighted mean of what two trained language models say, such as an ``rnn-lm`` and a ``markov``.

    They err in different places: the n-gram knows phrases by heart, the network what it never saw in these words.
    Training chooses one number, the first one's weight, on the validation text (by expectation and maximisation); both
    models stay as they are, and are kept in the checkpoint. On one process.

    Args:
        first: Run folder of a language model.
        second: Run folder of another, trained on the same data.
    """

    def __init__(self, first: str = "", second: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.runs = (first, second)
        self._kept: list[dict[str, Any]] = []

    def prepare(self, vocabulary: Vocabulary) -> None:
        """Load the two, from their runs or from the checkpoint."""
        self.parts = torch.nn.ModuleList([_restore(p) for p in self._kept] or [_load(run) for run in self.runs])
        for part, run in zip(self._both(), self.runs, strict=True):
            if part.vocabulary.to_json() != vocabulary.to_json():
                raise ValueError(f"{run} was trained on other data: its vocabulary is another")
        self.register_buffer("weight", torch.tensor(0.5))
        self.weight: Tensor
        self._losses: list[Tensor] = []
        self._characters = 0

    def setup(self, stage: str) -> None:
        """Ask for one process."""
        if self.trainer.world_size > 1:
            raise InputError("mixture has nothing that several processes could share: --trainer.devices 1")

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return none."""
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Learn nothing: what is chosen, validation chooses."""

    def losses(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Return nats (n, time); the state is that of both."""
        losses, state = self._apart(tokens, targets, state)
        return self._mixed(losses), state

    def read_on(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return log-probabilities of what follows the last token."""
        found = [p.read_on(tokens, s) for p, s in zip(self._both(), state or ((), ()), strict=True)]
        nats = torch.stack([-scores.double().log_softmax(1) for scores, _ in found])
        return -self._mixed(nats), tuple(after for _, after in found)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the two, and keep it."""
        tokens, targets = batch
        losses, self._evaluated = self._apart(tokens, targets, self._evaluated if batch_idx else ())
        self._losses.append(losses.flatten(1))
        self._characters += int(self.lengths[targets].sum())

    def on_validation_epoch_end(self) -> None:
        """Choose the weight, and log what it gives."""
        losses = torch.cat(self._losses, dim=1)  # (2, tokens)
        self._losses = []
        likely = (losses.min(0).values - losses).exp()  # (2, tokens), the likelier one 1
        for _ in range(ROUNDS):
            share = self.weight * likely[0] / (self.weight * likely[0] + (1 - self.weight) * likely[1])
            self.weight.copy_(share.mean())
        mixed = self._mixed(losses)
        self.mean_loss.update(mixed.mean())
        self.mean_bits.update(mixed.sum() / self._characters / math.log(2))
        self._characters = 0
        self.log("val/weight", self.weight)
        super().on_validation_epoch_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what makes the two."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["parts"] = [_keep(part) for part in self._both()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the two anew."""
        self._kept = checkpoint["parts"]
        super().on_load_checkpoint(checkpoint)

    def _both(self) -> list[Any]:
        return list(self.parts)

    def _apart(self, tokens: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        found = [p.losses(tokens, targets, s) for p, s in zip(self._both(), state or ((), ()), strict=True)]
        return torch.stack([losses for losses, _ in found]), tuple(after for _, after in found)

    def _mixed(self, nats: Tensor) -> Tensor:
        """Mix nats of shape (2, …)."""
        weights = torch.stack([self.weight, 1 - self.weight]).log().view(2, *[1] * (nats.dim() - 1))
        return -(weights - nats).logsumexp(0)


def _load(path: str) -> Any:
    """Return the trained model of a run folder."""
    if not path:
        raise InputError("a mixture needs two runs: --model.first RUN --model.second RUN")
    run = Run.open(path)
    found = load_class(model_of(run, Registry.discover()), LanguageModel)
    return found.load_from_checkpoint(run.trained, map_location="cpu", weights_only=True).eval()  # type: ignore[attr-defined]


def _keep(part: LanguageModel) -> dict[str, Any]:
    """Return what makes a model anew, but for its weights, as plain data and tensors."""
    options = {name: value for name, value in part.hparams.items() if not name.startswith("_")}
    kept = {"class_path": f"{type(part).__module__}.{type(part).__qualname__}", "options": options}
    part.on_save_checkpoint(kept)
    return kept


def _restore(kept: dict[str, Any]) -> Any:
    part: Any = load_class(kept["class_path"], LanguageModel)(**kept["options"])
    part.on_load_checkpoint(kept)
    return part.eval()
