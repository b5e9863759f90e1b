"""What a launcher (torchrun, srun, Lightning's own on several nodes) started, and a run that it starts again."""

import hashlib
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import distributed

from dlplug.console import is_rank_zero, say
from dlplug.errors import InputError
from dlplug.runs import Run
from dlplug.training.fsdp2 import FSDP2Strategy

RESTARTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")


def devices(asked: Namespace) -> dict[str, int]:
    """Return how many devices and nodes the launcher started processes for; nothing where no launcher says.

    Args:
        asked: The trainer's options.

    Raises:
        InputError: The options say otherwise.
    """
    node_rank = os.environ.get("NODE_RANK", "0")
    if node_rank.isdecimal() and int(node_rank) >= asked.num_nodes > 0 and "RANK" not in os.environ:
        raise InputError(f"NODE_RANK is {node_rank}, but --trainer.num_nodes is {asked.num_nodes}")
    if TorchElasticEnvironment.detect():
        launcher, total = "torchrun", int(os.environ["WORLD_SIZE"])
        nodes = total // int(os.environ.get("LOCAL_WORLD_SIZE", total))
    elif SLURMEnvironment.detect():
        launcher, total = "srun", int(os.environ["SLURM_NTASKS"])
        nodes = int(os.environ.get("SLURM_NNODES", 1))
    else:
        return {}
    if total % nodes:
        raise InputError(f"{launcher} starts {total} processes on {nodes} nodes: each node needs as many")
    each = total // nodes
    if total > 1 and launcher == "srun":
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(each))  # Lightning asks for it; `srun -n` does not set it
    given = {"devices": _count(asked.devices), "num_nodes": None if asked.num_nodes == 1 else asked.num_nodes}
    for name, started in (("devices", each), ("num_nodes", nodes)):
        if given[name] not in (None, started):
            raise InputError(f"--trainer.{name} is {getattr(asked, name)}, but {launcher} starts {each} on {nodes}")
    return {"devices": each, "num_nodes": nodes} if total > 1 else {}


def _count(given: Any) -> int | None:
    if isinstance(given, list):
        return len(given)
    text = str(given)
    if "," in text:
        return len(text.strip(",").split(","))
    return int(text) if text.isdecimal() else None  # auto and -1 are all that there are


def refuse_strategy(trainer: Trainer, model: LightningModule, here: bool) -> None:
    """Refuse strategies that would train processes apart, or cannot start them from a command line.

    Args:
        trainer: The trainer.
        model: What it is to train.
        here: Whether it has to be this process that trains, as in Python, where others would run the script again.

    Raises:
        InputError: The trainer's is one.
    """
    if here and trainer.world_size > 1:
        raise InputError(
            f"Python trains in its own process alone, not in {trainer.world_size}: give trainer.devices=1 and "
            "trainer.num_nodes=1, or let `dlplug fit` do it"
        )
    name, launcher = type(trainer.strategy).__name__, trainer.strategy.launcher
    if isinstance(trainer.strategy, ModelParallelStrategy) and not hasattr(model, "shard"):
        raise InputError(f"{name} needs a model that shards its weights, or each process trains its own; take ddp")
    if isinstance(trainer.strategy, ModelParallelStrategy) and not isinstance(trainer.strategy, FSDP2Strategy):
        raise InputError(f"{name} leaves a damaged checkpoint where it is killed; take fsdp2, which is it without that")
    if isinstance(launcher, _MultiProcessingLauncher):
        raise InputError(f"{name} cannot {launcher._start_method} the processes of a command; take ddp")


def launch_key(config: str) -> str:
    """Return what one launch of a command has in common with its restarts and with nothing else.

    Args:
        config: The resolved config, with its seed.

    Returns:
        A digest; empty where no launcher says which launch this is.
    """
    env = os.environ
    elastic = env.get("TORCHELASTIC_RUN_ID", "")
    if elastic == "none":  # what torchrun calls every launch that nobody names: there its agent is the launch
        try:
            elastic = f"{platform.node()} {os.getppid()} " + Path(f"/proc/{os.getppid()}/stat").read_text().split()[21]
        except OSError:
            elastic = ""
    job = env.get("SLURM_ARRAY_JOB_ID") or env.get("SLURM_JOB_ID", "")
    if not (elastic or job):
        return ""
    words = (elastic, job, env.get("SLURM_ARRAY_TASK_ID", ""), config)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def restarted_run(root: Path, key: str) -> Run | None:
    """Return the run that an earlier start of this very launch made; None at a first start.

    Each restart takes a run once, so that two fits of one allocation never share one.

    Args:
        root: Where the runs of one model are.
        key: Of this launch.
    """
    # Joined without a point, after which `sweep` would read the number of a process.
    count = "-".join(os.environ.get(name, "0") for name in RESTARTS)
    if not key or not count.strip("0-"):
        return None
    runs = [Run(path.parent) for path in root.glob("*/about.json")]
    for made in sorted((r for r in runs if r.about.get("launch") == key), key=lambda r: r.path.name, reverse=True):
        try:
            (made.path / f".restart-{count}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return made
    return None


def agreed(checkpoint: str | None, trainer: Trainer) -> str | None:
    """Return the checkpoint that rank zero resumes from, which alone looks for a run that is resumed.

    Args:
        checkpoint: What this process would resume from.
        trainer: About to fit.

    Raises:
        InputError: A process cannot read it.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or not isinstance(environment, SLURMEnvironment | TorchElasticEnvironment):
        return checkpoint
    if (restart := os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) != "0":
        # torch 2.14's workers find each other through the agent's store, where the addresses of those that were
        # killed still are: they wait for ever, or are refused. Under a name of its own, each restart starts empty.
        at = (environment.main_address, environment.main_port)
        store = distributed.TCPStore(*at, is_master=False)  # type: ignore[attr-defined]
        backend = "nccl" if trainer.strategy.root_device.type == "cuda" else "gloo"
        rank, size = environment.global_rank(), environment.world_size()
        fresh = distributed.PrefixStore(f"restart {restart}", store)  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=fresh, rank=rank, world_size=size)
    trainer.strategy.setup_environment()  # once more than Lightning, which asks for the checkpoint before it
    agreed_on: str | None = trainer.strategy.broadcast(checkpoint)
    if not trainer.strategy.reduce_boolean_decision(agreed_on is None or Path(agreed_on).exists()):
        raise InputError(f"{agreed_on} is not on every node: a run is resumed on a file system that nodes share")
    return agreed_on


def _handlers() -> dict[int, Any]:
    """Return what the signals of a cluster do now: of no interest outside the main thread, which alone gets them."""
    numbers = [getattr(signal, name, None) for name in ("SIGUSR1", "SIGTERM")]  # Windows has no SIGUSR1
    is_main = current_thread() is main_thread()
    return {number: signal.getsignal(number) for number in numbers if number and is_main}


@contextmanager
def signals_restored() -> Iterator[None]:
    """Give the signals back what they did before: in Python the process goes on after a fit."""
    before = _handlers()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Preemption(Callback):
    """Stops all processes at the end of the same batch after SIGUSR1 or SIGTERM, and has Slurm requeue after SIGUSR1.

    Lightning saves a checkpoint inside its signal handler, where processes wait for each other for ever once one of
    them is in another collective operation (its issue 21406). Here a signal sets a flag, and ``Checkpoints``, where
    there is one, saves and stops in ordinary code.

    Attributes:
        signal: The one that came to this process; 0 for none.
        agreed: The one that all processes know of since the last batch's end; 0 for none.
    """

    def __init__(self) -> None:
        self.signal = self.agreed = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Heed signals before the first batch too."""
        self._listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the place of Lightning's handlers, which it sets just before and takes away in the end."""
        self._listen()
        # What Lightning's handlers note it broadcasts before each batch; nothing is noted any more.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def _listen(self) -> None:
        for number in _handlers():
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Agree whether to stop, and do so unless there is something to be saved first."""
        self._agree(trainer)
        if self.agreed and not trainer.checkpoint_callbacks:
            raise SIGTERMException

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Stop: a validation may take longer than a cluster waits."""
        self._agree(trainer)
        if self.agreed:
            raise SIGTERMException

    def _agree(self, trainer: Trainer) -> None:
        self.agreed = self.signal
        if trainer.world_size > 1:
            came = torch.tensor(self.signal, device=trainer.strategy.root_device)
            distributed.all_reduce(came, distributed.ReduceOp.MAX)
            self.agreed = int(came)
        if self.agreed:  # or one that came meanwhile would be forgotten
            self.signal = self.agreed

    def requeue(self) -> None:
        """Have Slurm start the job again, where its warning was what stopped it."""
        job = "_".join(filter(None, (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))))
        job = job or os.environ.get("SLURM_JOB_ID", "")
        if job and self.signal != signal.SIGTERM and is_rank_zero():
            try:
                done = run(["scontrol", "requeue", job], capture_output=True, text=True)
                said = done.stderr.strip() if done.returncode else ""
            except OSError as error:
                said = str(error.strerror)
            say(f"job {job} is not requeued: {said}" if said else f"job {job} is requeued")
