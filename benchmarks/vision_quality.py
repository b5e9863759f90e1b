"""Judges the default recipe by five-fold cross-validation: `python benchmarks/vision_quality.py --data mnist5k`.

Each fold is a run of its own through the command, on one thread; the baselines learn from the same images (the
training and validation parts together) and are tested on the same fold.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from dlplug_vision.data.digits import Digits
from dlplug_vision.data.mnist5k import MNIST5k

BASELINES = {
    "logistic regression": lambda: LogisticRegression(max_iter=1000),
    "3 nearest neighbours": lambda: KNeighborsClassifier(3),
    "RBF SVM, C 10": lambda: SVC(C=10),
}


def judge_network(options: argparse.Namespace, fold: int, folder: str) -> tuple[float, float]:
    """Return accuracy and seconds of a run of the command."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "dlplug"]
    root = f"--trainer.default_root_dir={folder}/{fold}"
    start = time.perf_counter()
    fit = [*line, "fit", "--model", options.model, "--data", options.data, f"--data.fold={fold}", root]
    subprocess.run([*fit, f"--seed_everything={options.seed}"], env=env, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    [run] = Path(folder, str(fold), options.model).iterdir()
    subprocess.run([*line, "test", run], env=env, check=True, capture_output=True)
    with open(run / "test.csv") as file:
        [row] = csv.DictReader(file)
    return float(row["test/accuracy"]), seconds


def judge_baselines(data: Digits | MNIST5k) -> dict[str, float]:
    """Return each baseline's accuracy."""
    data.setup()
    parts = [data.prepare_batch(data.splits[name]) for name in ("train", "val", "test")]
    images = [part[0].flatten(1) for part in parts]
    x, y = torch.cat(images[:2]).numpy(), torch.cat([part[1] for part in parts[:2]]).numpy()
    return {n: make().fit(x, y).score(images[2].numpy(), parts[2][1].numpy()) for n, make in BASELINES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("cnn", "resnet"), default="cnn")
    parser.add_argument("--data", choices=("mnist5k", "digits"), default="mnist5k")
    parser.add_argument("--folds", type=int, nargs="+", default=range(5))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    for fold in options.folds:
        with tempfile.TemporaryDirectory() as folder:
            accuracy, seconds = judge_network(options, fold, folder)
        data = {"mnist5k": MNIST5k, "digits": Digits}[options.data](fold=fold)
        figures = {options.model: accuracy, **judge_baselines(data)}
        print(f"fold {fold} ({seconds:.0f} s): " + "  ".join(f"{n} {value:.4f}" for n, value in figures.items()))
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        print(f"{name}: accuracy {statistics.mean(values):.4f}, {min(values):.4f} to {max(values):.4f} by fold")


if __name__ == "__main__":
    main()
