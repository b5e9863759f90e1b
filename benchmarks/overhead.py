"""What the framework costs: time a training step, time to the first step, peak memory. One thread.

    python benchmarks/overhead.py [--rounds N]

A step of the same network and optimiser (a) in a plain PyTorch loop, over tensor slices and over a DataLoader, (b) in
stock Lightning with one ``self.log``, its own progress bar, CSV logger and checkpoints, (c) through `dlplug fit` with
all that it does. Everything between the first batch's start and the end of training counts, so epoch ends do too.
Rounds are interleaved, so that whatever else the machine does falls on every row alike.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import logging

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.utils.data import DataLoader, TensorDataset

from dlplug.__main__ import main as dlplug
from dlplug.data import ImageInfo, TensorData
from dlplug.model import Model
from dlplug_generative.gan import GAN

SIZE, BATCH, EPOCHS = 4096, 64, 2
INFO = ImageInfo(1, 28, 28, 10)
SCRIPT = """
import lightning as L
from lightning.pytorch.loggers import CSVLogger
from dlplug_generative.gan import GAN
from dlplug_vision.data.mnist5k import MNIST5k
from overhead import Clock
L.seed_everything(0)
trainer = L.Trainer(max_epochs=1, callbacks=[Clock()], logger=CSVLogger("logs"), enable_progress_bar=False)
trainer.fit(GAN(), MNIST5k(batch_size=32))
"""
COMMAND = "-m dlplug fit --model gan --trainer.max_epochs 1 --trainer.callbacks+=overhead.Clock"


class Clock(L.Callback):
    """Notes when training starts and ends; tells the parent process when the first step starts."""

    started = ended = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        if not Clock.started:
            Clock.started = time.perf_counter()
            if path := os.environ.get("FIRST_STEP"):
                Path(path).write_text(str(time.time()))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Clock.ended = time.perf_counter()


def noise() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(SIZE, 1, 28, 28, generator=generator), torch.randint(10, (SIZE,), generator=generator)


class Noise(TensorData):
    """Random images with random labels."""

    def load(self) -> tuple[ImageInfo, dict[str, tuple[Tensor, ...]]]:
        return INFO, {"train": noise()}


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))


def cnn() -> nn.Module:
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10))


class MLP(Model):
    """What a user of dlplug writes."""

    network = staticmethod(mlp)

    def build(self, info: ImageInfo) -> None:
        self.net = self.network()

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.record(loss=loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


class CNN(MLP):
    network = staticmethod(cnn)


class StockNet(L.LightningModule):
    """What a user of Lightning writes."""

    def __init__(self, network: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.net = network()

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        loss = cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


class StockGAN(GAN):
    """The same GAN with one ``self.log``."""

    def record(self, **values: Tensor) -> None:
        self.log("train/g_loss", values["g_loss"].detach())


Step = Callable[[Tensor, Tensor], None]


def net_step(network: Callable[[], nn.Module]) -> Step:
    net = network()
    optimizer = torch.optim.Adam(net.parameters())

    def step(images: Tensor, labels: Tensor) -> None:
        loss = cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def gan_step() -> Step:
    gan = GAN()
    gan.build(INFO)
    optimizer_g, optimizer_d = gan.configure_optimizers()
    weights, averages = list(gan.generator.parameters()), list(gan.average.parameters())

    def step(images: Tensor, labels: Tensor) -> None:
        drawn = gan.generator(torch.randn(len(images), gan.latent_dim))
        real, fake = gan.discriminator(gan._shift(torch.cat([images * 2 - 1, drawn.detach()]))).chunk(2)
        d_loss = softplus(-real).mean() + softplus(fake).mean()
        optimizer_d.zero_grad()
        d_loss.backward()
        optimizer_d.step()
        gan.discriminator.requires_grad_(False)
        g_loss = softplus(-gan.discriminator(gan._shift(drawn))).mean()
        optimizer_g.zero_grad()
        g_loss.backward()
        optimizer_g.step()
        gan.discriminator.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - gan.ema)

    return step


def plain(step: Step, loader: DataLoader[tuple[Tensor, ...]] | None) -> float:
    images, labels = noise()
    start = time.perf_counter()
    for _ in range(EPOCHS):
        batches = loader or ((images[rows], labels[rows]) for rows in torch.randperm(SIZE).split(BATCH))
        for batch in batches:
            step(*batch)
    return time.perf_counter() - start


def stock(model: L.LightningModule) -> float:
    loader = DataLoader(TensorDataset(*noise()), BATCH, shuffle=True)
    if isinstance(model, StockGAN):
        model.build(INFO)
        model.info = INFO
    Clock.started = 0.0
    L.Trainer(max_epochs=EPOCHS, callbacks=[Clock()], logger=CSVLogger("logs")).fit(model, loader)
    return Clock.ended - Clock.started


def ours(name: str) -> float:
    Clock.started = 0.0
    line = f"fit --model {name} --data overhead.Noise --data.batch_size {BATCH} --trainer.max_epochs {EPOCHS}"
    line += " --trainer.enable_progress_bar true --trainer.callbacks+=overhead.Clock"
    assert dlplug(line.split()) == 0
    return Clock.ended - Clock.started


def loader() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(*noise()), BATCH, shuffle=True)


CASES: dict[str, dict[str, Callable[[], float]]] = {
    "tiny MLP": {
        "a  plain, slices": lambda: plain(net_step(mlp), None),
        "a  plain, DataLoader": lambda: plain(net_step(mlp), loader()),
        "b  stock Lightning": lambda: stock(StockNet(mlp)),
        "c  dlplug fit": lambda: ours("overhead.MLP"),
    },
    "small CNN": {
        "a  plain, slices": lambda: plain(net_step(cnn), None),
        "a  plain, DataLoader": lambda: plain(net_step(cnn), loader()),
        "b  stock Lightning": lambda: stock(StockNet(cnn)),
        "c  dlplug fit": lambda: ours("overhead.CNN"),
    },
    "gan": {
        "a  plain, slices": lambda: plain(gan_step(), None),
        "a  plain, DataLoader": lambda: plain(gan_step(), loader()),
        "b  stock Lightning": lambda: stock(StockGAN()),
        "c  dlplug fit": lambda: ours("dlplug_generative.gan.GAN"),
    },
}


def measure_steps(rounds: int) -> None:
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    steps = EPOCHS * (SIZE // BATCH)
    for case, variants in CASES.items():
        times: dict[str, list[float]] = {name: [] for name in variants}
        for n in range(rounds + 1):
            for name, variant in variants.items():
                with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                    took = variant()
                if n:  # the first round warms up
                    times[name].append(took / steps * 1000)
        print(f"{case}: ms a step, median (least-most) of {rounds} rounds of {steps} steps of {BATCH} images")
        for name, figures in times.items():
            print(f"  {name:22} {statistics.median(figures):8.3f} ({min(figures):.3f}-{max(figures):.3f})")
        slices, loaded, theirs, mine = (statistics.median(figures) for figures in times.values())
        for name, base in (("slices", slices), ("DataLoader", loaded)):
            share = (mine - base) / (theirs - base)
            print(f"  against {name:10}: (c - a) / (b - a) {share:6.2f} (target 0.65)   c / a {mine / base:5.2f}")


def measure_start(rounds: int) -> None:
    """First step and peak memory, in processes of their own."""
    lines = {"ten-line script": ["-W", "ignore", "-c", SCRIPT], "dlplug fit": COMMAND.split()}
    first: dict[str, list[float]] = {name: [] for name in lines}
    memory: dict[str, list[float]] = {name: [] for name in lines}
    for n in range(rounds + 1):
        for name, line in lines.items():
            note = Path("first-step")
            start = time.time()
            environment = {**os.environ, "FIRST_STEP": str(note)}
            process = subprocess.Popen([sys.executable, *line], env=environment, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"{name} failed")
            if n:
                first[name].append(float(note.read_text()) - start)
                memory[name].append(usage.ru_maxrss / 1024)
    for what, unit, figures in (("first step", "s", first), ("peak memory", "MiB", memory)):
        medians = {name: statistics.median(values) for name, values in figures.items()}
        spread = {name: f"({min(values):.1f}-{max(values):.1f})" for name, values in figures.items()}
        text = ", ".join(f"{name} {medians[name]:.1f} {spread[name]} {unit}" for name in lines)
        print(f"{what}: {text}; ratio {medians['dlplug fit'] / medians['ten-line script']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What the framework costs.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    here = str(Path(__file__).parent.resolve())
    sys.path.insert(0, here)
    os.environ["PYTHONPATH"] = here
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        measure_steps(rounds)
        measure_start(rounds)


if __name__ == "__main__":
    # The command imports this file by its name: the class that notes the time has to be that one.
    sys.path.insert(0, str(Path(__file__).parent.resolve()))
    import overhead

    overhead.main()
