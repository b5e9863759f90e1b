"""Sections 2.2 to 2.6: what a recurrent network is, and how its gradient is made."""

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.nn.recurrent import Recurrent

LENGTHS = (8, 32, 128)
STEPS = 20  # of a sequence that the last state is asked about
SYMBOLS = 8
CELLS: dict[str, dict[str, Any]] = {
    "rnn, orthogonal": {"cell": "rnn", "init": "orthogonal"},
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm"},
}


def shared_weights(lab: Lab) -> Evidence:
    """Take a network one step at a time with what it does at its first step, and count its weights by length."""
    text = "abcdefgh" * 500
    (lab.folder / "text.txt").write_text(text)

    def model(length: int, seed: int = 0) -> Any:
        info = lab.data("text-file", path=lab.folder / "text.txt", seq_len=length).info
        return lab.model("rnn-lm", info, seed, hidden_size=64)

    differences: dict[str, list[float]] = {"shared": [], "own": []}
    for seed in lab.seeds:
        shared, tokens = model(LENGTHS[-1], seed), torch.randint(1, SYMBOLS, (4, LENGTHS[0]))
        # Weights of each step's own: another network at every step.
        own = [model(LENGTHS[-1], seed + step) for step in range(LENGTHS[0])]
        with torch.no_grad():
            first_again = by_step([shared] * LENGTHS[0], tokens)
            differences["shared"].append(float((shared(tokens)[0] - first_again).abs().max()))
            differences["own"].append(float((by_step(own, tokens) - first_again).abs().max()))
    read = [sum(p.numel() for p in model(length).parameters()) for length in LENGTHS]
    dense = [sum(p.numel() for p in nn.Linear(length * shared.embedding_dim, 64).parameters()) for length in LENGTHS]
    name = f"weights for texts of {LENGTHS[-1]} tokens over those for {LENGTHS[0]}"
    step = "difference of its logits from those of its first step, taken again and again"
    curves = {"rnn-lm": read, "a dense layer over all steps": dense}
    return Evidence(
        [
            Measure(step, differences["shared"], "<=", 1e-4, "another network at each step"),
            Measure(name, [read[-1] / read[0]], "<=", 1, "W and U are used at every step", exact=True),
        ],
        [
            Measure(f"{step}, with weights of each step's own", differences["own"], "<=", 1e-4),
            Measure(f"{name}, a dense layer over all steps", [dense[-1] / dense[0]], "<=", 1, exact=True),
        ],
        {"Weights by length": Figure(plot_curves(LENGTHS, curves, "tokens read", "weights", log=True))},
    )


def by_step(models: Sequence[Any], tokens: Tensor) -> Tensor:
    """Return logits (n, time, vocabulary) of tokens (n, time), each step by the next model from the state before."""
    state: tuple[Tensor, ...] = ()
    logits = []
    for step, model in enumerate(models):
        found, state = model(tokens[:, step : step + 1], state)
        logits.append(found)
    return torch.cat(logits, dim=1)


def history(lab: Lab) -> Evidence:
    """Ask the state after 20 random symbols for each of them, with networks as they are initialised."""
    right: dict[str, list[list[float]]] = {name: [] for name in CELLS}
    control = []
    for seed in lab.seeds:
        torch.manual_seed(seed)
        symbols = torch.randint(SYMBOLS, (3000, STEPS))
        for name, options in CELLS.items():
            net = Recurrent(input_size=SYMBOLS, hidden_size=256, **options)
            right[name].append(probe(net, symbols, symbols))
            if name == "rnn, orthogonal":
                control.append(min(probe(net, symbols, symbols.roll(1, 0))))
    curves = {name: torch.tensor(found).mean(0).tolist() for name, found in right.items()}
    name = f"accuracy of reading the symbol that is read worst of {STEPS} off s_{STEPS}"
    return Evidence(
        [Measure(name, [min(row) for row in right["rnn, orthogonal"]], ">=", 0.9, f"chance is {1 / SYMBOLS}")],
        [
            Measure(f"{name}, of another sequence", control, ">=", 0.9),
            Measure(f"{name}, with PyTorch's usual W", [min(row) for row in right["rnn"]], ">=", 0.9),
            Measure(f"{name}, an LSTM with PyTorch's biases", [min(row) for row in right["lstm"]], ">=", 0.9),
        ],
        {
            f"x_n from s_{STEPS}": Figure(
                plot_curves(range(1, STEPS + 1), curves, "n", f"accuracy of a linear probe of s_{STEPS}")
            )
        },
        note="256 units, as initialised: an orthogonal W keeps all that came in, PyTorch's usual one lets it fade.",
    )


@torch.no_grad()
def probe(net: Recurrent, symbols: Tensor, targets: Tensor) -> list[float]:
    """Return the accuracy of linear probes of the state after all symbols, by least squares, on a held-out third.

    Args:
        net: The network.
        symbols: Shape (n, time).
        targets: What to read off, shape (n, probes).
    """
    _, state = net(one_hot(symbols, SYMBOLS).float())
    features = torch.cat([part[-1] for part in state] + [torch.ones(len(symbols), 1)], dim=1).double()
    cut = 2 * len(features) // 3
    wanted = one_hot(targets[:cut], SYMBOLS).flatten(1).double()
    # The features may be linearly dependent, which gelsd allows.
    weights = torch.linalg.lstsq(features[:cut], wanted, driver="gelsd").solution
    answers = (features[cut:] @ weights).unflatten(1, (-1, SYMBOLS)).argmax(2)
    return [float(share) for share in (answers == targets[cut:]).double().mean(0)]


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
        {"dL/dW": Figure(plot_gradients(truth, by_hand(w, out, states[0], targets, True)))},
        note="The picture: each weight's derivative by autograd, and by hand without the way through s_(t-1).",
    )


def plot_gradients(truth: Tensor, shortened: Tensor) -> Drawing:
    """Draw two gradients (hidden, hidden) side by side."""
    drawing, most = Drawing(figsize=(6, 3), layout="constrained"), float(truth.abs().max())
    parts = {"whole chain": truth, "stopped after a step": shortened}
    for place, (title, part) in enumerate(parts.items(), start=1):
        axes = drawing.add_subplot(1, 2, place, title=title, xticks=[], yticks=[])
        axes.imshow(part.numpy(), cmap="RdBu", vmin=-most, vmax=most)
    return drawing


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
