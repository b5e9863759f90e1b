"""A model's dashboard as plain data: the HTML report and W&B draw the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

STAGES = ("train", "val", "test")  # what the names of metrics start with


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
    """

    section: str
    title: str
    note: str
    curves: tuple[str, ...] = ()
    media: str = ""

    def __post_init__(self) -> None:
        if bool(self.curves) == bool(self.media):
            raise ValueError(f"panel {self.title!r} needs either curves or media")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Panel":
        """Return what ``to_dict`` was called on."""
        return cls(**{**plain, "curves": tuple(plain.get("curves", ()))})


COMMON = (
    Panel(
        "Training",
        "Gradient norm",
        "Euclidean norm of the gradient of all weights. Healthy: settles or falls slowly. Broken: grows without end "
        "(exploding), sticks near zero (vanished), or is not a number.",
        curves=("grad_norm",),
    ),
    Panel(
        "Training",
        "Learning rate",
        "The learning rate in use. Healthy: the schedule that was asked for.",
        curves=("lr",),
    ),
)
