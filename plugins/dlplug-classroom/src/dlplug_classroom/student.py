"""The process that a student's class lives in: it is asked to train, and gives weights back.

It gets neither labels nor items of the test. What it says is weights alone, which the process that asks puts into the
course's own class: no number, no file and no exit status of it counts. Run as a module by ``dlplug_classroom.sandbox``.
"""

import os
import pickle
import sys
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO
from unittest import SkipTest

import torch
from lightning.pytorch import LightningDataModule

from dlplug import InputError
from dlplug.claims import Lab
from dlplug.processes import PRELOAD
from dlplug.registry import Registry
from dlplug.testing import checks_of
from dlplug_classroom import wire

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.kill", "os.killpg", "socket.connect")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.truncate")
LEFT_OUT = ("light", "processes", "target")  # checks that start processes, or are about the plugin
SYSTEM = (
    "/dev",
    "/sys",
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
)


class GivenLab(Lab):
    """A lab that trains on data it is given.

    Args:
        registry: The installed plugins, with the student's class in a model's place.
        folder: Where its runs land.
        data: What to train on; None for what the options name.
    """

    def __init__(self, registry: Registry, folder: Path, data: LightningDataModule | None) -> None:
        super().__init__(registry, folder, ())
        self.given = data

    def _run(self, job: Any) -> Any:
        return super()._run(replace(job, objects={"data": self.given}) if self.given else job)


def main() -> None:
    """Answer requests until there are no more."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the class prints is a log
    for module in PRELOAD:
        import_module(module)
    settings = pickle.load(requests)
    guard([Path(path) for path in settings["readable"]], {Path(path) for path in settings["hidden"]})
    registry = Registry.discover()
    while request := _next(requests):
        try:
            answer = {"found": _answer(registry, *request)}
        except BaseException as error:  # a student's class may raise whatever it likes
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        wire.send(replies, answer)


def _next(requests: BinaryIO) -> Any:
    try:
        return pickle.load(requests)
    except EOFError:
        return None


def _answer(registry: Registry, what: str, name: str, *given: Any) -> Any:
    if what == "check":
        return [_checked(check) for check in checks_of(name, registry) if check.name not in LEFT_OUT]
    if what == "model":
        info, seed, options, batch = given
        model = Lab(registry, Path("runs"), ()).model(name, info, seed, **options)
        return {"last": state_of(model), "outputs": outputs_of(model, batch)}
    options, seed, data, batch = given
    trained = GivenLab(registry, Path("runs"), data).fit(name, *options, seed=seed)
    last = state_of(trained.model)
    best = torch.load(trained.run.best, weights_only=True) if trained.run.best else last
    best = {key: best[key] for key in last}
    return {"last": last, "best": best, "outputs": outputs_of(trained.model, batch)}


def _checked(check: Any) -> tuple[str, str, str]:
    try:
        check()
    except SkipTest as reason:
        return check.name, "left out", str(reason)
    except BaseException as error:
        return check.name, "failed", " ".join(str(error).split())
    return check.name, "passed", ""


def state_of(model: Any) -> dict[str, Any]:
    """Return what a checkpoint keeps of a model: its weights, and what it adds itself."""
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    return checkpoint


@torch.no_grad()
def outputs_of(model: Any, batch: Any) -> dict[str, Any]:
    """Return what a model computes of a batch, as it is exported: each part's outputs by name; nothing without a batch.

    Models that have no network to export, such as ones that count, give nothing.
    """
    if batch is None:
        return {}
    if not hasattr(model, "export_parts"):
        return {"network": {"output": model(batch[0])}}
    try:
        parts = model.export_parts(batch)
    except InputError:
        return {}
    return {part: dict(function(*inputs.values())) for part, (function, inputs, _) in parts.items()}


def guard(readable: list[Path], hidden: set[Path]) -> None:
    """Refuse what a student's class has no business with, as far as Python hears of it: this is no sandbox.

    Args:
        readable: Folders that may be read besides the system's and its own.
        hidden: Files in them that may not.
    """
    own = Path.cwd().resolve()

    def refuse(event: str, what: object) -> None:
        raise PermissionError(f"{event} is refused here: {what}")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path = Path(os.path.realpath(os.fsdecode(args[0])))
            if path.is_relative_to(own) or path == Path(os.devnull):
                return
            allowed = path.is_relative_to(f"/proc/{os.getpid()}") or any(path.is_relative_to(p) for p in places)
            if args[2] & WRITING or not allowed or path in hidden:
                refuse(event, path)
        elif event in CHANGES:
            for each in args[:2]:
                if isinstance(each, str | bytes) and not Path(os.path.realpath(os.fsdecode(each))).is_relative_to(own):
                    refuse(event, each)
        elif event.startswith(FORBIDDEN):
            refuse(event, args[:1])

    places = [*readable, *map(Path, SYSTEM)]
    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
