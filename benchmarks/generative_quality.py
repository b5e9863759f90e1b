"""Holds generative models on mnist5k against one ruler: `python benchmarks/generative_quality.py RUN RUN …`.

Train and test the runs first: `dlplug fit --model pixel-cnn`, `dlplug test RUN`, and so on for `vae` and `gan`. What
has a likelihood is compared in nats an image, all in the FID of samples by one classifier of the training images.
"""

import sys
from math import log
from pathlib import Path

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from dlplug.loggers.csv import read_metrics
from dlplug.registry import Registry
from dlplug.registry.job import load_config
from dlplug.registry.source import load_class
from dlplug.runs import Run
from dlplug_vision.data.mnist5k import MNIST5k
from dlplug_vision.evaluation.fid import FIDClassifier, near_copies

SAMPLES = 2000
# Measured once elsewhere on such a split, nats an image.
KNOWN = {"mixture of 200 Bernoullis": 135, "logistic regression, 9×9 causal neighbourhood": 85.7}


def independent(train: Tensor, test: Tensor) -> float:
    """Return the nats an image of each pixel's own frequency, one image added of each kind."""
    on = ((train > 0.5).sum(0) + 1) / (len(train) + 2)
    return float(-torch.where(test > 0.5, on.log(), (1 - on).log()).sum((1, 2, 3)).mean())


@torch.no_grad()
def draw(run: Run) -> Tensor:
    """Return images drawn by the best checkpoint."""
    class_path = load_config(str(run.config), Registry.discover())["model"]["class_path"]
    model = load_class(class_path, LightningModule).load_from_checkpoint(run.trained, weights_only=True).eval()
    torch.manual_seed(0)
    return torch.cat([model.generate(500).pixels for _ in range(SAMPLES // 500)])


def main() -> None:
    data = MNIST5k()
    data.setup()
    splits = {name: data.prepare_batch(tensors) for name, tensors in data.splits.items()}
    train, held_out = splits["train"][0], splits["test"][0]
    classifier = FIDClassifier.fit(*splits["train"])
    print(f"{'':48} {'nats':>6} {'bits':>6} {'FID':>7} {'rarest':>7} {'copies':>7}")

    def show(name: str, samples: Tensor | None = None, nats: float | None = None) -> None:
        line = f"{name:48} " + (f"{nats:6.1f} {nats / 784 / log(2):6.3f}" if nats else f"{'':13}")
        if samples is not None:
            line += f" {classifier.fid(samples, held_out):7.1f} {min(classifier.class_shares(samples)):7.3f}"
            line += f" {near_copies(samples, train, held_out):7.3f}"
        print(line, flush=True)

    show("real: validation images", splits["val"][0])
    show("the same, black and white", (splits["val"][0] > 0.5).float())
    show("independent pixels", nats=independent(train, splits["test"][0]))
    for name, nats in KNOWN.items():
        show(name, nats=nats)
    for path in sys.argv[1:]:
        run = Run.open(path)
        rows = read_metrics(Path(path) / "test.csv")
        nats = float(rows[0]["test/nll"]) if rows and "test/nll" in rows[0] else None
        show(path[-48:], draw(run), nats)


if __name__ == "__main__":
    main()
