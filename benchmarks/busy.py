"""What training costs on an idle machine and beside two busy processes, with threads that spin and as we let them.

    python benchmarks/busy.py [--rounds N] [MODEL ...]

A short fit of each model, from the first batch to the end of training, on as many threads as torch chooses: as torch
has it (waiting threads spin) and as `dlplug` sets it, both on the idle machine and, the latter alone, beside two
processes that count. Rounds are interleaved; medians. Targets: idle at most 1.05 times torch's, busy at most 2.5 times
idle.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightning as L

# What runs a few seconds, in the recipes' own batches.
FITS = {
    "gan": "--trainer.limit_train_batches 100",
    "cnn": "--trainer.limit_train_batches 60",
    "rnn-lm": "--trainer.limit_train_batches 30",
    "transformer-lm": "--trainer.limit_train_batches 20",
    "dqn": "--trainer.limit_train_batches 60",
    "vae": "--trainer.limit_train_batches 150",
    "captioner": "--trainer.limit_train_batches 30",
}
ALIKE = "--trainer.max_epochs 1 --trainer.limit_val_batches 0 --trainer.callbacks+=busy.Clock --trainer.accelerator cpu"
SPIN = {"GOMP_SPINCOUNT": "300000"}  # GNU's own number where nothing is set
BURN = [sys.executable, "-c", "while True: pass"]


class Clock(L.Callback):
    """Writes down how long training took."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        if not index:
            self.started = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Path(os.environ["SECONDS"]).write_text(str(time.perf_counter() - self.started))


def seconds(model: str, environ: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "seconds"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))}
        folder = {"SECONDS": str(path), "PYTHONPATH": str(Path(__file__).parent)}
        line = f"-m dlplug fit --model {model} {FITS[model]} {ALIKE}"
        subprocess.run(
            [sys.executable, *line.split()], cwd=place, env=clean | folder | environ, check=True, capture_output=True
        )
        return float(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", default=list(FITS))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{'':16}{'spinning':>10}{'ours':>8}{'busy':>8}{'ours/spin':>12}{'busy/ours':>12}")
    for model in options.models:
        rows: dict[str, list[float]] = {"spin": [], "ours": [], "busy": []}
        for _ in range(options.rounds):
            rows["spin"].append(seconds(model, SPIN))
            rows["ours"].append(seconds(model, {}))
            burning = [subprocess.Popen(BURN) for _ in range(2)]
            try:
                rows["busy"].append(seconds(model, {}))
            finally:
                for process in burning:
                    process.kill()
        spin, ours, busy = (statistics.median(row) for row in rows.values())
        print(f"{model:16}{spin:10.2f}{ours:8.2f}{busy:8.2f}{ours / spin:12.2f}{busy / ours:12.2f}", flush=True)


if __name__ == "__main__":
    main()
