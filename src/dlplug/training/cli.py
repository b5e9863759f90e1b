"""Lightning's command line with dlplug's names, hooks and run folders."""

import functools
import json
import logging
import operator
import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import MethodType
from typing import Any, Literal, get_args

import yaml
from jsonargparse import Namespace, get_loader, set_loader
from jsonargparse.typing import PositiveInt
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, instantiate_class
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.model_helpers import is_overridden

from dlplug.console import is_rank_zero, is_watched, plain, plain_warnings, say
from dlplug.data import Data, Info
from dlplug.errors import InputError
from dlplug.loggers.csv import MetricsFile, broken_losses, read_metrics
from dlplug.model import Model
from dlplug.registry import Registry
from dlplug.registry.job import CHANGEABLE, Job, load_config, parse_config, with_version_drift
from dlplug.registry.provenance import HEAD, versions_to_record
from dlplug.registry.source import load_class, read_class
from dlplug.report.page import write_report
from dlplug.runs import NAME, Run
from dlplug.specs import CommandSpec
from dlplug.trained import read_checkpoint, refuse_misfit
from dlplug.training.callbacks import (
    Compile,
    GradNormAndLRMonitor,
    LearningRateScaling,
    LiveReport,
    OptimizerOverrides,
    Showcase,
    guard,
)
from dlplug.training.checkpoints import AtomicCheckpointIO, Checkpoints
from dlplug.training.launch import (
    Preemption,
    agreed,
    devices,
    launch_key,
    refuse_strategy,
    restarted_run,
    signals_restored,
)
from dlplug.training.parse_errors import explain, lightnings, refuse_known, serialised
from dlplug.training.predictions import InputData, PredictionWriter
from dlplug.training.progress import ADVICE, EpochSummary, TrainingBar
from dlplug.training.resume import ExactResume, find, refuse
from dlplug.training.seeding import EpochSeeding
from dlplug.training.strategy import AveragedGradients

PARSER_MODE = "dlplug"
CHECKPOINTS = {"every_n_train_steps": PositiveInt, "train_time_interval": timedelta}
OPTIMIZER = ("optimizer", "lr_scheduler")  # keys of LightningCLI's
BASES: dict[str, type] = {"model": LightningModule, "data": LightningDataModule}
KNOWN_NOISE = (
    "The '.*_dataloader' does not have many workers",
    "The number of training batches .* is smaller than the logging interval",
    "Found .* module.* in eval mode at the start of training",
    "Total length of `list` across ranks is zero",  # data without validation data
    "You defined a `validation_step` but have no `val_dataloader`",
    "`isinstance\\(treespec",
    "It is recommended to use `self.log",
    "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    "Couldn't infer the batch indices",
    "The `srun` command is available",  # on a login node of a cluster, where a plain run is meant
    "Unable to serialize instance",  # what cannot be written into a config is refused, or a default
)


def run(job: Job, registry: Registry) -> int:
    """Run a training command.

    Args:
        job: The command, its names expanded.
        registry: The installed plugins, whose hooks are called.

    Returns:
        The exit status; 130 after Ctrl-C and 143 after SIGTERM, with a run folder that resumes.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    return prepare(job, registry).execute()


def prepare(job: Job, registry: Registry) -> "CLI":
    """Make the model, the data and the trainer of a training command, ready to execute.

    Raises:
        InputError: Something the user gave cannot be used.
    """
    _quieten()
    return with_version_drift(lambda: _prepare(job, registry), job.files)


def _prepare(job: Job, registry: Registry) -> "CLI":
    for kind, class_path in job.chosen.items():
        if class_path and kind not in job.objects:
            load_class(class_path, BASES[kind], functions=kind == "data")
    configs = [load_config(path, registry).get("data") for path in job.files if "data" not in job.objects]
    paths = [arg.removeprefix("--data=") for arg in job.args if arg.startswith("--data=")]
    for path in {*paths, *(str(data.get("class_path")) for data in configs if isinstance(data, dict))}:
        with suppress(InputError):  # one that others replace; jsonargparse has to know a function all the same
            load_class(path, LightningDataModule, functions=True)
    try:
        return CLI(job, registry)
    except BaseException as error:  # jsonargparse's, and whatever the options make a constructor raise
        asks = any(arg.startswith("--print_config") or ".help" in arg or arg == "--help" for arg in job.args)
        if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and asks and not error.code):
            raise
        raise InputError(explain(error)) from error


def print_help_all(job: Job, registry: Registry) -> int:
    """Print every argument of a training command as Lightning does, then those of the chosen classes."""
    _quieten()
    chosen = [f"--{kind}.help={class_path}" for kind, class_path in job.chosen.items() if class_path]
    for option in ("--help", *chosen):
        with suppress(SystemExit):
            CLI(replace(job, args=[option]), registry)
    return 0


class CLI(LightningCLI):
    """A LightningCLI that knows the registry's names and gives each fit a run folder.

    Attributes:
        job: What to run.
        registry: The installed plugins.
        run: The run folder, once there is one.
    """

    def __init__(self, job: Job, registry: Registry) -> None:
        self.job = job
        self.registry = registry
        self.run = job.run
        self._preemption = Preemption()
        self._held = ExitStack()  # what is let go of in the end: the run folder's lock
        self._left_out: set[str] = set()  # plugins with a hook that raised
        load = get_loader("yaml")
        set_loader(PARSER_MODE, lambda text: self._of_config(parse_config(text, load, registry)), (yaml.YAMLError,))
        # Lightning writes the parsed config as YAML, which does not know the enums that are defaults of its callbacks.
        yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, enum: dumper.represent_data(enum.value))
        super().__init__(
            run=False,  # Lightning's subcommands would build a parser each, for one that is used
            auto_configure_optimizers=False,  # Lightning makes the optimizer before a Model has weights
            save_config_callback=None,  # a run folder is made with its config in it
            trainer_defaults={"default_root_dir": "runs", "enable_model_summary": False},
            seed_everything_default=0,
            args=job.args,
        )

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Read config files with names in them, and raise instead of exiting."""
        return super().init_parser(**{"parser_mode": PARSER_MODE, "exit_on_error": False, **kwargs})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where to start from, and let plugins add theirs."""
        parser.add_argument("--ckpt_path", type=str, default=None, help="Checkpoint to start from or to use.")
        parser.add_optimizer_args()
        parser.add_lr_scheduler_args()
        backend, text = Literal["inductor", "aot_eager"] | None, "Compile the networks: torch.compile's backend."
        parser.add_argument("--compile", type=backend, nargs="?", const="inductor", default=None, help=text)
        if self.job.command == "fit":
            text = "Show the page in the browser while it trains."
            parser.add_argument("--open", type=bool, nargs="?", const=True, default=False, help=text)
            text = "Raise the learning rate with the number of processes: by it for SGD, for others by its square root."
            parser.add_argument("--scale_lr", type=bool, nargs="?", const=True, default=False, help=text)
            for key, kind in CHECKPOINTS.items():
                text = f"Save checkpoints within epochs too: {key} of Lightning's ModelCheckpoint."
                parser.add_argument(f"--{key}", type=kind | None, default=None, help=text)
        if self.job.command == "fit" and not self.job.run:
            name, resume = os.environ.get("DLPLUG_RUN"), Literal["auto"] | None
            parser.add_argument("--run", type=str | None, default=name, help="Name of the run's folder.")
            parser.add_argument("--resume", type=resume, default=None, help="Resume the run of that name if it exists.")
        self._call_hooks("dlplug_add_arguments", lambda hook: hook(parser))

    def _of_config(self, config: Any) -> Any:
        """Return a config without what Python gave as objects."""
        return {k: v for k, v in config.items() if k not in self.job.objects} if isinstance(config, dict) else config

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, without the warning that arguments should come from sys.argv."""
        self.config = parser.parse_args(args)
        if self.config.ckpt_path is not None:
            self.config.ckpt_path = self._checkpoint(self.config.ckpt_path)

    def _checkpoint(self, asked: str) -> str:
        """Return the file that is asked for; Lightning would look for its own best, last and hpc where it likes."""
        kept = {"best": self.job.run.best, "last": self.job.run.last} if self.job.run else {}
        path = kept.get(asked) or Path(asked)
        if asked in ("best", "last") and not kept.get(asked):
            raise InputError(f"--ckpt_path {asked} is that of a run folder, such as `dlplug test RUN`; there is none")
        if not path.exists():
            raise InputError(f"--ckpt_path {asked!r}: there is no such file")
        return os.path.join(os.curdir, path) if path.name == str(path) else str(path)  # its name may be hpc

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Make the parser, anew without a plugin whose hook raised: what it had already added goes with it."""
        left_out = None
        while left_out != self._left_out:
            left_out = set(self._left_out)
            super().setup_parser(*args, **kwargs)
        for action in self.parser._actions:
            # A whole number is one: typing gives a union in the order in which it was first asked for, anywhere.
            members = get_args(getattr(action, "_typehint", None))
            if {int, float} <= set(members):
                whole_first = sorted(members, key=lambda kind: kind is float)
                action._typehint = functools.reduce(operator.or_, whole_first)  # type: ignore[attr-defined]

    def _open_optimizers(self) -> None:
        """Give a model without optimizers those that are asked for, as Lightning would, but once it has weights."""
        asked, schedule = (self.config_init.get(key) for key in OPTIMIZER)
        name = type(self.model).__name__
        if is_overridden("configure_optimizers", self.model):
            if asked or schedule:
                raise InputError(
                    f"{name} makes its optimizers itself, in configure_optimizers: --optimizer and --lr_scheduler are "
                    "for models that leave that open"
                )
            return
        if not asked and (schedule or self.job.command == "fit"):
            raise InputError(
                f"{name} has no optimizer: --optimizer Adam --optimizer.lr 0.001 gives it one, and so does a method "
                "configure_optimizers"
            )
        if not asked:
            return
        before = load_config(str(self.job.run.config), self.registry) if self.job.run else {}
        for key in OPTIMIZER:
            kinds = [(config.get(key) or {}).get("class_path") for config in (before, self.config) if config]
            if len({*kinds}) > 1:
                raise InputError(
                    f"{key} {kinds[0]} cannot become {kinds[1]} in a resumed run; start a new one with "
                    "-c RUN/config.yaml"
                )

        def configure_optimizers(model: LightningModule) -> Any:
            try:
                optimizer = instantiate_class(model.parameters(), asked)
                made = instantiate_class(optimizer, schedule) if schedule else None
            except (TypeError, ValueError) as error:
                raise InputError(f"optimizer or lr_scheduler: {error}") from error
            return self.configure_optimizers(model, optimizer, made)

        self.model.configure_optimizers = MethodType(configure_optimizers, self.model)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer with the run folder's callbacks, metrics file and checkpoints."""
        self.model = self.job.objects.get("model", self.model)
        self.datamodule = self.job.objects.get("data", self.datamodule)
        if not isinstance(self.datamodule, LightningDataModule | None):
            given, kind = self.job.chosen["data"], type(self.datamodule).__name__
            raise InputError(
                f"{given} returns a {kind}, not a LightningDataModule such as dlplug.data.from_tensors(...)"
            )
        self._open_optimizers()
        asked = self.config_init.trainer
        asked.default_root_dir = asked.default_root_dir or os.curdir  # null is that to Lightning
        if self.job.command == "fit":
            refuse(_as_list(asked.callbacks))
        if self.job.command == "fit" and not asked.fast_dev_run and not self.run:
            self.run = self._make_run(Path(asked.default_root_dir) / self.job.model)
        if self.job.command == "fit" and self.run and is_rank_zero():
            self._held.enter_context(self.run.lock())
        try:
            trainer = self._make_trainer(asked, kwargs)
            refuse_strategy(trainer, self.model, self.job.here)
            return trainer
        except BaseException:  # Ctrl-C too: Python may go on
            self._discard_unused_run()
            self._held.close()
            raise

    def _make_trainer(self, asked: Namespace, kwargs: dict[str, Any]) -> Trainer:
        if asked.overfit_batches and isinstance(self.datamodule, Data):
            limits = " ".join(f"--trainer.limit_{part}_batches {asked.overfit_batches}" for part in ("train", "val"))
            raise InputError(f"--trainer.overfit_batches needs batches made item by item; take {limits}")
        for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
            if (value := asked[name]) is not None and value < 1:
                raise InputError(f"--trainer.{name} {value}: 1 is the least")
        callbacks = _as_list(asked.callbacks)
        if self.job.command == "fit":
            self._keep_inside(callbacks)
        loggers = self._loggers([logger for logger in _as_list(asked.logger) if logger is True or guard(logger)])
        own_cluster = any(isinstance(plugin, ClusterEnvironment) for plugin in _as_list(asked.plugins))
        kwargs.update(devices(asked))
        cluster = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() and not own_cluster else []
        kwargs.update(
            callbacks=[ExactResume(), *callbacks, *self._callbacks()],
            logger=loggers + self._metrics_files(),
            plugins=[*_as_list(asked.plugins), AtomicCheckpointIO(type(self.model)), *cluster],
            # Under Slurm, Lightning resumes from any job's checkpoint that lies in its root.
            default_root_dir=str(self.run.path if self.run else Path(asked.default_root_dir) / self.job.model),
        )
        if not self.run:
            kwargs["enable_checkpointing"] = False
        own_bar = any(isinstance(c, ProgressBar) for c in kwargs["callbacks"])
        draws = own_bar or is_watched() if asked.enable_progress_bar is None else asked.enable_progress_bar
        kwargs["enable_progress_bar"] = draws and self.job.command != "predict"  # whose bar the writer draws
        if draws and self.job.command == "fit" and not own_bar:
            kwargs["callbacks"].append(TrainingBar())
        if self.model.automatic_optimization:
            return super().instantiate_trainer(**kwargs)
        if asked.gradient_clip_val and isinstance(self.model, Model):
            self.model.gradient_clip = (asked.gradient_clip_val, asked.gradient_clip_algorithm or "norm")
            kwargs.update(gradient_clip_val=None, gradient_clip_algorithm=None)
        trainer = super().instantiate_trainer(**kwargs)
        if isinstance(trainer.strategy, DDPStrategy) and asked.strategy in ("auto", "ddp"):
            # Alternating steps leave parameters without gradients, which plain ddp refuses.
            if isinstance(self.model, Model):
                return super().instantiate_trainer(**kwargs, strategy=AveragedGradients())
            say(f"{self.job.model} uses manual optimization: strategy ddp becomes ddp_find_unused_parameters_true")
            trainer = super().instantiate_trainer(**kwargs, strategy="ddp_find_unused_parameters_true")
        return trainer

    def _keep_inside(self, callbacks: list[Callback]) -> None:
        """Let checkpoints that are asked for besides the run's own stand in its folder, and not in their place."""
        for callback in callbacks:
            if self.run and isinstance(callback, ModelCheckpoint):
                callback.dirpath = callback.dirpath or str((self.run.checkpoints / "ModelCheckpoint").absolute())
                if Path(callback.dirpath).resolve() == self.run.checkpoints.resolve():
                    raise InputError(f"ModelCheckpoint: {callback.dirpath} is where the run keeps its own checkpoints")

    def _loggers(self, asked: list[Any]) -> list[Any]:
        """Attach the loggers that keep to a run folder; a command that logs nothing to one does without them."""
        own = [logger for logger in asked if logger is not True and not hasattr(logger, "attach")]
        if not self.run or self.job.command not in ("fit", "test"):
            return own
        # A run resumes with the loggers of its config, and `--logger` may name one of them again: the last counts.
        # Of a config's and an option's, which `guard` gave classes of their own by one name, the last counts.
        named = {(type(logger).__module__, type(logger).__qualname__): logger for logger in asked}
        attached = [logger for logger in named.values() if hasattr(logger, "attach")]
        if is_rank_zero():
            for logger in attached:
                logger.attach(self.run)
        return [*own, *attached]

    def execute(self) -> int:
        """Run the command and return the exit status."""
        with self._held, signals_restored():
            status = 1
            try:
                status = self._execute()
            finally:
                self._note_state({0: "done", 1: "failed"}.get(status, "stopped"))
            return status

    def _note_state(self, state: str) -> None:
        """Write into about.json how training ended, where it began."""
        summary = find(EpochSummary, self.trainer)
        if self.run and summary and summary.started is not None and is_rank_zero():
            with suppress(OSError):  # the folder is gone, or the disk full
                self.run.say_of_itself(state=state)

    def _execute(self) -> int:
        function: Callable[..., Any] = getattr(self.trainer, self.job.command)
        if self.job.command == "predict":
            function = functools.partial(function, return_predictions=False)
        if self.job.command == "fit":
            self.config.ckpt_path = agreed(self.config.ckpt_path, self.trainer)
        try:
            function(self.model, datamodule=self.datamodule, ckpt_path=self.config.ckpt_path)
        except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns Ctrl-C into an exit, SIGTERM too
            if not self.trainer.interrupted:
                raise
            pressed = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
            if not pressed and not isinstance(error, SIGTERMException):
                say(f"the model, the data or a callback ends the process: SystemExit: {plain(error)}")
                return 1
            self._report()
            if self.run:
                say(f"stopped; resume with: dlplug fit {shlex.quote(str(self.run.path))}")
            if not self._preemption.signal:
                return 130 if pressed else 143
            self._preemption.requeue()
            return 128 + self._preemption.signal if is_rank_zero() else 0  # Lightning kills the first for another's
        except Exception as error:
            self._discard_unused_run()
            if self.run and self.run.path.is_dir() and self.job.command == "fit":
                self._report()  # or its page would wait for more
            if isinstance(error, MisconfigurationException):
                raise InputError(lightnings(error)) from error
            refuse_misfit(error, self.config.ckpt_path, self.job.chosen["model"])
            refuse_known(error, self.config.ckpt_path)
            raise
        for file in self.trainer.loggers:  # what an earlier test or validation found is replaced by success alone
            if isinstance(file, MetricsFile) and self.job.command != "fit" and is_rank_zero() and file.path.exists():
                os.replace(file.path, file.path.with_name(f"{self.job.command}.csv"))
        self._report()
        if self.run and self.job.command != "predict" and not self.job.here:
            others = (spec for plugin in self.registry.plugins if plugin.name != "core" for spec in plugin.specs)
            offered = [spec.name for spec in others if isinstance(spec, CommandSpec) and spec.takes == "run"]
            say(self.run.summary(self.job.command, offered))
        if not (writer := find(PredictionWriter, self.trainer)):
            return self._status()
        if not self.job.here:
            say(writer.summary())
        return int(writer.bad == writer.count > 0)

    def _status(self) -> int:
        """Return 1 where a loss was not a number, in this command or before the run was resumed."""
        monitor = (getattr(self.model, "monitor", None) or ("",))[0]
        rows = read_metrics(self.run.path / "metrics.csv") if self.run and self.job.command == "fit" else []
        summary = find(EpochSummary, self.trainer)
        measured: list[Mapping[str, Any]] = [*rows, summary.loss if summary else {}, self.trainer.callback_metrics]
        found = [name for metrics in measured for name in broken_losses(metrics, monitor)]
        if found and is_rank_zero():
            say(f"failed: {', '.join(dict.fromkeys(found))} is not a number; {ADVICE}")
        return 1 if found else 0

    def _report(self) -> None:
        """Write the run's page anew; one that fails costs a warning, not the run."""
        if not self.run or self.job.command == "predict" or not is_rank_zero():
            return
        try:
            write_report(self.run)
        except Exception as error:
            say(f"warning: there is no report: {type(error).__name__}: {error}")

    def _discard_unused_run(self) -> None:
        if self.run and not self.job.run and is_rank_zero() and self.run.is_empty():
            self.run.discard()

    def _make_run(self, root: Path) -> Run:
        """Make the run's folder, or find the one that this command has already: by its name, or after a restart."""
        name = self.config.run
        if not is_rank_zero():  # writes nothing; what needs the folder has it broadcast
            last = Run(root / name).last if name and self.config.resume else None
            self.config.ckpt_path = str(last) if last else self.config.ckpt_path
            return Run(root / ".of-rank-zero")
        if name and not NAME.fullmatch(name):
            raise InputError(f"--run {name!r} is not a name: letters, digits, hyphens, underscores and points are")
        if self.config.resume and not name:
            raise InputError(f"--resume {self.config.resume} needs the run's name: --run NAME")
        config = self._config()
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        key = launch_key(text)
        found = Run.open(str(root / name)) if name and (root / name).exists() else None
        if found and not self.config.resume:
            raise InputError(f"{found.path} exists: --resume auto resumes it")
        found = found or (None if name else restarted_run(root, key))
        if not found:
            text = "".join(f"{HEAD}{line}\n" for line in versions_to_record(text, self.registry)) + text
            return Run.create(root, text, self._about() | ({"launch": key} if key else {}), name)
        before = load_config(str(found.config), self.registry)
        self.job = replace(self.job, run=found, changed=any(before.get(key) != config.get(key) for key in CHANGEABLE))
        self.config.ckpt_path = str(found.last) if found.last else self.config.ckpt_path
        return found

    def _config(self) -> dict[str, Any]:
        """Return the resolved config as it is saved, without what only this command asks for."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False, format="yaml"))
        config = serialised(config, self.config)
        for kind, given in self.job.objects.items():
            # What makes it anew, where its class has a name: the plain values that save_hyperparameters kept.
            del config[kind]
            if getattr(import_module(type(given).__module__), type(given).__qualname__, None) is type(given):
                config[kind] = {"class_path": self.job.chosen[kind], "init_args": _plain_values(given.hparams)}
        unused = (key for key in (*OPTIMIZER, "compile", "scale_lr") if not config[key])
        once = ("config", "ckpt_path", "open", "run", "resume", *CHECKPOINTS, *unused)
        return {name: value for name, value in config.items() if name not in once}

    def _about(self) -> dict[str, Any]:
        """Return what a run folder says of itself, readable where neither its plugin nor torch is."""
        about: dict[str, Any] = {"commands": [shlex.join(self.job.typed)], "cwd": os.getcwd()}
        for kind, class_path in self.job.chosen.items():
            spec = self.registry.spec_of(kind, class_path)
            about[kind] = {
                "name": spec.name if spec else class_path,
                "class_path": class_path,
                "origin": self.registry.owner(spec).origin if spec else "",
                "summary": spec.summary if spec else "",
                "lecture": spec.lecture if spec else "",
                "doc": read_class(class_path).doc.partition("\nArgs:")[0].strip(),
            }
        about["versions"] = {name: version(name) for name in ("dlplug", "lightning", "torch")}
        about["monitor"] = getattr(self.model, "monitor", "default")
        about["generates"] = callable(getattr(self.model, "generate", None))
        about["axis"] = getattr(self.model, "axis", "")
        return about

    def _callbacks(self) -> list[Callback]:
        callbacks: list[Callback] = [EpochSeeding()]
        if self.config.compile:
            callbacks.append(Compile(self.config.compile))
        if self.run and self.job.command == "fit":
            if self.job.changed:
                callbacks.append(OptimizerOverrides())
            typed = self.job.typed if self.job.run else ()
            summary = EpochSummary(self.run, self.job.model, typed)
            callbacks += [self._preemption, summary, Showcase(self.run), GradNormAndLRMonitor()]
            callbacks.append(LearningRateScaling(self.config.scale_lr))
            callbacks.append(LiveReport(self.run, self.config.open))
            if self.config_init.trainer.enable_checkpointing is not False:
                given = (self.config_init.get(name) for name in CHECKPOINTS)
                callbacks.append(Checkpoints(self.run, self.model, self._preemption, *given))
        if self.job.command == "predict":
            callbacks += self._prediction_writers()
        self._call_hooks("dlplug_callbacks", lambda hook: callbacks.extend(_checked(hook())))
        return callbacks

    def _prediction_writers(self) -> list[PredictionWriter]:
        """Return what writes predictions, once new files and what is asked of them are known to be usable."""
        source, output, form, top = map(self.job.predictions.get, ("input", "output", "format", "top"))
        if isinstance(self.model, Model) and type(self.model).predict_step is LightningModule.predict_step:
            raise InputError(f"{self.job.model} predicts nothing: it has no method `predict_step`")
        if top is not None:
            if top < 1 or not hasattr(self.model, "top"):
                raise InputError(
                    f"--top {top}: " + ("1 is the least" if top < 1 else f"{self.job.model} ranks nothing")
                )
            self.model.top = top
        if self.run is None:
            return []
        if source is not None:
            info = read_checkpoint(self.config.ckpt_path, type(self.model)).get("info")
            self.datamodule = InputData(self.datamodule, Info.from_dict(info) if info else None, source)
        form = form or ("jsonl" if str(output).endswith(".jsonl") else "csv")
        bar = is_watched() and self.config_init.trainer.enable_progress_bar is not False
        path = Path(output or self.run.path / f"predictions.{form}")
        is_stream = bool(output) and path.exists() and not path.is_file()
        return [PredictionWriter(path, form, bar, self.datamodule, is_stream)]

    def _metrics_files(self) -> list[MetricsFile]:
        if not self.run or self.job.command == "predict":
            return []
        name = "metrics.csv" if self.job.command == "fit" else f".{self.job.command}.csv.{os.getpid()}"
        return [MetricsFile(self.run.path / name)]

    def _call_hooks(self, name: str, call: Callable[[Callable[..., Any]], None]) -> None:
        """Call each plugin's hook; one that raises is left out with a warning."""
        for plugin, hook in self.registry.hooks(name):
            if plugin in self._left_out:
                continue
            try:
                call(hook)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                origin = next(p.origin for p in self.registry.plugins if p.name == plugin)
                self._left_out.add(plugin)
                warnings.warn(f"{origin}: its {name} is left out: {type(error).__name__}: {plain(error)}", stacklevel=1)


def _checked(callbacks: Iterable[Callback]) -> list[Callback]:
    found = list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(f"{callback!r} is not a Callback of lightning.pytorch")
    return [callback for callback in found if guard(callback)]


def _plain_values(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in options.items():
        with suppress(TypeError, ValueError):
            kept[name] = json.loads(json.dumps(value))
    return kept


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    return [value] if value else []


def _quieten() -> None:
    """Silence Lightning's tips and the warnings that a plain run cannot avoid; others are shown in one line."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in KNOWN_NOISE:
        warnings.filterwarnings("ignore", message)
    plain_warnings()
