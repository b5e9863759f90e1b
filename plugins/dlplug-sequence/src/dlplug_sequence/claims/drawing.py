"""Pictures of the claims."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Drawing


def draw(x: Sequence[float], curves: Mapping[str, Sequence[float]], across: str, up: str, log: bool = False) -> Drawing:
    """Draw curves over one axis."""
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    axes = drawing.add_subplot(xlabel=across, ylabel=up, yscale="log" if log else "linear")
    for name, values in curves.items():
        axes.plot(x, values, marker="o", markersize=3, label=name)
    axes.legend()
    return drawing
