"""What a search costs beside plain fits, and whether it is worth having.

    python benchmarks/tune.py overhead [--rounds 7]
    python benchmarks/tune.py worth [--trials N] [MODEL ...]

`overhead`, in seconds of the processor: a trial's training beside a plain fit's, at most 1.05 times as much, the median
of interleaved rounds; and 20 trials of one epoch beside one process that fits 20 times, at most 1.3 times as much.

`worth`: each model is searched for the time of 20 default runs (or N trials), on validation data, then fitted by the
recipe and by what was found, once for each of five seeds, and tested: the paired difference and its 95 % interval,
whatever it is. The models were chosen before looking.
"""

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightning as L

SEARCHED = {  # options, and the metric of the test
    "cnn": ("--data digits --data.fold 0", "test/accuracy"),
    "rnn-classifier": ("", "test/accuracy"),
    "dqn": ("--data gym --data.env Acrobot-v1", "test/episode_return"),
}
SHORT = "--model cnn --data digits --trainer.accelerator cpu --seed_everything 0"
LONG = f"{SHORT} --trainer.max_epochs 4 --trainer.callbacks+=tune.Clock"
T = 2.776  # Student's, of 95 % with four degrees of freedom


class Clock(L.Callback):
    """Adds to a file what training took of the processor."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = time.process_time()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with open(os.environ["SECONDS"], "a") as file:
            file.write(f"{time.process_time() - self.started}\n")


def run(*line: str, place: Path) -> float:
    """Run Python, and return the processor's seconds of it and of all that it started."""
    before = os.times()
    env = os.environ | {
        "SECONDS": str(place / "seconds"),
        "PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}",
    }
    subprocess.run([sys.executable, *line], cwd=place, check=True, capture_output=True, env=env)
    while True:  # the fork server, which is ours once its parent has ended
        try:
            os.wait()
        except ChildProcessError:
            break
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def overhead(rounds: int) -> None:
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    plain, trial = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            run("-m", "dlplug", "fit", *LONG.split(), place=place)
            same = "--space model.lr=[0.003,0.0030001] --sampler grid --prune median --trials 1"
            run("-m", "dlplug", "tune", *LONG.replace("--seed_everything 0", same).split(), place=place)
            first, second = map(float, (place / "seconds").read_text().split())
        plain.append(first)
        trial.append(second)
        print(f"trained: fit {first:.2f} s, trial {second:.2f} s", flush=True)
    print(f"a trial takes {statistics.median(trial) / statistics.median(plain):.3f} times a fit (at most 1.05)")
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import dlplug\nfor n in range(20):\n"
            "    dlplug.fit('cnn', 'digits', {'trainer.max_epochs': 1, 'trainer.accelerator': 'cpu'})"
        )
        one = run("-c", code, place=Path(folder))
        line = "tune --model cnn --data digits --trainer.max_epochs 1 --trainer.accelerator cpu --sampler random"
        line += " --space model.lr=log:1e-3:1e-2 --trials 20"
        twenty = run("-m", "dlplug", *line.split(), place=Path(folder))
    print(f"20 fits of one process {one:.1f} s, 20 trials {twenty:.1f} s: {twenty / one:.2f} times (at most 1.3)")


def measured(place: Path, metric: str, *line: str) -> list[float]:
    """Fit five seeds, test each, and return the metric."""
    import dlplug

    before = set(place.glob("runs/*/*/config.yaml"))
    subprocess.run([sys.executable, "-m", "dlplug", "fit", *line, "--seeds", "0-4"], cwd=place, check=True)
    made = sorted(set(place.glob("runs/*/*/config.yaml")) - before)
    return [dlplug.load(config.parent).test()[metric] for config in made]


def worth(models: list[str], trials: int | None) -> None:
    for model in models:
        options, metric = SEARCHED[model]
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            begun = time.monotonic()
            line = ["--model", model, *options.split()]
            recipe = measured(place, metric, *line)
            minutes = 20 * (time.monotonic() - begun) / len(recipe) / 60
            most = ["--trials", str(trials)] if trials else ["--minutes", f"{minutes:.2f}"]
            search = ["tune", *line, *most, "--study", "st", "--prune", "median"]
            subprocess.run([sys.executable, "-m", "dlplug", *search], cwd=place, check=True)
            found = measured(place, metric, "-c", "runs/st/best.yaml")
        differences = [b - a for a, b in zip(recipe, found, strict=True)]
        half = T * statistics.stdev(differences) / len(differences) ** 0.5
        means = (f"{name} {statistics.fmean(of):.4f}" for name, of in (("recipe", recipe), ("found", found)))
        print(f"{model}, {metric}, five seeds, {' '.join(most)}: {', '.join(means)}, {recipe}, {found}")
        print(f"{model}: difference {statistics.fmean(differences):+.4f} ± {half:.4f} (95 %)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "worth"))
    parser.add_argument("models", nargs="*", choices=[*SEARCHED, []], default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trials", type=int)
    asked = parser.parse_args()
    overhead(asked.rounds) if asked.what == "overhead" else worth(asked.models or [*SEARCHED], asked.trials)
