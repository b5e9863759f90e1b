"""Our ``vae`` against pythae's: seconds to the same negative bound on held-out images.

    pip install pythae==0.1.2
    python benchmarks/vae_speed.py [--seeds N] [--epochs N]

Both learn mnist5k binarised at 0.5 on one thread, a process each, in turn. pythae 0.1.2 has its default networks (16
latent dimensions, 829,000 weights), batches of 64, Adam at 1e-3 (its default of 1e-4 is slower still) and 20 epochs of
the 4,500 images that are not held out. Ours is ``dlplug fit --model vae`` on the 4,000 images of its own training part,
with as many epochs as take it there, one hidden layer of 500 like pythae's of 512, batches of 40, a learning rate of
4e-3, and neither augmentation nor warm-up, which pay in long runs only. Seconds are of training and validation,
processor time; imports are left out of both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAST = "--model.hidden=[500] --model.lr=4e-3 --model.kl_warmup=0 --data.batch_size=40 --data.augment=0"


def peer(seed: int) -> dict[str, float]:
    """Train pythae's; return its seconds and its negative bound on the held-out images in nats."""
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    from dlplug_vision.data.mnist5k import MNIST5k

    data = MNIST5k()
    data.setup()
    assert data.splits is not None
    images = {name: (split[0].float() > 127.5).float() for name, split in data.splits.items()}
    train = torch.cat([images["train"], images["test"]])
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(output_dir=folder, num_epochs=20, learning_rate=1e-3, no_cuda=True, seed=seed)
        trainer = BaseTrainer(model, _pythae(train), _pythae(images["val"]), settings)
        began = time.process_time()
        trainer.train()
        seconds = time.process_time() - began
    model.eval()
    with torch.no_grad():
        loss = model({"data": images["val"]}).loss
    return {"seconds": seconds, "bound": float(loss)}


def _pythae(images: "torch.Tensor") -> object:  # type: ignore[name-defined]  # noqa: F821
    import torch
    from pythae.data.datasets import BaseDataset

    return BaseDataset(images, torch.zeros(len(images)))


def ours(seed: int, epochs: int, bound: float) -> dict[str, float]:
    """Train ours; return its seconds (infinite if it did not get to the bound) and its bound in nats."""
    import lightning as L

    from dlplug.__main__ import main as dlplug
    from dlplug.training.cli import CLI

    class Clock(L.Callback):
        began = seconds = last = float("inf")

        def on_train_start(self, *_: object) -> None:
            self.began = time.process_time()

        def on_validation_end(self, trainer: L.Trainer, *_: object) -> None:
            if not trainer.sanity_checking:
                self.last = float(trainer.callback_metrics["val/loss"])
                if self.last <= bound:
                    self.seconds = time.process_time() - self.began

    clock, execute = Clock(), CLI.execute

    def clocked(self: CLI) -> int:
        self.trainer.callbacks.insert(0, clock)  # before the pictures of each validation
        return execute(self)

    CLI.execute = clocked  # type: ignore[method-assign]
    options = (
        f"--trainer.max_epochs={epochs} --trainer.check_val_every_n_epoch={epochs} --seed_everything={seed} {FAST}"
    )
    dlplug(["fit", "--model", "vae", *options.split()])
    return {"seconds": clock.seconds, "bound": clock.last}


def apart(*options: str) -> dict[str, float]:
    """Run one of the two in a process of its own, on one thread; return what it prints last."""
    line = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    found: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Our vae against pythae's.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=7, help="of ours")
    parser.add_argument("--be", choices=("peer", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--bound", type=float, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be:
        found = peer(options.seed) if options.be == "peer" else ours(options.seed, options.epochs, options.bound)
        print(json.dumps(found))
        return
    here, ratios = Path.cwd(), []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(options.seeds):
            theirs = apart("--be", "peer", "--seed", str(seed))
            mine = apart(
                "--be", "ours", "--seed", str(seed), "--epochs", str(options.epochs), "--bound", str(theirs["bound"])
            )
            ratios.append(mine["seconds"] / theirs["seconds"])
            print(
                f"seed {seed}   pythae {theirs['bound']:6.1f} nats in {theirs['seconds']:5.1f} s   "
                f"dlplug {mine['bound']:6.1f} in {mine['seconds']:5.1f} s   ratio {ratios[-1]:.2f}"
            )
        os.chdir(here)
    print(f"dlplug / pythae, seconds to the same bound: {statistics.mean(ratios):.2f} (target 0.5)")


if __name__ == "__main__":
    main()
