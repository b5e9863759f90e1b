"""What is checked of a model, by training it for two batches through the real command."""

import csv
import math
import shlex
from collections.abc import Mapping
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest import SkipTest

from dlplug import panels
from dlplug.errors import InputError
from dlplug.registry.job import expand, option
from dlplug.runs import Run
from dlplug.specs import DataSpec, ModelSpec, Range
from dlplug.testing.commands import run_command
from dlplug.testing.offers import SpecChecks, last_line
from dlplug.testing.panels import check_panels

COMMON = {f"train/{name}" for panel in panels.COMMON for name in panel.curves}  # what the core logs of every model
SHORT = {
    "trainer.max_epochs": 1,
    "trainer.limit_train_batches": 2,
    "trainer.limit_val_batches": 1,
    "trainer.limit_test_batches": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.num_sanity_val_steps": 0,
    "trainer.log_every_n_steps": 1,
    "trainer.accelerator": "cpu",
    "trainer.devices": 1,
    "seed_everything": 0,
}


class ModelChecks(SpecChecks):
    """Checks of a ``LightningModule``; the ``check_options`` of its spec makes the training shorter or longer still."""

    checks = (
        *SpecChecks.checks,
        *("fitting", "space", "trains", "updates", "sizes", "tests", "reloads", "repeats", "pickles", "traces"),
        *("bf16", "compiles", "processes", "shows", "generates", "panels"),
    )
    base = "lightning.pytorch.LightningModule"
    spec: ModelSpec
    data = ""  # to check with instead of its own
    said = ""  # what the commands wrote to stderr

    def fitting(self) -> None:
        """Check that its own data is installed and gives what it takes."""
        if self.data:
            raise SkipTest(f"it is checked with {self.data}")
        if not self.spec.data:
            raise SkipTest("it names no data of its own")
        data = self.registry.find("data", self.spec.data)
        assert isinstance(data, DataSpec)
        assert data.gives == self.spec.takes, f"it takes {self.spec.takes!r}, but its own data gives {data.gives!r}"

    def space(self) -> None:
        """Check that what a search would try of its options can be made, at both ends of each range."""
        if not self.spec.space:
            raise SkipTest("it names no options to search")
        ranges = {key: Range.parse(key, given) for key, given in self.spec.space.items()}
        for end in (0, 1):
            self.apart(partial(self._make, {key: range.ends[end] for key, range in ranges.items()}))

    def _make(self, options: Mapping[str, Any]) -> None:
        from dlplug.training.cli import prepare

        line = [*self._line(), *(option(key, value) for key, value in options.items())]
        try:
            prepare(expand("validate", line, self.registry), self.registry)
        except InputError as error:
            raise AssertionError(f"its space cannot be searched: {error}") from error

    def trains(self) -> None:
        """Check that two steps leave finite losses and gradients, which are logged."""
        self._check_finite(self.run)

    def _check_finite(self, run: Run) -> None:
        with open(run.path / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        logged = {name for row in rows for name, value in row.items() if value and "/" in name}
        assert logged - COMMON, "it logs nothing: self.record(loss=loss), or self.log where it is not a dlplug Model"
        odd = {name for row in rows for name in logged if row[name] and not math.isfinite(float(row[name]))}
        assert not odd, f"not finite after two steps: {', '.join(sorted(odd))}"

    def updates(self) -> None:
        """Check that training changes every weight that it is to change: no gradient is cut off."""
        fewer = self._fit("--trainer.limit_train_batches=1").last
        if not (self.run.last and fewer):
            raise SkipTest("its short run keeps no checkpoint")
        self.apart(partial(self._compare_weights, self.run.last, fewer))

    def _compare_weights(self, path: Path, path_of_fewer: Path) -> None:
        import torch

        more, fewer = (
            torch.load(p, map_location="cpu", weights_only=True)["state_dict"] for p in (path, path_of_fewer)
        )
        model = self.load().load_from_checkpoint(path, map_location="cpu", weights_only=True)
        trained = [name for name, weights in model.named_parameters() if weights.requires_grad]
        still = [name for name in trained if more[name].equal(fewer[name])]
        if still == trained:
            raise SkipTest("its short run trains no weights")
        assert not still, f"a batch more leaves these weights as they are: {', '.join(still)}"

    def sizes(self) -> None:
        """Check that it fits the other data of its kind."""
        others = [name for name in self.registry.fitting(self.spec) if name != (self.data or self.spec.data)]
        for name in others:
            spec = self.registry.find("data", name)
            assert isinstance(spec, DataSpec)
            if not spec.needs_files and "loads" not in spec.skip_checks:
                check_options = {k: v for k, v in spec.check_options.items() if k.startswith("data.")}
                self._check_finite(self._fit("--data", name, *(option(k, v) for k, v in check_options.items())))
                return
        raise SkipTest(f"no other data gives {self.spec.takes!r}")

    def tests(self) -> None:
        """Check that `dlplug test` measures something."""
        self._command("test", self.run.path)
        measured = self.run.path / "test.csv"
        assert measured.exists(), "its test_step logs nothing"
        assert "test/" in measured.read_text(), "its test_step logs nothing that starts with test/"

    def reloads(self) -> None:
        """Check that a checkpoint alone gives the model back: same weights, same validation metrics twice."""
        trained = self.run.trained  # here: what is apart is a fork, which cannot ask the server for another
        self.apart(lambda: self._reload(trained))
        measured = []
        for _ in range(2):
            self._command("validate", self.run.path)
            measured.append((self.run.path / "validate.csv").read_bytes())
        assert measured[0] == measured[1], "two validations of one checkpoint differ: draw from a seeded generator"

    def _reload(self, path: Path) -> None:
        import torch

        try:
            model = self.load().load_from_checkpoint(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise AssertionError(
                f"load_from_checkpoint alone does not give it back ({type(error).__name__}: {last_line(str(error))}): "
                "call save_hyperparameters() in __init__, and keep in the checkpoint what its layers depend on"
            ) from error
        saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        lost = [name for name, value in model.state_dict().items() if not value.equal(saved[name])]
        assert not lost, f"weights that a checkpoint does not give back: {', '.join(lost)}"

    def repeats(self) -> None:
        """Check that the run's own config gives the same metrics again."""
        again = self._command("fit", "-c", self.run.config)
        first, second = ((run.path / "metrics.csv").read_bytes() for run in (self.run, again))
        assert first == second, "the same config and seed give other metrics: something is drawn from no seeded source"

    def bf16(self) -> None:
        """Check that it trains in bf16-mixed, and still shows what it has to show."""
        run = self._fit("--trainer.precision=bf16-mixed")
        self._check_finite(run)
        if self._media(self.run):
            assert self._media(run), f"its showcase gives nothing in bf16-mixed; {self._warned()}"

    def compiles(self) -> None:
        """Check that it trains with its networks compiled: as far as code that a compiler then makes faster."""
        self._check_finite(self._fit("--compile=aot_eager"))

    def processes(self) -> None:
        """Check that two processes train it together."""
        self._check_finite(self._fit("--trainer.devices=2", "--trainer.strategy=ddp"))

    def shows(self) -> None:
        """Check that what it shows reached the run folder; an exception there is only a warning in training."""
        self.apart(lambda: _require(self.load(), "showcase"))
        assert self._media(self.run), f"its showcase gave nothing to look at; {self._warned()}"

    def _media(self, run: Run) -> bool:
        return any((run.path / "media").glob("*/*"))

    def _warned(self) -> str:
        warning = last_line("\n".join(line for line in self.said.splitlines() if "showcase" in line))
        return f"what the fit said of it: {warning}"

    def generates(self) -> None:
        """Check that `dlplug generate` makes something."""
        self.apart(lambda: _require(self.load(), "generate"))
        options = [
            option(k.removeprefix("generate."), v)
            for k, v in self.spec.check_options.items()
            if k.startswith("generate.")
        ]
        self._command("generate", self.run.path, *options)
        assert any(self.run.path.glob("generated/*")), "its generate made no file"

    def panels(self) -> None:
        """Check that its panels name what is really logged and shown."""
        run = self.run
        if not (run.path / "test.csv").exists():
            self._command("test", run.path)
        check_panels(run.path)

    @cached_property
    def run(self) -> Run:
        """A short run on its own data, which the checks share."""
        return self._fit()

    def _line(self) -> list[str]:
        options = {**SHORT, **{k: v for k, v in self.spec.check_options.items() if not k.startswith("generate.")}}
        data = ["--data", self.data] if self.data else []
        if self.data:  # whose own options they are that a check of it takes
            spec = next((s for s in self.registry if s.kind == "data" and s.name == self.data.rpartition(":")[2]), None)
            options = {k: v for k, v in options.items() if not k.startswith("data.")}
            options |= {k: v for k, v in spec.check_options.items() if k.startswith("data.")} if spec else {}
            if isinstance(spec, DataSpec) and spec.needs_files:
                data += self._sample
        return ["--model", f"{self.plugin.name}:{self.spec.name}", *data, *(option(k, v) for k, v in options.items())]

    @cached_property
    def _sample(self) -> list[str]:
        """Options that train on a sample of its data, which need files."""
        place = self._place()
        made = run_command("sample", self.data, place / "files", folder=place)
        assert made.returncode == 0, f"dlplug sample fails: {last_line(made.stderr)}"
        line = shlex.split(made.stdout.splitlines()[-1])
        return line[line.index("--data") + 2 :]

    def _fit(self, *options: str) -> Run:
        run = self._command("fit", *self._line(), *options)
        assert run
        return run

    def _command(self, command: str, *args: str | Path) -> Run:
        place = self._place()
        found = run_command(command, *args, folder=place, OMP_NUM_THREADS="1")
        diverged = command == "fit" and "is not a number" in found.stderr  # which a check of its own is about
        assert diverged or found.returncode == 0, f"dlplug {command} fails: {last_line(found.stderr)}"
        self.said += found.stderr
        if command != "fit":
            return self.run
        [config] = place.glob("runs/*/*/config.yaml")
        return Run(config.parent)

    def _place(self) -> Path:
        place = next(path for n in count() if not (path := self.folder / f"{n}").exists())
        place.mkdir()
        return place


def _require(model: type, method: str) -> None:
    if not hasattr(model, method):
        raise SkipTest(f"it has no method {method}")
