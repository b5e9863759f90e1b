"""What of a model is exported: its own say, or else what its ``forward`` takes of a batch."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from dlplug import InputError

MOST = 8  # items of the test batch that are compared
Axes = Mapping[str, Mapping[int, str]]


class Network(nn.Module):
    """A function of a model, as a module that exporters take.

    Args:
        model: The model, whose weights the function uses.
        function: Takes tensors, and returns a tensor or a dict of them.
    """

    def __init__(self, model: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self._function = (function,)  # in a tuple: a module would be registered a second time

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return the function's outputs by name."""
        found = self._function[0](*inputs)
        return found if isinstance(found, dict) else {"output": found}


@dataclass(frozen=True)
class Part:
    """A part of a network.

    Attributes:
        name: Its name, such as ``encoder``.
        network: What is exported.
        inputs: Its inputs by name, of the test batch.
        axes: The names of each input's dynamic axes, by place.
    """

    name: str
    network: Network
    inputs: dict[str, Tensor]
    axes: Axes

    def sizes(self) -> list[tuple[Tensor, ...]]:
        """Return the inputs at two sizes of each dynamic axis, the smaller one first."""
        small = []
        for name, value in self.inputs.items():
            for axis in self.axes[name]:
                value = value.narrow(axis, 0, (value.shape[axis] + 1) // 2)
            small.append(value)
        return [tuple(small), tuple(self.inputs.values())]


def parts_of(model: Any, data: Any) -> list[Part]:
    """Return the parts of a trained model, with inputs of its data's first test batch.

    Raises:
        InputError: It has none that can be exported.
    """
    batch = _test_batch(data)
    with torch.no_grad():
        declared = model.export_parts(batch) if hasattr(model, "export_parts") else _of_forward(model, batch)
        parts = []
        for part, (function, inputs, axes) in declared.items():
            every = {each: _with_batch(axes.get(each, {})) for each in inputs}
            inputs = {each: _long_enough(value.detach(), every[each]) for each, value in inputs.items()}
            parts.append(Part(part, Network(model, function).eval(), inputs, every))
    if not parts:
        raise InputError(f"{type(model).__name__} has no part to export")
    return parts


def _with_batch(axes: Mapping[int, str]) -> Mapping[int, str]:
    return axes if "batch" in axes.values() else {0: "batch", **axes}


def _long_enough(value: Tensor, axes: Mapping[int, str]) -> Tensor:
    """Return an input with a few items at most, and two along each dynamic axis at least: exporters fix sizes of 1."""
    for axis, name in axes.items():
        value = value.narrow(axis, 0, min(MOST, value.shape[axis])) if name == "batch" else value
        if value.shape[axis] == 1:
            value = torch.cat([value, value], axis)
    return value.contiguous()


def _test_batch(data: Any) -> Any:
    loader = data.test_dataloader()
    batch = next(iter(loader[0] if isinstance(loader, list | tuple) else loader))
    return data.on_after_batch_transfer(batch, 0)


def _of_forward(model: LightningModule, batch: Any) -> dict[str, tuple[Callable[..., Any], dict[str, Tensor], Axes]]:
    """Return a model's ``forward`` as the one part: it takes as many of the batch's tensors as it must have."""
    name = type(model).__name__
    if type(model).forward is LightningModule.forward:
        raise InputError(f"{name} has neither a method export_parts nor a forward that takes a batch")
    arguments = list(inspect.signature(model.forward).parameters.values())
    needed = [each.name for each in arguments if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    columns = list(batch) if isinstance(batch, list | tuple) else [batch]
    if not needed or len(columns) < len(needed) or not all(isinstance(c, Tensor) for c in columns[: len(needed)]):
        raise InputError(
            f"{name}.forward takes {', '.join(needed) or 'nothing'}, and its batches begin with something else: a "
            "method export_parts says what to export"
        )
    return {"network": (model, dict(zip(needed, columns, strict=False)), {})}
