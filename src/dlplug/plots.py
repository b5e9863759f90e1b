"""Drawings that several lectures show."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure as Drawing
from torch import Tensor

MAX_PLOTS = 9  # more take seconds to draw


def plot_curves(
    x: Sequence[float], curves: Mapping[str, Sequence[float]], across: str, up: str, log: bool = False
) -> Drawing:
    """Draw curves over one axis.

    Args:
        x: Where all of them have points.
        curves: Their heights by the name that the legend gives them.
        across: What the horizontal axis measures.
        up: What the vertical axis measures.
        log: The vertical axis is logarithmic.
    """
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    axes = drawing.add_subplot(xlabel=across, ylabel=up, yscale="log" if log else "linear")
    for name, values in curves.items():
        axes.plot(x, values, marker="o", markersize=3, label=name)
    axes.legend()
    return drawing


def plot_bars(found: Mapping[str, Sequence[float]], across: str, log: bool = False) -> Drawing:
    """Draw a bar as long as the mean of several values, and a dot a value, for each of some names.

    Args:
        found: The values by name; the first is on top.
        across: What the horizontal axis measures.
        log: The horizontal axis is logarithmic.
    """
    drawing = Drawing(figsize=(6, 1 + 0.35 * len(found)), layout="constrained")
    axes = drawing.add_subplot(xlabel=across, xscale="log" if log else "linear")
    for name, values in reversed(list(found.items())):
        axes.barh(name, fmean(values), color="tab:blue")
        axes.plot(values, [name] * len(values), "o", color="black", markersize=3)
    return drawing


def plot_confusion_matrix(counts: Tensor, labels: Sequence[str]) -> Drawing:
    """Draw a confusion matrix.

    Args:
        counts: Shape (classes, classes): how many of a class (rows) were given a class (columns).
        labels: The classes' names.
    """
    classes = len(counts)
    short = max(map(len, labels)) <= 2
    side = min(8.0, 2 + 0.35 * classes + (0 if short else 0.5))
    drawing = Drawing(figsize=(side, side), layout="constrained")
    axes = drawing.add_subplot(xlabel="given class", ylabel="true class")
    axes.imshow((counts / counts.sum(1, keepdim=True).clamp_min(1)).numpy(), cmap="Blues", vmin=0, vmax=1)
    if classes > 20:  # more are too small to read
        return drawing
    axes.set_xticks(range(classes), labels, rotation=0 if short else 45, ha="center" if short else "right")
    axes.set_yticks(range(classes), labels)
    for row, column in counts.nonzero().tolist():
        count = int(counts[row, column])
        colour = "white" if 2 * count > int(counts[row].sum()) else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, size=8)
    return drawing


def plot_regression(targets: Tensor, predictions: Tensor, names: Sequence[str] = ("",)) -> Drawing:
    """Draw predictions against targets, a plot for each of the first columns, and the line on which they would agree.

    Args:
        targets: Shape (n, columns).
        predictions: Of the same shape.
        names: What the columns are called.
    """
    names = names[:MAX_PLOTS]
    across = min(3, len(names))
    down = -(-len(names) // across)
    drawing = Drawing(figsize=(4 * across, 4 * down), layout="constrained")
    for place, name in enumerate(names):
        title = {"title": name} if name else {}
        axes = drawing.add_subplot(down, across, place + 1, xlabel="target", ylabel="prediction", **title)
        axes.axline((float(targets[0, place]),) * 2, slope=1, linewidth=1)
        axes.scatter(targets[:, place], predictions[:, place], s=8)
    return drawing
