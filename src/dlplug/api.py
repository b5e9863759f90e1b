"""Python: what the command does, for scripts and notebooks; ``import dlplug`` offers it all.

Everything takes the words of the command line, and trains by the same code. Errors are exceptions: ``InputError`` where
the command's exit status is 2. Nothing global stays changed: seeds, threads, warnings and logging are put back.
"""

import gzip
import json
import logging
import os
import sys
import tempfile
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from html import escape
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from dlplug.console import plain
from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.job import KINDS, Job, expand, option
from dlplug.runs import Run, run_folders
from dlplug.specs import Spec

if TYPE_CHECKING:
    from dlplug.data import Input
    from dlplug.media import Media
    from dlplug.training.cli import CLI

_ONE = RLock()  # random states, warnings and standard input are the process's: threads train one after another
FINDER_SKIPS = 10  # losses, whose running mean still begins, as in Lightning's own suggestion
FRAME = 'width="100%" height="800" style="border: 0"'
UNPACK = """<script>
new Response(new Blob([Uint8Array.from(atob("{}"), c => c.charCodeAt(0))]).stream()
  .pipeThrough(new DecompressionStream("gzip"))).text()
  .then(page => {{ document.open(); document.write(page); document.close(); }});
</script>"""
Table = Any  # a ``pandas.DataFrame``, or a dict of columns where pandas is not installed


class TrainedRun:
    """A run folder, with what can be done with it.

    Args:
        path: The folder.
        objects: The model and data, where they were given as objects.

    Attributes:
        path: The folder.

    Raises:
        InputError: There is no run.
    """

    def __init__(self, path: str | os.PathLike[str], objects: Mapping[str, Any] | None = None) -> None:
        self._run = Run.open(os.fspath(path))
        self._objects = objects or {}
        self.path = self._run.path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in self._last().items())
        return f"TrainedRun({str(self.path)!r})" + (f"  # {last}" if last else "")

    def _repr_html_(self) -> str:
        about = self._run.about
        names = " on ".join(str(about[kind]["name"]) for kind in KINDS if about.get(kind, {}).get("name"))
        cells = "".join(f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in self._last().items())
        return f"<b>{escape(names)}</b> <code>{escape(str(self.path))}</code><table>{cells}</table>"

    def _last(self) -> dict[str, float]:
        return _measured(_read_rows(self.path / "metrics.csv"), "train/grad_norm", "train/lr")

    @property
    def metrics(self) -> Table:
        """What was logged, a row a logging step: columns such as ``epoch``, ``step`` and ``val/loss``."""
        return _as_table(_read_rows(self.path / "metrics.csv"))

    @cached_property
    def model(self) -> Any:
        """The model with the weights of its best checkpoint, on the CPU and in evaluation mode."""
        from dlplug.trained import load_trained, read_checkpoint

        if "model" not in self._objects:
            return load_trained(self._run)
        model = self._objects["model"]
        with suppress(TypeError):  # of what cannot be copied, a lock or a file
            model = deepcopy(model)  # since other fits may go on to train it
        model.cpu()
        model.load_state_dict(read_checkpoint(self._run.trained)["state_dict"])
        return model.eval()

    @cached_property
    def data(self) -> Any:
        """The data module that it was trained on, set up to test."""
        from dlplug.training.cli import prepare

        with _unchanged():
            registry = Registry.discover()
            data = prepare(expand("validate", [str(self.path)], registry, self._objects), registry).datamodule
            data.prepare_data()
            data.setup("test")
        return data

    def test(self, options: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Measure the best checkpoint on the test data, as ``dlplug test RUN``, and return the metrics by name."""
        return self._measure("test", options)

    def validate(self, options: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Measure the best checkpoint on the validation data, as ``dlplug validate RUN``."""
        return self._measure("validate", options)

    def _measure(self, command: str, options: Mapping[str, Any] | None) -> dict[str, float]:
        _execute(command, [str(self.path), *_as_args(options)], self._objects)
        return _measured(_read_rows(self.path / f"{command}.csv"))

    def predict(self, inputs: Any = None, top: int | None = None, options: Mapping[str, Any] | None = None) -> Table:
        """Predict, as ``dlplug predict RUN``: the test data, or new items without labels.

        Args:
            inputs: The test data if None. A file or folder as for ``--input``; or a sequence of files, of texts, of
                PIL images or of arrays of ``uint8``, of shape (height, width) or (height, width, 3); or a tensor or an
                array of numbers, the samples as the run's data module gives them, shape (items, ...).
            top: How many of the likeliest classes or words are named.
            options: Further options of the command.

        Returns:
            A row an item: its name or place under ``item``, then what the model says of it. The folder's own
            predictions.csv is replaced where it is the test data that are predicted.
        """
        if inputs is None:
            _execute("predict", [str(self.path), *_as_args(options)], self._objects, {"top": top})
            return _as_table(_read_rows(self.path / "predictions.csv"))
        with _ONE, tempfile.TemporaryDirectory() as folder, _as_source(inputs, Path(folder)) as source:
            output = Path(folder) / "rows.jsonl"
            asked = {"input": source, "output": str(output), "top": top}
            with _of_samples(source, self):
                _execute("predict", [str(self.path), *_as_args(options)], self._objects, asked)
            lines = output.read_text(encoding="utf-8").splitlines()
        return _as_table([json.loads(line) for line in lines])

    def generate(self, seed: int = 0, **options: Any) -> "Media | dict[str, Media]":
        """Return what the model's ``generate`` makes, as ``dlplug generate RUN``; notebooks show it.

        Args:
            seed: Of everything random.
            options: Arguments of the model's ``generate``.
        """
        from dlplug.commands.generate import generate_media

        with _ONE, _unchanged():
            try:
                made = generate_media(self.model, seed, options)
            except TypeError as error:  # the command has looked at types before
                raise InputError(f"generate: {error}") from error
        return made.get("") or made

    def report(self) -> "Page":
        """Write the run's page, as ``dlplug report RUN``; notebooks show it."""
        from dlplug.report.page import write_report

        return Page(write_report(self._run))

    def resume(self, options: Mapping[str, Any] | None = None) -> "TrainedRun":
        """Resume training from the last checkpoint, as ``dlplug fit RUN``, say with ``{"trainer.max_epochs": 60}``.

        Raises:
            FloatingPointError: A loss is not a number; the run's folder has all until then.
        """
        _execute("fit", [str(self.path), *_as_args(options)], self._objects)
        return TrainedRun(self.path, self._objects)


class Page:
    """An HTML page that needs nothing but itself.

    Attributes:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Page({str(self.path)!r})"

    def _repr_html_(self) -> str:
        # In a frame, so that its looks and scripts stay its own; compressed, since notebooks keep all that they show.
        page = b64encode(gzip.compress(self.path.read_bytes(), mtime=0)).decode()
        return f'<iframe srcdoc="{escape(UNPACK.format(page), quote=True)}" {FRAME}></iframe>'


class Findings(list[dict[str, Any]]):
    """The evidence of each claim, as ``dlplug verify --json`` writes it; notebooks show the page."""

    def _repr_html_(self) -> str:
        from dlplug.commands.verify import write_page

        return Page(write_page(self))._repr_html_()


def fit(model: Any, data: Any = None, options: Mapping[str, Any] | None = None) -> TrainedRun:
    """Train, as ``dlplug fit --model MODEL --data DATA`` does.

    Args:
        model: A name, class path, class, or a ``LightningModule``, which is trained in place, as a ``Trainer`` would.
        data: A name, class path, class or ``LightningDataModule``; or what to train on, or a list of what to train,
            validate and test on, each a ``DataLoader``, a ``Dataset``, a tensor or array of inputs, or a tuple of
            inputs and targets (see ``dlplug.data.from_tensors`` and ``from_datasets``); the model's own data if None.
        options: Further options as they are typed, such as ``{"trainer.max_epochs": 3, "seed_everything": 1}``.

    Returns:
        The run, in a folder of its own.

    Raises:
        InputError: Something given cannot be used.
        FloatingPointError: A loss is not a number; the run's folder has all until then.
        KeyboardInterrupt: It was stopped; ``dlplug.load(...)`` and ``resume`` go on.
    """
    args, objects = _as_command(model, data, options)
    run = _execute("fit", args, objects)
    if run is None:
        raise InputError("with trainer.fast_dev_run nothing is kept: `dlplug.fit` returns what is")
    return TrainedRun(run.path, objects)


def find_lr(model: Any, data: Any = None, options: Mapping[str, Any] | None = None, num_training: int = 100) -> float:
    """Suggest a learning rate, by Lightning's finder: where the loss falls fastest over the logarithm of the rate.

    That is the range test of Smith (2017). Lightning's own suggestion takes the slope over the rate itself, which is
    steepest where rates are so small that nothing but noise moves the loss.

    Args:
        model: As for ``fit``, with an attribute ``lr``; a schedule of ours stands still. An object is not changed.
        data: As for ``fit``.
        options: As for ``fit``.
        num_training: How many batches are trained on.

    Returns:
        A rate to give as ``model.lr``: a place to start from, since it has seen no validation.

    Raises:
        InputError: Something given cannot be used, or the finder suggests nothing.
    """
    import numpy as np
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import Trainer
    from lightning.pytorch.tuner.tuning import Tuner

    from dlplug.optim import WarmupCosine

    args, objects = _as_command(model, data, options)
    with _ONE, _unchanged(), _as_given(objects.get("model")), tempfile.TemporaryDirectory() as folder:
        cli = _prepare("validate", args, objects)
        module = deepcopy(cli.model)
        if isinstance(module, WarmupCosine):
            module.on_train_batch_start = lambda *_: None  # type: ignore[method-assign]
        device = str((options or {}).get("trainer.accelerator", "auto"))
        # Enough epochs, since the finder counts batches.
        extras = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        without: dict[str, Any] = dict.fromkeys(extras, False)
        trainer = Trainer(accelerator=device, devices=1, max_epochs=num_training, default_root_dir=folder, **without)
        try:
            found = Tuner(trainer).lr_find(
                module, datamodule=cli.datamodule, num_training=num_training, update_attr=False
            )
        except MisconfigurationException as error:
            raise InputError(" ".join(str(error).split())) from error
    curve: dict[str, list[float]] = found.results if found else {"loss": [], "lr": []}
    losses = np.array(curve["loss"])[FINDER_SKIPS:]
    if not np.isfinite(losses).all() or len(losses) < 2:
        raise InputError("the finder suggests no rate: try more batches, num_training=300")
    return float(curve["lr"][FINDER_SKIPS + int(np.gradient(losses).argmin())])


def load(run: str | os.PathLike[str]) -> TrainedRun:
    """Return the run in a folder.

    Raises:
        InputError: There is none.
    """
    return TrainedRun(run)


def list_runs(folder: str | os.PathLike[str] = "runs") -> list[TrainedRun]:
    """Return the runs below a folder, the newest first."""
    paths = sorted(run_folders(Path(folder)), key=lambda path: (path / "config.yaml").stat().st_mtime_ns, reverse=True)
    return [TrainedRun(path) for path in paths]


def test(run: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> dict[str, float]:  # noqa: PT028
    """Measure a run's best checkpoint on the test data: see ``TrainedRun.test``."""
    return load(run).test(options)


def predict(run: str | os.PathLike[str], inputs: Any = None, top: int | None = None) -> Table:
    """Predict with a run's best checkpoint: see ``TrainedRun.predict``."""
    return load(run).predict(inputs, top)


def generate(run: str | os.PathLike[str], seed: int = 0, **options: Any) -> "Media | dict[str, Media]":
    """Return what a run's model generates: see ``TrainedRun.generate``."""
    return load(run).generate(seed, **options)


def list_models(word: str = "") -> list[str]:
    """Return the names of the installed models, those that a word or a section of the course finds."""
    from dlplug.commands.show import matching

    return [spec.name for spec in matching(Registry.discover(), word) if spec.kind == "model"]


def info(name: str) -> list[Spec]:
    """Print what ``dlplug info NAME`` prints, and return the specs of that name."""
    from dlplug.commands.show import print_info

    registry = Registry.discover()
    print_info(registry, name)
    return [spec for spec in registry if spec.name == name.rpartition(":")[2]]


def verify(*words: str, seeds: int | None = None, jobs: int = 1, full: bool = False) -> Findings:
    """Measure claims, as ``dlplug verify WORDS``, each in a process of its own.

    Args:
        words: Names of claims or models, or sections; all claims if none.
        seeds: How many seeds each measurement is repeated over; None for each claim's own.
        jobs: How many claims are measured at once.
        full: The quality tables too, which take much longer.
    """
    from dlplug.commands.verify import chosen, measure

    claims = chosen(Registry.discover(), words, full)
    order = [claim.name for claim in claims]
    return Findings(sorted(measure(claims, seeds, jobs), key=lambda found: order.index(found["name"])))


def _name(kind: str, value: Any) -> str:
    """Return the name or class path that a value is or has; empty for an object."""
    if isinstance(value, str):
        return value
    if not isinstance(value, type):
        return ""
    path = f"{value.__module__}.{value.__qualname__}"
    if getattr(import_module(value.__module__), value.__qualname__, None) is not value:
        raise InputError(f"{path} cannot be imported by that name: give an object, {value.__name__}(…), as the {kind}")
    return path


def _as_module(kind: str, value: Any) -> Any:
    """Return an object as Lightning takes it."""
    import numpy as np
    from lightning.pytorch import LightningDataModule, LightningModule
    from torch import Tensor
    from torch.utils.data import DataLoader, Dataset

    from dlplug.data import from_datasets, from_tensors

    if isinstance(value, LightningModule if kind == "model" else LightningDataModule):
        return value
    parts = value if isinstance(value, list) else [value]
    if kind == "data" and 1 <= len(parts) <= 3:
        if all(isinstance(part, Tensor | np.ndarray | tuple) for part in parts):
            return from_tensors(*parts)
        if all(isinstance(part, Dataset) for part in parts):
            return from_datasets(*parts)
        if all(isinstance(part, DataLoader) for part in parts):
            loaders = dict(zip(("train", "val", "test"), parts, strict=False))
            loaders |= {"predict": parts[2]} if len(parts) == 3 else {}
            methods = {f"{stage}_dataloader": lambda self, loader=loader: loader for stage, loader in loaders.items()}
            return type("DataLoaders", (LightningDataModule,), methods)()
    wanted = "a LightningModule" if kind == "model" else "a LightningDataModule, tensors, Datasets or DataLoaders"
    raise InputError(f"the {kind} is a {type(value).__name__}: give a name, a class, {wanted}")


@contextmanager
def _as_source(inputs: Any, folder: Path) -> "Iterator[str | list[Input]]":
    """Give what ``predict`` reads for new items: a path, names or texts on standard input, or the items themselves."""
    import numpy as np
    import torch
    from PIL import Image

    if isinstance(inputs, str | os.PathLike):
        yield os.fspath(inputs)
        return
    try:
        items = [] if isinstance(inputs, bytes | Mapping) else list(inputs)
    except TypeError:
        items = []
    if not items:
        raise InputError(
            f"predict takes files, texts, images or arrays of numbers, one or more; not {plain(repr(inputs))}"
        )
    if all(isinstance(item, str | os.PathLike) for item in items):
        stdin, text = sys.stdin, "".join(f"{' '.join(os.fspath(item).splitlines())}\n" for item in items)
        sys.stdin = TextIOWrapper(BytesIO(os.fsencode(text)))
        try:
            yield "-"
        finally:
            sys.stdin = stdin
        return
    images = [Image.fromarray(np.asarray(i)) if _is_picture(i) else i for i in items]
    if all(isinstance(image, Image.Image) for image in images):  # as files, so that they are read as all others
        width = len(str(len(images)))
        for number, image in enumerate(images):
            image.save(folder / f"{number:0{width}}.png")
        yield str(folder)
        return
    try:
        samples = [torch.as_tensor(item) for item in items]
        samples = [s.float() if s.dtype == torch.float64 else s for s in samples]  # NumPy's own floats
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"predict takes files, texts, images or arrays of numbers: {error}") from error
    if len({sample.shape for sample in samples}) > 1 or not samples[0].shape:
        raise InputError(
            f"predict takes samples of one shape, a row each; not {', '.join(str(tuple(s.shape)) for s in samples[:3])}"
        )
    yield [(str(number), partial(tuple, [sample])) for number, sample in enumerate(samples)]


@contextmanager
def _of_samples(source: "str | list[Input]", run: TrainedRun) -> Iterator[None]:
    """Say in one line what torch says of samples whose shape or type a model cannot take."""
    try:
        yield
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        if isinstance(source, str) or isinstance(error, InputError):
            raise
        [sample] = source[0][1]()
        told = f" of {info}" if (info := getattr(run.model, "info", None)) else ""
        what = f"samples of shape {tuple(sample.shape)} and {str(sample.dtype).removeprefix('torch.')}"
        raise InputError(f"a {type(run.model).__name__}{told} cannot take {what}: {plain(error)}") from error


def _is_picture(item: Any) -> bool:
    """Return whether an item is an array or tensor of a picture's shape and type."""
    shape = tuple(getattr(item, "shape", ()))
    return str(getattr(item, "dtype", "")).endswith("uint8") and (
        len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    )


def _as_args(options: Mapping[str, Any] | None) -> list[str]:
    try:
        return [
            option(key, json.loads(json.dumps(value, default=_as_plain))) for key, value in dict(options or {}).items()
        ]
    except (TypeError, ValueError) as error:  # of json, and of dict
        raise InputError(f"options are plain values by name, as they would be typed: {error}") from error


def _as_plain(value: Any) -> Any:
    """Return a path as text, and numpy's numbers and arrays as Python's."""
    return value.tolist() if hasattr(value, "tolist") else os.fspath(value)


def _as_command(model: Any, data: Any, options: Mapping[str, Any] | None) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments that a model and data are, and those of them that are objects."""
    given = {kind: value for kind, value in (("model", model), ("data", data)) if value is not None}
    names = {kind: _name(kind, value) for kind, value in given.items()}
    objects = {kind: _as_module(kind, value) for kind, value in given.items() if not names[kind]}
    return [f"--{kind}={name}" for kind, name in names.items() if name] + _as_args(options), objects


def _execute(
    command: str, args: list[str], objects: Mapping[str, Any], predictions: Mapping[str, Any] | None = None
) -> Run | None:
    """Run a training command and return its run folder."""
    with _ONE, _unchanged(), _as_given(objects.get("model")):
        try:
            cli = _prepare(command, args, objects, predictions)
            status = cli.execute()
        except SystemExit as error:
            raise InputError(f"{command} ends the process: {error}") from error
    if status >= 128:
        raise KeyboardInterrupt(f"{cli.run.path if cli.run else command}: stopped")
    if status and command != "predict":
        raise FloatingPointError(f"{cli.run.path if cli.run else command}: a loss is not a number")
    return cli.run


def _prepare(
    command: str, args: list[str], objects: Mapping[str, Any], predictions: Mapping[str, Any] | None = None
) -> "CLI":
    """Make what a training command needs, ready to execute in this process."""
    from dlplug.commands.train import check_inputs
    from dlplug.training.cli import prepare

    if taken := [arg for arg in args if arg.startswith(tuple(f"--{kind}." for kind in objects))]:
        raise InputError(f"{taken[0][2:]}: what is given as an object has its options already")
    registry = Registry.discover()
    job: Job = replace(expand(command, args, registry, objects), predictions=predictions or {}, here=True)
    check_inputs(job, registry)
    return prepare(job, registry)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file: numbers where they are, None for empty cells."""
    from dlplug.loggers.csv import read_metrics

    return [{name: _as_value(cell) for name, cell in row.items()} for row in read_metrics(path)]


def _measured(rows: Sequence[Mapping[str, Any]], *but: str) -> dict[str, float]:
    """Return the last value of each metric."""
    cells = ((name, value) for row in rows for name, value in row.items() if name not in ("epoch", "step", *but))
    return {name: value for name, value in cells if value is not None}


def _as_value(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell or None


def _as_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = dict.fromkeys(name for row in rows for name in row)
    table = {name: [row.get(name) for row in rows] for name in columns}
    if find_spec("pandas") is None:
        return table
    import pandas  # type: ignore[import-untyped]

    return pandas.DataFrame(table)


@contextmanager
def _as_given(model: Any) -> Iterator[None]:
    """Take back what a command gives an object for its own time; other commands may give it something else."""
    names = ("top", "gradient_clip", "configure_optimizers")
    before = {name: vars(model)[name] for name in names if model is not None and name in vars(model)}
    try:
        yield
    finally:
        for name in names if model is not None else ():
            vars(model).pop(name, None)
        if before:
            vars(model).update(before)


@contextmanager
def _unchanged() -> Iterator[None]:
    """Put back what training changes for the whole process."""
    import torch
    import yaml
    from lightning.pytorch.utilities.seed import isolate_rng

    with ExitStack() as stack:
        stack.callback(_restore, os.environ, dict(os.environ))
        stack.callback(sys.path.__setitem__, slice(None), [*sys.path])
        stack.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        stack.callback(torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        for logger in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric")):
            stack.callback(logger.setLevel, logger.level)
        cudnn, dumper = torch.backends.cudnn, yaml.SafeDumper
        stack.callback(setattr, dumper, "yaml_multi_representers", dict(dumper.yaml_multi_representers))
        for owner, name in ((cudnn, "deterministic"), (cudnn, "benchmark"), (warnings, "formatwarning")):
            stack.callback(setattr, owner, name, getattr(owner, name))
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # a class of the user's own may be in a file here
        stack.enter_context(isolate_rng())
        stack.enter_context(warnings.catch_warnings())
        yield


def _restore(mapping: MutableMapping[str, str], before: Mapping[str, str]) -> None:
    for name in mapping.keys() - before.keys():
        del mapping[name]
    mapping.update(before)
