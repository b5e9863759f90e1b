import torch

from dlplug import Panel
from dlplug.training.progress import key_metrics


class Fake:
    callback_metrics = {"train/a": torch.tensor(1.0), "train/b": torch.tensor(2.0), "val/a": torch.tensor(3.0)}
    monitor = ("val/a", "min")
    panels = (Panel("S", "T", "N.", curves=("b", "a")), Panel("S", "U", "N.", curves=("c",)))


def test_monitored_metric_comes_first_then_the_first_panels():
    assert key_metrics(Fake, Fake, most=2) == "val/a 3  b 2"
    assert key_metrics(Fake, Fake, most=9) == "val/a 3  b 2  a 1"


def test_without_panels_any_metric_is_shown():
    assert key_metrics(Fake, object(), most=1) == "a 1"
