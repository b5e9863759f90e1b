"""Does a model learn as well in bf16-mixed and on two processes? `python benchmarks/precision.py [MODEL …]`, else all.

Each is trained as `dlplug check` trains it, but on BATCHES batches, on the CPU, in 32 bits on one process over SEEDS,
then on the first seed in bf16-mixed, and on two processes with half the batch each, where its data have batches. The
table has the best value of the monitored metric; a deviation from the seeds' mean of more than twice their standard
deviation is marked, and ends it with status 1: of short runs on few seeds one in ten is by chance.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from dlplug.registry import Registry
from dlplug.registry.job import option
from dlplug.registry.source import read_class
from dlplug.runs_index import read_entries
from dlplug.specs import ModelSpec
from dlplug.testing.commands import run_command
from dlplug.testing.models import SHORT

BATCHES, SEEDS = 40, (0, 1, 2, 3)
TWO = {"trainer.devices": 2, "trainer.strategy": "ddp"}


def main() -> int:
    models = {
        spec.name: spec
        for spec in Registry.discover()
        if isinstance(spec, ModelSpec) and "trains" not in spec.skip_checks
    }
    print("| model | metric | 32 bits, one process | bf16-mixed | two processes |\n|---|---|---|---|---|")
    return max(row(models[name]) for name in sys.argv[1:] or models)


def row(spec: ModelSpec) -> int:
    name, values = "", []
    for seed in SEEDS:
        name, value = best(spec, {"seed_everything": seed})
        values.append(value)
    if not name:
        return 0  # nothing says which of its checkpoints is best
    variants: list[dict[str, object]] = [{"trainer.precision": "bf16-mixed"}]
    if size := batch_size(spec):
        variants.append({**TWO, "data.batch_size": size // 2})
    others = [best(spec, more)[1] for more in variants]
    mean, spread = statistics.mean(values), statistics.stdev(values)
    far = [abs(value - mean) > 2 * spread for value in others]
    cells = [f"{value:.4g}{' (!)' * off}" for value, off in zip(others, far, strict=True)] + ["–"] * (not size)
    print(f"| {spec.name} | {name} | {mean:.4g} ± {spread:.2g} | {' | '.join(cells)} |", flush=True)
    return int(any(far))


def batch_size(spec: ModelSpec) -> int:
    """Return the items of a batch by the recipe, or else by the data's default; 0 where there are no batches."""
    data = Registry.discover().find("data", spec.data)
    arguments = read_class(data.class_path).arguments
    default = next((argument.default for argument in arguments if argument.name == "batch_size"), None)
    recipe = {**spec.recipe, **spec.recipes.get(spec.data, {}), **spec.check_options}
    return int(recipe.get("data.batch_size", default or 0))


def best(spec: ModelSpec, more: dict[str, object]) -> tuple[str, float]:
    options = {k: v for k, v in spec.check_options.items() if not k.startswith(("generate.", "trainer."))}
    options = {**SHORT, "trainer.limit_train_batches": BATCHES, "trainer.limit_val_batches": 1.0, **options, **more}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "work")
        folder.mkdir()
        line = [option(key, value) for key, value in options.items()]
        done = run_command("fit", "--model", spec.name, *line, folder=folder)
        assert done.returncode == 0, done.stderr
        [entry] = read_entries(folder / "runs")
        return entry.monitor, entry.best or 0.0


if __name__ == "__main__":
    sys.exit(main())
