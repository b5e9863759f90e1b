"""Kills trainings of all models at random moments, resumes them, and counts those that end as if never stopped.

    python benchmarks/kills.py [--kills 100] [--seed 0] [MODEL ...]

Each model is trained as its checks train it, for six epochs; a run is killed with SIGKILL one to three times.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from kills import fit, fit_killed, same

from dlplug.registry import Registry
from dlplug.registry.job import option
from dlplug.specs import ModelSpec
from dlplug.testing.models import SHORT

EPOCHS = {"trainer.max_epochs": 6, "trainer.limit_train_batches": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill trainings, resume them, and count those that end the same.")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    specs = {s.name: s for s in Registry.discover() if isinstance(s, ModelSpec) and "trains" not in s.skip_checks}
    draw = random.Random(options.seed)
    names = options.models or sorted(specs)
    done = identical = trials = 0
    with tempfile.TemporaryDirectory() as made:
        unbroken: dict[str, Path] = {}
        while done < options.kills:
            name = names[trials % len(names)]
            chosen = {**SHORT, **{k: v for k, v in specs[name].check_options.items() if not k.startswith("generate.")}}
            args = ["--model", name, *(option(k, v) for k, v in {**chosen, **EPOCHS}.items())]
            if name not in unbroken:
                unbroken[name] = fit(Path(made) / name / "unbroken", args)
            kills = min(draw.randint(1, 3), options.kills - done)
            run = fit_killed(Path(made) / name / f"{trials}", args, seed=draw.randrange(1 << 30), kills=kills)
            as_it_was = same(unbroken[name], run)
            done, identical, trials = done + kills, identical + as_it_was, trials + 1
            print(f"{name}: killed {kills} times, {'identical' if as_it_was else 'DIFFERENT'}", flush=True)
    print(f"{identical} / {trials} identical, {done} kills")
    sys.exit(identical != trials)


if __name__ == "__main__":
    main()
