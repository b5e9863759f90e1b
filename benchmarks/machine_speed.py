"""``gaussian-rbm`` against a bare loop over tensors with the same arithmetic: batches a second.

    python benchmarks/machine_speed.py [--seeds N] [--epochs N]

Both learn mnist5k by persistent contrastive divergence with 256 hidden units, batches of 128, momentum and a learning
rate that falls, each in a process of its own on one thread, in turns. ``dlplug fit`` validates and shows nothing while
it is timed; loading, the first epoch and checkpoints are left out. Time is the processor's,
since other programs slow down either.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HIDDEN, BATCH, CHAINS, NOISE, RATE, DECAY = 256, 128, 128, 0.7, 0.8, 1e-4


def plain(epochs: int, seed: int) -> float:
    """Return the batches a second of the loop."""
    import torch

    from dlplug_vision.data.mnist5k import MNIST5k

    torch.manual_seed(seed)
    data = MNIST5k()
    data.setup()
    assert data.splits is not None
    images = data.splits["train"][0].flatten(1).float() / 255
    scale = NOISE * images.std(0).clamp_min(0.1 * float(images.var(0).mean().sqrt()))
    mean = images.mean(0)
    visible = images.shape[1]
    weight, b, c = 0.01 * torch.randn(visible, HIDDEN), torch.zeros(visible), torch.zeros(HIDDEN)
    steps = [torch.zeros_like(each) for each in (weight, b, c)]
    chains = None
    started, done = 0.0, 0
    for epoch in range(epochs):
        if epoch == 1:
            started, done = time.process_time(), 0
        rate = RATE / visible * (1 - epoch / epochs)
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].view(-1, BATCH):
            v = (images[rows] - mean) / scale
            chains = v[torch.randint(BATCH, (CHAINS,))] if chains is None else chains
            drawn = torch.sigmoid(torch.addmm(c, chains, weight))
            means = torch.addmm(b, (torch.rand_like(drawn) < drawn).float(), weight.T)
            chains = means + torch.randn_like(means)
            h, k = torch.sigmoid(torch.addmm(c, v, weight)), torch.sigmoid(torch.addmm(c, chains, weight))
            gradients = (
                torch.addmm(chains.T @ k / CHAINS, v.T, h, alpha=-1 / BATCH).add_(weight, alpha=DECAY),
                chains.mean(0) - v.mean(0),
                k.mean(0) - h.mean(0),
            )
            for parameter, step, gradient in zip((weight, b, c), steps, gradients, strict=True):
                step.mul_(0.9).add_(gradient)
                parameter.sub_(step, alpha=rate)
            done += 1
    return done / (time.process_time() - started)


def ours(epochs: int, seed: int) -> float:
    """Return the batches a second of ``dlplug fit``."""
    import lightning as L

    from dlplug.__main__ import main as dlplug
    from dlplug.training.cli import CLI

    class Clock(L.Callback):
        started = spent = 0.0

        def on_train_epoch_start(self, *_: object) -> None:
            self.started = time.process_time()

        def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
            if trainer.is_last_batch and trainer.current_epoch:
                self.spent += time.process_time() - self.started

    clock, execute, found = Clock(), CLI.execute, []

    def clocked(self: CLI) -> int:
        self.trainer.callbacks.append(clock)
        status = execute(self)
        found.append(self.trainer.num_training_batches)
        return status

    CLI.execute = clocked  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        options = f"--trainer.max_epochs={epochs} --seed_everything={seed} --trainer.default_root_dir={folder}"
        same = f"--model.hidden={HIDDEN} --data.batch_size={BATCH} --model.chains={CHAINS}"
        quiet = "--trainer.limit_val_batches=0 --trainer.num_sanity_val_steps=0"
        dlplug(f"fit --model gaussian-rbm {options} {same} {quiet}".split())
    return int(found[0]) * (epochs - 1) / clock.spent


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(description="gaussian-rbm against a bare loop.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--be", choices=("plain", "ours"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be:
        run = plain if options.be == "plain" else ours
        print(run(options.epochs, options.seeds))
        return
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    for seed in range(options.seeds):
        for program, speeds in found.items():
            line = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--be", program]
            line += ["--epochs", str(options.epochs), "--seeds", str(seed)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            output = subprocess.run(
                line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
            )
            speeds.append(float(output.stdout.splitlines()[-1]))
    plainly, ourly = (statistics.median(found[program]) for program in ("plain", "ours"))
    print(f"bare loop    {plainly:7.0f} batches/s\ngaussian-rbm {ourly:7.0f} batches/s   {ourly / plainly:.2f}")


if __name__ == "__main__":
    main()
