"""Weights from another network, to start from: section 5.3 of the notes."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dlplug.errors import InputError
from dlplug.runs import Run


def read_weights(source: str) -> dict[str, Tensor]:
    """Return the weights that a run folder, a checkpoint or a file of weights holds.

    Args:
        source: A run folder, whose best checkpoint counts, or a file of ``torch.save``: Lightning's checkpoint or a
            plain ``state_dict``. Code in it is never run.

    Raises:
        InputError: There are none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        best = Run.open(source).best
        if best is None:
            raise InputError(f"{source} holds no checkpoint yet: no epoch was completed")
        path = best
    if not path.is_file():
        raise InputError(f"there is no run folder and no file {source} to take weights from")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file makes the unpickler raise is anyone's guess
        raise InputError(f"{path} is damaged or holds no weights") from error
    found = found.get("state_dict", found) if isinstance(found, dict) else {}
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not weights:
        raise InputError(f"{path} holds no weights")
    return weights


def start_from(net: nn.Module, source: str) -> str:
    """Copy into a network the weights that another run's network has for layers of the same name and shape.

    Args:
        net: The network.
        source: As for ``read_weights``; a run's network is its model's ``net``.

    Returns:
        What was taken and what was not, in a sentence.

    Raises:
        InputError: There are no weights, or none match.
    """
    weights = {name.removeprefix("net."): value for name, value in read_weights(source).items()}
    return take(net, weights, source)


@torch.no_grad()
def take(net: nn.Module, weights: dict[str, Tensor], source: str) -> str:
    """Copy the weights whose name and shape match into a network; the others stay as initialised.

    Args:
        net: The network.
        weights: What to take from, by name.
        source: Where they are from, for messages.

    Returns:
        What was taken and what was not, in a sentence.

    Raises:
        InputError: None match.
    """
    own = net.state_dict()
    taken = [name for name in own if name in weights and weights[name].shape == own[name].shape]
    if not taken:
        raise InputError(f"no weights of {source} fit: they are of another network")
    for name in taken:
        own[name].copy_(weights[name])
    layers = {name.rpartition(".")[0]: None for name in own}  # a dict keeps the order
    left = {name.rpartition(".")[0]: name for name in reversed(own) if name not in taken}
    why = [
        f"{layer} ({'×'.join(map(str, weights[name].shape))} there, {'×'.join(map(str, own[name].shape))} here)"
        if name in weights
        else f"{layer} (not there)"
        for layer, name in reversed(left.items())
    ]
    whole = [layer for layer in layers if layer not in left]
    return f"from {source}: took {', '.join(whole)}; left as initialised: {', '.join(why) or 'none'}"
