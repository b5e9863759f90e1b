"""Speed of what learns from words and from pictures with words: `python benchmarks/multimodal_speed.py [NAME …]`.

One thread; seconds are the processor's, since a machine may be shared. Each part is a function that prints a line.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from dlplug.registry import Registry
from dlplug.registry.job import expand
from dlplug.training.cli import prepare

ROUNDS = 3


def fit(model: str, batches: int, *options: str) -> tuple[float, Any]:
    """Train a model by its recipe through the command's code, without validation.

    Args:
        model: Its name.
        batches: How many are trained, in one epoch.
        options: Further ones.

    Returns:
        Seconds from the first batch to the end of the epoch, and the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        line = ["--model", model, f"--trainer.limit_train_batches={batches}", "--trainer.max_epochs=1", *options]
        line += ["--trainer.limit_val_batches=0", f"--trainer.default_root_dir={folder}"]
        cli = prepare(expand("fit", line, Registry.discover()), Registry.discover())
        times: list[float] = []
        start, end = cli.model.on_train_batch_start, cli.model.on_train_epoch_end
        cli.model.on_train_batch_start = lambda *args: (times.append(time.process_time()), start(*args))[1]
        cli.model.on_train_epoch_end = lambda: (times.append(time.process_time()), end())[1]
        cli.execute()
        return times[-1] - times[0], cli.model


def skip_gram() -> None:
    """Count the pairs that skip-gram trains in a second; the target is 200,000."""
    rates = []
    for _ in range(ROUNDS):
        seconds, model = fit("skip-gram", 300)
        rates.append(model.pairs_trained / seconds)
    print(f"skip-gram: {statistics.median(rates):,.0f} pairs a second")


PARTS: dict[str, Callable[[], None]] = {"skip-gram": skip_gram}


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
