"""A model's dashboard as plain data: the HTML report and W&B draw the same."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

STAGES = ("train", "val", "test")  # what the names of metrics start with
STAGE = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
WORD = rf"(?P<stage>{'|'.join([*STAGES, *STAGE])})"
# Compiled where they are used: this module is imported on every command.
STAGED = (rf"{WORD}[/_.-](?P<name>.+)", rf"(?P<name>.+)[/_.-]{WORD}")
RULE = r"(?P<metric>\S+) (?:(?P<way>falls|rises)|(?P<sign>[<>]) (?P<bound>\S+))"  # see Panel.expect
# By what a validation is best where the model does not say, the first that was logged.
DEFAULT_MONITORS = dict.fromkeys(("loss", "nll", "perplexity"), "min")
DEFAULT_MONITORS |= dict.fromkeys(
    ("acc", "accuracy", "f1", "auroc", "auc", "iou", "map", "r2", "bleu", "exact_match"), "max"
)
DEFAULT_MONITORS |= dict.fromkeys(("error", "mse", "rmse", "mae"), "min")


@dataclass(frozen=True)
class Panel:
    """One panel: curves on one plot, or one medium over time.

    Attributes:
        section: Heading that it stands under; panels of a section follow each other.
        title: What it is called.
        note: What it measures, and what healthy and broken look like; one or two sentences.
        curves: Names of metrics without their stage, as ``record`` takes them: ``"loss"`` draws ``train/loss``,
            ``val/loss`` and ``test/loss`` where they were logged.
        media: Key of what ``showcase`` gives, in a panel that has no curves.
        expect: What the note calls healthy, as far as a rule can say it; the report says which rules a run does not
            keep. A rule is ``"loss falls"``, ``"accuracy rises"`` (and does not turn back by more than a quarter of the
            way), ``"ece < 0.03"`` or ``"accuracy > image_accuracy"`` (at the end). It is about every stage that was
            logged, unless it names one, as ``"val/loss falls"`` does.
    """

    section: str
    title: str
    note: str
    curves: tuple[str, ...] = ()
    media: str = ""
    expect: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.curves) == bool(self.media):
            raise ValueError(f"panel {self.title!r} needs either curves or media")
        texts = (self.section, self.title, self.note, self.media, *self.curves, *self.expect)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"panel {self.title!r} holds more than text")
        for rule in self.expect:
            found = re.fullmatch(RULE, rule)
            if not found or not {found["metric"], split_stage(found["metric"])[1]} & {*self.curves}:
                raise ValueError(f"panel {self.title!r} expects {rule!r}: not a rule, or not of one of its curves")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Panel":
        """Return what ``to_dict`` was called on."""
        return cls(**{**plain, **{name: tuple(plain.get(name, ())) for name in ("curves", "expect")}})


COMMON = (
    Panel(
        "Training",
        "Gradient norm",
        "Euclidean norm of the gradient of all weights. Healthy: settles or falls slowly; it may rise where a plateau "
        "of the loss ends. Broken: grows without end (exploding), sticks near zero (vanished), or is not a number.",
        curves=("grad_norm",),
    ),
    Panel(
        "Training",
        "Learning rate",
        "The learning rate in use. Healthy: the schedule that was asked for.",
        curves=("lr",),
    ),
)


def split_stage(column: str) -> tuple[str, str]:
    """Return a metric's stage and its name without it, however a LightningModule writes the two.

    Args:
        column: Such as ``"val/loss"``, ``"train_loss"``, ``"loss/train"`` or ``"valid_acc_epoch"``.

    Returns:
        One of ``STAGES``, or nothing where the name has none; and the name.
    """
    for shape in STAGED:
        if found := re.fullmatch(shape, column, re.IGNORECASE):
            word = found["stage"].lower()
            return STAGE.get(word, word), found["name"].removesuffix("_epoch")
    return "", column.removesuffix("_epoch")


def find_monitor(said: object, columns: Iterable[str]) -> tuple[str, str] | None:
    """Return the metric that says which checkpoint is best, and whether its ``"min"`` or ``"max"`` is; None for none.

    Args:
        said: These two, or ``"default"`` of a model that says nothing: the first that is known of the columns.
        columns: The names of what was logged.
    """
    match said:
        case [str(column), ("min" | "max") as best]:
            return column, best
    names = {split_stage(column)[1].lower(): column for column in columns if split_stage(column)[0] == "val"}
    known = DEFAULT_MONITORS.items() if said == "default" else ()
    return next(((names[name], best) for name, best in known if name in names), None)
