"""The formats of exported networks, each checked in the runtime that will run it."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dlplug import InputError
from dlplug_share.parts import Part

TOLERANCE = 1e-4  # of outputs from -1 to 1, and relative to larger ones
Run = Callable[[tuple[Tensor, ...]], Sequence[Tensor]]


@dataclass(frozen=True)
class Exported:
    """A file's content.

    Attributes:
        facts: What the JSON says of it.
        encode: Returns the content, with that JSON inside.
    """

    facts: dict[str, Any]
    encode: Callable[[str], bytes]


def export(parts: Sequence[Part], kind: str) -> dict[str, Exported]:
    """Export parts of a network and compare them with it, on test items of two sizes.

    Args:
        parts: The parts.
        kind: ``onnx`` or ``pt2``.

    Raises:
        InputError: A part cannot be exported, or gives other outputs.
    """
    return {part.name: _export(part, *(_to_onnx if kind == "onnx" else _to_pt2, kind)) for part in parts}


def weights_of(model: nn.Module) -> dict[str, Exported]:
    """Return all weights and buffers of a model as safetensors."""
    from safetensors.torch import load, save

    tensors = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    for name, value in load(save(tensors)).items():
        if not torch.equal(value, tensors[name]) and not value.isnan().any():
            raise InputError(f"safetensors changes the weight {name}")
    return {"weights": Exported({}, lambda text: save(tensors, {"dlplug": text}))}


def _export(part: Part, convert: Callable[[Part], tuple[Run, Callable[[str], bytes]]], kind: str) -> Exported:
    error, outputs = 0.0, {}
    try:
        with torch.no_grad(), _quiet():
            run, encode = convert(part)
            for inputs in part.sizes():
                outputs = part.network(*inputs)
                error = max(error, *map(_difference, outputs.values(), run(inputs)))
    except Exception as problem:  # what a network of anyone's makes an exporter or a runtime raise
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [""]
        why = f"{type(problem).__name__}: {lines[0][:300]}"
        raise InputError(f"the part {part.name} cannot be exported to {kind}: {why}") from problem
    if not error <= TOLERANCE:
        raise InputError(
            f"the part {part.name} as {kind} differs by {error:.2g} from the run's own: nothing is written"
        )
    shapes = {name: _shape(value, part.axes[name]) for name, value in part.inputs.items()}
    return Exported({"inputs": shapes, "outputs": list(outputs), "max_error": error}, encode)


def _difference(own: Tensor, other: Tensor) -> float:
    """Return the largest difference; infinite where shapes, whole numbers or what is not finite differ."""
    if own.shape != other.shape:
        return float("inf")
    if not own.is_floating_point():
        return 0.0 if torch.equal(own, other) else float("inf")
    same = (own == other) | (own.isnan() & other.isnan())
    wrong = ((own - other).abs() / own.abs().clamp_min(1))[~same]
    return float(wrong.nan_to_num(torch.inf).max()) if len(wrong) else 0.0


def _shape(value: Tensor, axes: Any) -> dict[str, Any]:
    shape = [axes.get(axis, size) for axis, size in enumerate(value.shape)]
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": shape}


def _example(part: Part) -> tuple[Tensor, ...]:
    """Return inputs to trace: zeros, since files keep them, and the test data are nobody else's business."""
    return tuple(torch.zeros_like(value) for value in part.inputs.values())


def _to_onnx(part: Part) -> tuple[Run, Callable[[str], bytes]]:
    import onnx
    import onnxruntime

    names = list(part.network(*part.inputs.values()))
    program = torch.onnx.export(
        part.network,
        _example(part),
        input_names=list(part.inputs),
        output_names=names,
        dynamic_shapes={"inputs": tuple(dict(part.axes[name]) for name in part.inputs)},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    _forget_sources(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    taken = {each.name for each in session.get_inputs()}

    def run(inputs: tuple[Tensor, ...]) -> list[Tensor]:
        given = {name: value.numpy() for name, value in zip(part.inputs, inputs, strict=True) if name in taken}
        return [torch.from_numpy(value) for value in session.run(names, given)]

    def encode(text: str) -> bytes:
        onnx.helper.set_model_props(proto, {"dlplug": text})
        content: bytes = proto.SerializeToString()
        return content

    return run, encode


def _forget_sources(message: Any) -> None:
    """Take out of ONNX the stack traces, which name paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _forget_sources(each)


def _to_pt2(part: Part) -> tuple[Run, Callable[[str], bytes]]:
    dynamic = tuple(dict.fromkeys(part.axes[name], torch.export.Dim.AUTO) for name in part.inputs)
    program = torch.export.export(part.network, _example(part), dynamic_shapes={"inputs": dynamic})
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # they name paths of this machine

    def encode(text: str) -> bytes:
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"dlplug.json": text})
        return file.getvalue()

    loaded = torch.export.load(io.BytesIO(encode(""))).module()
    return lambda inputs: list(loaded(*inputs).values()), encode


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporters' remarks from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
