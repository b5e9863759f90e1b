"""``dlplug doctor``: what is installed here, what works, and the line to put in a bug report."""

import os
import platform
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import NamedTuple

from dlplug.commands.parser import Parser, print_wrapped
from dlplug.registry import Registry
from dlplug.registry.installed import Distribution, distributions, normalized

PACKAGES = ("dlplug", "lightning", "torch", "torchmetrics", "jsonargparse", "pluggy", "wandb", "numpy")
LITTLE = 1  # GB free, below which checkpoints may not fit


class Finding(NamedTuple):
    """A line of the answer.

    Attributes:
        topic: Its first word.
        text: What was found.
        problem: Whether something is broken.
    """

    topic: str
    text: str
    problem: bool = False


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug doctor``."""
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print what is here and what is wrong with it; the status is 1 if something is broken."""
    findings = [*_versions(), *_devices(), _disk(), _wandb(), *_plugins()]
    for finding in findings:
        print_wrapped(f"{'BROKEN' if finding.problem else 'ok':7} {finding.topic:10} ", finding.text)
    broken = [finding for finding in findings if finding.problem]
    print(f"\n{_count(len(broken), 'thing')} broken" if broken else "\nnothing is broken")
    print("for a bug report: " + _report_line(findings))
    return int(bool(broken))


def _versions() -> list[Finding]:
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    found = [Finding("system", f"{system}, {_count(os.cpu_count() or 1, 'core')}, {sys.prefix}")]
    installed = distributions()
    versions = [f"{name} {installed[name].version}" for name in PACKAGES if name in installed]
    found.append(Finding("versions", ", ".join(versions)))
    if missing := [name for name in PACKAGES if name not in installed]:
        found.append(Finding("versions", f"not installed: {', '.join(missing)}", problem=True))
    return [*found, Finding("extras", ", ".join(_extras(installed)) or "none")]


def _extras(installed: Mapping[str, Distribution]) -> list[str]:
    """Return the extras of all plugins, and what those lack that are not installed."""
    lacking: dict[str, list[str]] = {}
    for name, distribution in installed.items():
        for line in distribution.headers.get("Requires-Dist", ()) if name.split("_")[0] == "dlplug" else ():
            if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)", line):
                lacks = lacking.setdefault(f"{name.replace('_', '-')}[{found[2]}]", [])
                lacks += [found[1]] if normalized(found[1]) not in installed else []
    return [f"{extra} (no {', '.join(lacks)})" if lacks else extra for extra, lacks in sorted(lacking.items())]


def _devices() -> list[Finding]:
    """Import torch and train a little on each device, in each precision."""
    try:
        import torch
        from lightning.pytorch import Trainer  # noqa: F401 (what every training begins with)
    except Exception as error:  # such as a library that is missing, or torch and numpy that do not match
        return [Finding("torch", f"cannot be imported: {type(error).__name__}: {error}", problem=True)]
    names = {"cpu": f"{_count(torch.get_num_threads(), 'thread')}"}
    names |= {f"cuda:{n}": torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = "Apple"
    return [_device(device, name) for device, name in names.items()]


def _device(device: str, name: str) -> Finding:
    works, problems = [], []
    for precision in ("32-true", "bf16-mixed", "16-mixed"):
        if precision == "16-mixed" and device == "cpu":
            continue  # Lightning has it for other devices only
        try:
            _train_a_step(device, precision)
            works.append(precision)
        except Exception as error:
            problems.append(f"{precision} fails: {' '.join(str(error).split())[:200]}")
    text = f"{device}: {name}; precision {', '.join(works) or 'none'}"
    return Finding("device", "; ".join([text, *problems]), problem="32-true" not in works)


def _train_a_step(device: str, precision: str) -> None:
    import torch

    kind = device.partition(":")[0]
    layer = torch.nn.Conv2d(1, 2, 3).to(device)
    dtype = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}[precision.partition("-")[0]]
    with torch.autocast(kind, dtype, enabled=precision != "32-true"):
        loss = layer(torch.ones(1, 1, 8, 8, device=device)).float().square().mean()
    loss.backward()
    if not torch.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss.item()}")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    if not os.access(".", os.W_OK):
        return Finding("disk", "this folder cannot be written to: a run needs --trainer.default_root_dir", problem=True)
    return Finding("disk", f"{free:.1f} GB free in this folder", problem=free < LITTLE)


def _wandb() -> Finding:
    """Say what `--logger wandb` would do; without a login that is to stay offline, which is nothing broken."""
    try:
        from dlplug.loggers.wandb import find_mode

        mode, reason = find_mode()
    except Exception as error:
        return Finding("wandb", f"--logger wandb fails: {type(error).__name__}: {error}", problem=True)
    return Finding("wandb", f"--logger wandb would be {mode}" + (f" ({reason})" if reason else ""))


def _plugins() -> list[Finding]:
    try:
        registry = Registry.discover()
    except Exception as error:  # whatever is wrong with what is installed here
        return [Finding("plugins", f"cannot be looked for: {type(error).__name__}: {error}", problem=True)]
    loaded = [f"{plugin.name} ({plugin.origin})" for plugin in registry.plugins if not plugin.problem]
    return [Finding("plugins", ", ".join(loaded) or "none")] + [
        Finding("plugins", f"{plugin.name} ({plugin.origin}) does not load: {plugin.problem}", problem=True)
        for plugin in registry.problems
    ]


def _report_line(findings: list[Finding]) -> str:
    """Return everything in one line, without the paths of this machine."""
    return " | ".join(
        f"{'BROKEN ' if finding.problem else ''}{finding.text}".replace(f", {sys.prefix}", "") for finding in findings
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
