"""Sections 2.2 to 2.6: what a recurrent network is, and how its gradient is made."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.nn.recurrent import Recurrent

LENGTHS = (8, 32, 128)
DISTANCES = (1, 2, 5, 10, 20)
SYMBOLS = 8
CELLS: dict[str, dict[str, Any]] = {
    "rnn, orthogonal": {"cell": "rnn", "init": "orthogonal"},
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm"},
}


def shared_weights(lab: Lab) -> Evidence:
    """Read texts of several lengths with one network, and count the weights; a dense network needs more for each."""
    info = lab.data("bible").info
    model = lab.model("rnn-lm", info, hidden_size=64)
    tokens = torch.zeros(1, max(LENGTHS), dtype=torch.long)
    read, dense = [], []
    for length in LENGTHS:
        logits, _ = model(tokens[:, :length])
        assert logits.shape[1] == length
        read.append(sum(p.numel() for p in model.parameters()))
        dense.append(sum(p.numel() for p in nn.Linear(length * model.embedding_dim, 64).parameters()))
    name = f"weights at length {LENGTHS[-1]} over those at length {LENGTHS[0]}"
    return Evidence(
        [Measure(name, [read[-1] / read[0]], "<=", 1, "W and U are used at every step")],
        [Measure(f"{name}, a dense layer over all steps", [dense[-1] / dense[0]], "<=", 1)],
    )


def history(lab: Lab) -> Evidence:
    """Probe the state after n random symbols for the first of them, with networks as they are initialised."""
    accuracy: dict[str, list[list[float]]] = {name: [] for name in CELLS}
    control = []
    for seed in lab.seeds:
        torch.manual_seed(seed)
        symbols = torch.randint(SYMBOLS, (3000, max(DISTANCES)))
        for name, options in CELLS.items():
            net = Recurrent(input_size=SYMBOLS, hidden_size=256, **options)
            accuracy[name].append([probe(net, symbols[:, :n], symbols[:, 0]) for n in DISTANCES])
            if name == "rnn, orthogonal":
                control.append(probe(net, symbols[:, :10], symbols[:, 0].roll(1)))
    ten = DISTANCES.index(10)
    curves = {name: torch.tensor(found).mean(0).tolist() for name, found in accuracy.items()}
    name = "accuracy of reading x_1 off s_10"
    values = [found[ten] for found in accuracy["rnn, orthogonal"]]
    return Evidence(
        [Measure(name, values, ">=", 0.9, f"chance is {1 / SYMBOLS}")],
        [Measure(f"{name} of another sequence", control, ">=", 0.9)],
        {"x_1 from s_n": Figure(plot_curves(DISTANCES, curves, "n", "accuracy of a linear probe"))},
        note="256 units, as initialised: an orthogonal W keeps all that came in, PyTorch's usual one lets it fade.",
    )


@torch.no_grad()
def probe(net: Recurrent, symbols: Tensor, targets: Tensor) -> float:
    """Return the accuracy of a linear probe of the state after all symbols, by least squares, on a held-out third."""
    _, state = net(one_hot(symbols, SYMBOLS).float())
    features = torch.cat([part[-1] for part in state] + [torch.ones(len(symbols), 1)], dim=1).double()
    cut = 2 * len(features) // 3
    # The features may be linearly dependent, which gelsd allows.
    weights = torch.linalg.lstsq(features[:cut], one_hot(targets[:cut], SYMBOLS).double(), driver="gelsd").solution
    return float(((features[cut:] @ weights).argmax(1) == targets[cut:]).float().mean())


def chain_rule(lab: Lab) -> Evidence:
    """Write dL/dW out as the notes do, with PyTorch's cell, and compare with autograd's."""
    wrong: dict[str, list[float]] = {"whole": [], "sum": [], "shortened": []}
    for seed in lab.seeds:
        torch.manual_seed(seed)
        net, out = Recurrent("rnn", 5, 7).double(), nn.Linear(7, 4).double()
        x, targets = torch.randn(1, 12, 5).double(), torch.randint(4, (12,))
        states, _ = net(x)  # (1, time, hidden)
        total = cross_entropy(out(states[0]), targets, reduction="sum")
        each = [cross_entropy(out(states[0, t]), targets[t]) for t in range(12)]
        w = net.net.get_parameter("weight_hh_l0")
        [truth] = torch.autograd.grad(total, [w])
        wrong["sum"].append(abs(float(total - sum(each))))
        scale = float(truth.norm())
        for name, short in (("whole", False), ("shortened", True)):
            found = by_hand(w, out, states[0], targets, short)
            wrong[name].append(float((found - truth).norm()) / scale)
    return Evidence(
        [
            Measure("relative error of dL/dW by the chain rule", wrong["whole"], "<=", 1e-6, "autograd"),
            Measure("L less the sum of the timesteps' losses", wrong["sum"], "<=", 1e-6),
        ],
        [Measure("the same error, forgetting that s_(t-1) depends on W too", wrong["shortened"], "<=", 1e-6)],
    )


@torch.no_grad()
def by_hand(w: Tensor, out: nn.Linear, states: Tensor, targets: Tensor, short: bool) -> Tensor:
    """Return dL/dW as the sum over t and k of dL_t/ds_t · ds_t/ds_k · ds_k/dW.

    Args:
        w: Recurrent weights (hidden, hidden) of s_t = tanh(W s_{t-1} + U x_t + b).
        out: The layer from a state to logits.
        states: s_1 to s_T, shape (time, hidden).
        targets: Right classes, shape (time,).
        short: Whether to stop at k = t, as if s_{t-1} did not depend on W.
    """
    gradient = torch.zeros_like(w)
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
    for t in range(len(states)):
        pull = (out(states[t]).softmax(0) - one_hot(targets[t], out.out_features)) @ out.weight  # dL_t/ds_t
        for k in range(t, -1, -1):
            local = pull * (1 - states[k].square())  # through tanh
            gradient += torch.outer(local, before[k])
            pull = local @ w  # one ds_k/ds_(k-1) more
            if short:
                break
    return gradient
