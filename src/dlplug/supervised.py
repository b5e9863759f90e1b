"""Models that learn targets, and what a kind of target costs, how it is measured, and how it is said."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, MetricCollection, R2Score
from torchmetrics.classification import (
    MulticlassConfusionMatrix,
    MultilabelAveragePrecision,
    MultilabelConfusionMatrix,
    MultilabelExactMatch,
    MultilabelF1Score,
)

from dlplug.console import first_few, say
from dlplug.data import Batch, Target, class_weights, training_targets
from dlplug.errors import InputError
from dlplug.media import Figure, Media, Table
from dlplug.model import rank
from dlplug.optim import WarmupCosine
from dlplug.panels import Panel
from dlplug.plots import plot_confusion_matrix, plot_regression

SHARED = ("labels", "item", "error")  # names of columns of predictions that are something else
LABEL_PANELS = (
    Panel(
        "Learning",
        "Loss",
        "Binary cross-entropy in nats, the mean over labels; guessing costs ln 2 = 0.69. Healthy: both curves fall and "
        "stay together. Broken: train falls while val rises (overfitting), or neither falls.",
        curves=("loss",),
        expect=("loss falls",),
    ),
    Panel(
        "Learning",
        "Labels",
        "Macro F1, mean average precision (of labels that occur), and the share of items whose labels are all right. "
        "Healthy: they rise to a plateau. Broken: high precision and F1 near 0 (rare labels never pass one half).",
        curves=("f1", "map", "exact_match"),
        expect=("map rises",),
    ),
    Panel(
        "Mistakes",
        "Each label",
        "Of the validation items: how many have a label, how many are given it, and how many of both agree. Healthy: "
        "high recall and precision. Broken: labels that are never given.",
        media="labels",
    ),
    Panel(
        "Mistakes",
        "Worst mistakes",
        "The validation items of highest loss whose labels are not all right. Healthy: you would hesitate too.",
        media="mistakes",
    ),
)


class _R2(R2Score):
    """R², which torchmetrics refuses to tell of a single item: that would end a run of tiny validation data."""

    def compute(self) -> Tensor:
        return super().compute() if self.total > 1 else torch.full((), torch.nan, device=self.device)


NUMBER_METRICS: dict[str, Callable[[], Metric]] = {
    "mae": MeanAbsoluteError,
    "rmse": lambda: MeanSquaredError(squared=False),
    "r2": _R2,
}


class Objective(nn.Module, ABC):
    """What a kind of target costs, how it is measured, and how it is said.

    Args:
        names: Of the classes, labels or numbers.
        metrics: What is measured over all items.
    """

    panels: tuple[Panel, ...] = ()

    def __init__(self, names: Sequence[str], metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.metrics = MetricCollection(dict(metrics))
        self.weights: Tensor | None = None
        self.counts: Tensor | None = None  # confusion matrices, once something was measured

    def start(self, data: object, balanced: bool, device: torch.device) -> None:
        """Say how many training items each class or label has, and weigh them by that where it is asked for."""
        weights = class_weights(data, self.names)
        if balanced and weights is None:
            raise InputError("class_weights balanced: these data do not tell beforehand what the training items are")
        self.weights = None if weights is None or not balanced else weights.to(device)

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss in training, a scalar."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each item's loss, shape (n,)."""

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Return probabilities, or numbers in the targets' units, shape (n, names)."""

    @abstractmethod
    def columns(self, outputs: Tensor, top: int) -> dict[str, Any]:
        """Return what ``predict_step`` says of outputs (n, names)."""

    @abstractmethod
    def is_wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each item is a mistake, shape (n,)."""

    @abstractmethod
    def say(self, output: Tensor) -> tuple[str, str]:
        """Return what is predicted of an item from its outputs (names,), and how sure that is."""

    @abstractmethod
    def say_true(self, target: Tensor) -> str:
        """Return an item's target in words."""

    @abstractmethod
    def show(self, outputs: Tensor, targets: Tensor) -> dict[str, Media]:
        """Return what was measured last as figures and tables, or the predictions of a batch."""

    def measured(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return what is recorded of a training batch besides the loss."""
        return {}

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Measure a batch."""
        self.metrics.update(outputs, targets)

    def compute(self) -> dict[str, Tensor]:
        """Return what was measured over all items, those of other processes included, and begin anew."""
        values: dict[str, Tensor] = self.metrics.compute()
        self.metrics.reset()
        self.counts = values.pop("confusion", None)
        return values

    def say_best(self, output: Tensor, n: int) -> str:
        """Return the n likeliest classes or labels of an item, with their probabilities."""
        best = self.predictions(output[None])[0].topk(min(n, len(self.names)))
        named = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return ", ".join(f"{self.names[index]} {share:.1%}" for share, index in named)


class ClassObjective(Objective):
    """One class an item: cross-entropy.

    Args:
        names: Of the classes.
        scores: The metrics, by name, as makers that take the number of classes.
    """

    def __init__(self, names: Sequence[str], scores: Mapping[str, Callable[..., Metric]]) -> None:
        makers = {**scores, "confusion": MulticlassConfusionMatrix}
        super().__init__(names, {k: make(num_classes=len(names), validate_args=False) for k, make in makers.items()})

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy in nats."""
        return cross_entropy(outputs, targets, self.weights)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each item's cross-entropy."""
        return cross_entropy(outputs, targets, reduction="none")

    def measured(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the accuracy."""
        return {"accuracy": (outputs.detach().argmax(1) == targets).float().mean()}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the classes' probabilities."""
        return outputs.float().softmax(1)

    def columns(self, outputs: Tensor, top: int) -> dict[str, Any]:
        """Return the likeliest classes and their probabilities."""
        return rank(self.predictions(outputs), self.names, top)

    def is_wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether the likeliest class is another one."""
        return outputs.argmax(1) != targets

    def say(self, output: Tensor) -> tuple[str, str]:
        """Return the likeliest class and its probability."""
        share, index = self.predictions(output[None])[0].max(0)
        return self.names[int(index)], f"{share:.0%}"

    def say_true(self, target: Tensor) -> str:
        """Return the class."""
        return self.names[int(target)]

    def show(self, outputs: Tensor, targets: Tensor) -> dict[str, Media]:
        """Return the confusion matrix."""
        return (
            {} if self.counts is None else {"confusion": Figure(plot_confusion_matrix(self.counts.cpu(), self.names))}
        )


class LabelsObjective(Objective):
    """Several labels an item, each there or not: binary cross-entropy of logits.

    Measures macro ``f1``, ``map``, the mean average precision, and ``exact_match``, the share of items whose labels are
    all right (subset accuracy). A label is given that is likelier than not.
    """

    panels = LABEL_PANELS

    def __init__(self, names: Sequence[str]) -> None:
        options: dict[str, Any] = {"num_labels": len(names), "validate_args": False}
        metrics = {
            "f1": MultilabelF1Score(average="macro", **options),
            "map": MultilabelAveragePrecision(average="macro", **options),
            "exact_match": MultilabelExactMatch(**options),
            "confusion": MultilabelConfusionMatrix(**options),
        }
        super().__init__(names, metrics)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross-entropy in nats, the mean over labels."""
        return binary_cross_entropy_with_logits(outputs, targets, pos_weight=self.weights)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each item's binary cross-entropy."""
        return binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Measure a batch; torchmetrics would take logits that are all from 0 to 1 for probabilities."""
        self.metrics.update(self.predictions(outputs), targets.long())

    def compute(self) -> dict[str, Tensor]:
        """Return what was measured; labels that no item has are left out of ``map``, without two warnings each time."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(Average precision score|No positive samples)")
            return super().compute()

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the labels' probabilities."""
        return outputs.float().sigmoid()

    def columns(self, outputs: Tensor, top: int) -> dict[str, Any]:
        """Return the labels that are given, and the probability of each."""
        _refuse_ranks(top, "labels")
        given = [self.say(output)[0] for output in outputs]
        shares = zip(self.names, self.predictions(outputs).T, strict=True)
        return {"labels": given, **{_column(name): share for name, share in shares}}

    def is_wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether the labels are not all right."""
        return ((outputs > 0) != (targets > 0)).any(1)

    def say(self, output: Tensor) -> tuple[str, str]:
        """Return the labels that are given, and their probabilities."""
        shares = [
            (n, p) for n, p in zip(self.names, self.predictions(output[None])[0].tolist(), strict=True) if p > 0.5
        ]
        return "; ".join(name for name, _ in shares), "; ".join(f"{share:.0%}" for _, share in shares)

    def say_true(self, target: Tensor) -> str:
        """Return the labels."""
        return "; ".join(name for name, there in zip(self.names, target.tolist(), strict=True) if there)

    def show(self, outputs: Tensor, targets: Tensor) -> dict[str, Media]:
        """Return how each label fares."""
        rows = []
        for name, counts in zip(self.names, self.counts if self.counts is not None else (), strict=False):
            (_, false), (missed, right) = counts.tolist()  # by what is true, and then by what is given
            shares = (f"{right / n:.0%}" if n else "" for n in (right + missed, right + false))
            rows.append((name, right + missed, right + false, right, *shares))
        return {"labels": Table(("label", "items", "given", "right", "recall", "precision"), rows)}


class NumberObjective(Objective):
    """One number an item, or several: the mean squared error of numbers standardised by the training data.

    Measures ``mae`` and ``rmse`` in the targets' units and ``r2``, each by column where there are several. Of two items
    at least: ``r2`` of one is not a number.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        self._keys = [(kind, place) for kind in NUMBER_METRICS for place in range(len(names))]
        super().__init__(names, {f"{kind}_{place}": NUMBER_METRICS[kind]() for kind, place in self._keys})
        self.register_buffer("mean", torch.zeros(len(names)))
        self.register_buffer("std", torch.ones(len(names)))
        self.panels = (
            Panel(
                "Learning",
                "Loss",
                "Mean squared error of standardised numbers: predicting the mean costs about 1. Healthy: both curves "
                "fall and stay together. Broken: train falls while val rises (overfitting), or both stay at 1.",
                curves=("loss",),
                expect=("loss falls",),
            ),
            Panel(
                "Learning",
                "Errors",
                "Mean absolute error and root of the mean squared error, in the units of the data. Healthy: they fall "
                "to what you can accept. Broken: RMSE far above MAE (a few items are far off).",
                curves=tuple(self._name(*key) for key in self._keys if key[0] != "r2"),
            ),
            Panel(
                "Learning",
                "R²",
                "Share of the variance that is explained; predicting the mean has 0. Healthy: rises towards 1. "
                "Broken: stays at 0 or below.",
                curves=tuple(self._name(*key) for key in self._keys if key[0] == "r2"),
            ),
            Panel(
                "Mistakes",
                "Predictions",
                f"Validation items: the target and the prediction{', of nine numbers' if len(names) > 9 else ''}. "
                "Healthy: on the line. Broken: all predictions alike.",
                media="answers",
            ),
            Panel(
                "Mistakes",
                "Worst mistakes",
                "The validation items that are furthest off. Healthy: odd items. Broken: wrong numbers in the data.",
                media="mistakes",
            ),
        )

    def start(self, data: object, balanced: bool, device: torch.device) -> None:
        """Say where the training numbers lie."""
        targets = training_targets(data)
        if targets is not None:
            ends = torch.stack([targets.min(0).values, targets.max(0).values, targets.mean(0)], 1)  # (names, 3)
            columns = zip(self.names, ends.tolist(), strict=True)
            named = ["{} from {} to {}, mean {}".format(name, *map(_decimal, numbers)) for name, numbers in columns]
            say(f"training items: {len(targets):,}; {first_few(named, '; ')}")

    def standardise(self, targets: Tensor) -> None:
        """Learn mean and standard deviation of training numbers (n, names)."""
        std, mean = torch.std_mean(targets.double(), 0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, 1.0))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of standardised numbers."""
        return mse_loss(outputs.float(), (targets - self.mean) / self.std)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each item's squared error, the mean over its numbers."""
        return mse_loss(outputs.float(), (targets - self.mean) / self.std, reduction="none").mean(1)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Measure a batch: standardised, since sums of squares of large numbers lose the digits that matter."""
        true = (targets - self.mean) / self.std
        for kind, place in self._keys:
            self.metrics[f"{kind}_{place}"].update(outputs[:, place].contiguous(), true[:, place].contiguous())

    def compute(self) -> dict[str, Tensor]:
        """Return what was measured, in the targets' units."""
        values = super().compute()
        units = {key: 1.0 if key[0] == "r2" else self.std[key[1]] for key in self._keys}
        return {self._name(kind, place): values[f"{kind}_{place}"] * unit for (kind, place), unit in units.items()}

    def _name(self, kind: str, place: int) -> str:
        return kind if len(self.names) == 1 else f"{kind}_{self.names[place]}"

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return numbers in the targets' units."""
        return outputs.float() * self.std + self.mean

    def columns(self, outputs: Tensor, top: int) -> dict[str, Any]:
        """Return the numbers."""
        _refuse_ranks(top, "numbers")
        return {_column(name): column for name, column in zip(self.names, self.predictions(outputs).T, strict=True)}

    def is_wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return that every item is off."""
        return torch.ones(len(outputs), dtype=torch.bool, device=outputs.device)

    def say(self, output: Tensor) -> tuple[str, str]:
        """Return the numbers, with no word about how sure they are."""
        return self.say_true(self.predictions(output[None])[0]), ""

    def say_true(self, target: Tensor) -> str:
        """Return the numbers."""
        return "; ".join(map(_decimal, target.tolist()))

    def say_best(self, output: Tensor, n: int) -> str:
        """Return all numbers by name."""
        numbers = zip(self.names, self.predictions(output[None])[0].tolist(), strict=True)
        return ", ".join(f"{name} {_decimal(number)}" for name, number in numbers)

    def show(self, outputs: Tensor, targets: Tensor) -> dict[str, Media]:
        """Return a batch's predictions against its targets."""
        return {"answers": Figure(plot_regression(targets.cpu(), self.predictions(outputs).cpu(), self.names))}


def _decimal(number: float) -> str:
    return np.format_float_positional(number, precision=6, fractional=False, trim="-")


def _column(name: str) -> str:
    return f"{name}_" if name.rstrip("_") in SHARED else name


def _refuse_ranks(top: int, what: str) -> None:
    if top > 1:
        raise InputError(f"top {top}: {what} are predicted, not ranked")


class Supervised(WarmupCosine, ABC):
    """A network that learns each item's target: a class, some labels of several, or numbers.

    Batches are (inputs, targets, …), targets as ``dlplug.targets.encode_targets`` gives them. A subclass calls
    ``learn`` in ``build``, and makes ``net`` there, from inputs to outputs (n, names).

    Args:
        class_weights: ``balanced`` weights each class's loss in training by its share, so that rare classes count as
            much as frequent ones, and labels that an item has by how rare they are; None weights all alike.

    Attributes:
        net: The network.
        labels: The names of classes, labels or numbers.
        objective: What targets of their kind cost.
        scores: Metrics of classes, by name, as makers that take ``num_classes``.
        most_mistakes: How many mistakes are kept to be shown.
    """

    monitor = ("val/loss", "min")
    top = 1
    scores: ClassVar[Mapping[str, Callable[..., Metric]]]
    most_mistakes: ClassVar[int]
    net: nn.Module
    objective: Objective

    def __init__(self, class_weights: Literal["balanced"] | None = None) -> None:
        super().__init__()
        self.class_weights = class_weights
        self._mistakes: list[tuple[float, Any, Tensor, Tensor]] = []  # loss, what is shown, outputs and target

    def learn(self, target: Target, names: Sequence[str]) -> None:
        """Make what learns targets of a kind.

        Raises:
            ValueError: Numbers have no classes to weigh.
        """
        self.labels = tuple(names)
        if target == "class":
            self.objective = ClassObjective(names, self.scores)
            return
        if target == "number" and self.class_weights:
            raise ValueError("class_weights weighs classes or labels, but numbers are to be learned")
        self.objective = LabelsObjective(names) if target == "labels" else NumberObjective(names)
        # Of the panels of a class those stay that are about the inputs.
        kept = [panel for panel in type(self).panels if panel.media not in ("", "confusion", "mistakes")]
        self.panels = (*self.objective.panels, *kept)  # type: ignore[misc]

    def on_fit_start(self) -> None:
        """Weight classes or labels, and say what the training items' targets are."""
        super().on_fit_start()
        data = getattr(self.trainer, "datamodule", None)
        self.objective.start(data, self.class_weights is not None, self.device)

    def initialise(self) -> None:
        """Learn the units of numbers."""
        if isinstance(self.objective, NumberObjective):
            targets = training_targets(getattr(self.trainer, "datamodule", None))
            if targets is None:
                say("the training numbers are not known beforehand, so they are learned as they are, not standardised")
            else:
                self.objective.standardise(targets)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (n, names) of inputs."""
        outputs: Tensor = self.net(inputs)
        return outputs

    def corrupt(self, inputs: Tensor) -> Tensor:
        """Return what is learned from instead of a batch of training inputs."""
        return inputs

    @abstractmethod
    def shown(self, batch: Batch, index: int) -> Any:
        """Return what is shown of an item of a batch that is a mistake."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss on a batch."""
        # Exercise: the loss that the objective gives the outputs, and record it with what else is measured.
        inputs, targets, *_ = batch
        outputs = self(self.corrupt(inputs))
        loss = self.objective.loss(outputs, targets)
        self.record(loss=loss, **self.objective.measured(outputs, targets))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure, and keep the worst mistakes."""
        inputs, targets, *_ = batch
        outputs = self(inputs).float()  # float: half precision rounds confidences
        losses = self.objective.losses(outputs, targets)
        self.record(loss=losses.mean())
        self.objective.update(outputs, targets)
        wrong = self.objective.is_wrong(outputs, targets).nonzero().squeeze(1)
        worst = wrong[losses[wrong].argsort(descending=True)[: self.most_mistakes]]
        for loss, index in zip(losses[worst].tolist(), worst.tolist(), strict=True):
            if len(self._mistakes) == self.most_mistakes and loss <= self._mistakes[-1][0]:
                break
            self._mistakes.append((loss, self.shown(batch, index), outputs[index].clone(), targets[index].clone()))
            self._mistakes = sorted(self._mistakes, key=lambda mistake: -mistake[0])[: self.most_mistakes]

    def on_validation_epoch_start(self) -> None:
        """Forget the mistakes of the last time."""
        self._mistakes = []

    def on_validation_epoch_end(self) -> None:
        """Log what was measured over all items, those of other processes included."""
        self.log_dict({f"{self.stage}/{name}": value for name, value in self.objective.compute().items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the names of each item's likeliest classes and their probabilities, or its labels, or its numbers."""
        return self.objective.columns(self(batch[0]), self.top)

    def named_outputs(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return what an exported network returns: logits and probabilities, or numbers in the targets' units."""
        outputs = self(inputs)
        predictions = self.objective.predictions(outputs)
        if isinstance(self.objective, NumberObjective):
            return {"numbers": predictions}
        return {"logits": outputs, "probabilities": predictions}

    def mistakes(self) -> list[tuple[Any, str, str, str]]:
        """Return of each mistake what is shown, what is true, what was predicted and how sure that was, worst first."""
        say, say_true = self.objective.say, self.objective.say_true
        return [(item, say_true(target), *say(output)) for _, item, output, target in self._mistakes]
