"""Drawings, looked at for what they say."""

import torch

from dlplug.plots import plot_bars, plot_confusion_matrix, plot_curves


def test_confusion_is_drawn_with_its_counts():
    axes = plot_confusion_matrix(torch.tensor([[5, 0], [2, 1]]), ("cat", "dog")).axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "5"),
        ((0, 1), "2"),
        ((1, 1), "1"),
    }


def test_curves_are_drawn_over_one_axis():
    axes = plot_curves([0, 1], {"loss": [3.0, 2.0], "error": [1.0, 0.5]}, "epoch", "nats", log=True).axes[0]
    assert [(line.get_label(), list(line.get_ydata())) for line in axes.lines] == [
        ("loss", [3, 2]),
        ("error", [1, 0.5]),
    ]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "nats", "log")


def test_bars_are_means_and_dots_are_values_the_first_on_top():
    axes = plot_bars({"a": [1.0, 3.0], "b": [5.0]}, "points").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [5.0, 2.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[5.0], [1.0, 3.0]]
