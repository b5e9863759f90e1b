"""Bits a character of the default language models on the Bible: `python benchmarks/language_quality.py [SEED …]`.

Each is a run of its own through the command, on one thread; the mixture's weight is chosen on the validation text.
"""

import csv
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

LINE = [sys.executable, "-m", "dlplug"]
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def judge(folder: str, model: str, *options: str) -> str:
    """Train and test a model, print its bits and the processor's seconds, and return its run folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    root = f"--trainer.default_root_dir={folder}"
    subprocess.run([*LINE, "fit", "--model", model, *options, root], env=ENV, check=True, stderr=subprocess.DEVNULL)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    run = max(Path(folder, model).iterdir())
    subprocess.run([*LINE, "test", run], env=ENV, check=True, capture_output=True)
    with open(run / "test.csv") as file:
        [row] = csv.DictReader(file)
    print(
        f"{float(row['test/bits_per_char']):.3f} bits, {seconds:4.0f} s of processor time: {model} {' '.join(options)}",
        flush=True,
    )
    return str(run)


def main() -> None:
    seeds = sys.argv[1:] or ["0", "1", "2"]
    with tempfile.TemporaryDirectory() as folder:
        for order in (5, 6):
            judge(folder, "markov", f"--model.order={order}")
        ngram = judge(folder, "markov")
        for seed in seeds:
            network = judge(folder, "rnn-lm", f"--seed_everything={seed}")
            judge(folder, "mixture", f"--model.first={network}", f"--model.second={ngram}")
            judge(folder, "transformer-lm", f"--seed_everything={seed}")


if __name__ == "__main__":
    main()
