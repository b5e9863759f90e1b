"""Kills a training at a random moment, resumes it, and compares it with the one that was never stopped."""

import random
import time
from pathlib import Path

from dlplug.testing.commands import run_command, start_command

ENV = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def fit(folder: Path, args: list[str]) -> Path:
    """Fit to the end in a new folder, and return the run."""
    folder.mkdir(parents=True)
    return _finish(folder, args)


def fit_killed(folder: Path, args: list[str], seed: int, kills: int = 1) -> Path:
    """Do the same, killed so many times, each a random while after its first file was there, and resumed."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    for _ in range(kills):
        process = start_command("fit", *args, folder=folder, **ENV)
        before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/metrics.csv")}
        while process.is_alive():
            now = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/metrics.csv")}
            if now != before:
                time.sleep(draw.uniform(0, 2))
                break
            time.sleep(0.02)
        process.kill()
        process.join()
        args = [*map(str, folder.glob("runs/*/*/"))]
    return _finish(folder, args)


def _finish(folder: Path, args: list[str]) -> Path:
    result = run_command("fit", *args, folder=folder, **ENV)
    assert result.returncode == 0, result.stderr
    [run] = folder.glob("runs/*/*/")
    return run


def same(run: Path, other: Path) -> bool:
    """Return whether two runs have the same metrics and the same weights."""
    import torch

    weights = []
    for path in (run, other):
        checkpoint = torch.load(path / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
        weights.append(checkpoint["state_dict"])
    equal = weights[0].keys() == weights[1].keys() and all(weights[0][k].equal(weights[1][k]) for k in weights[0])
    return equal and (run / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
