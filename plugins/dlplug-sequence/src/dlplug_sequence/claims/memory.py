"""Sections 2.7 and 2.8: gradients that vanish, and what fixes them."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.nn.recurrent import Recurrent

RATES = (1e-3, 3e-3, 1e-2)  # the tanh-RNN gets its best: its result is not for want of a learning rate
LAG = 50
HIDDEN = 64
RADII = (0.5, 0.75, 1, 1.25, 1.5, 2, 3)
BACK = (4, 15)  # steps
STARTS = (0.3, 1.0)  # spectral radii
ADDING = ("--data.batch_size=32", "--trainer.max_epochs=5", "--trainer.check_val_every_n_epoch=5")  # 3,125 updates


def vanishing(lab: Lab) -> Evidence:
    """Scale an orthogonal W to several spectral radii; measure how d state_T / d state_(T-50) shrinks or grows."""
    falls: dict[float, list[float]] = {radius: [] for radius in RADII}
    usual: list[float] = []
    for seed in lab.seeds:
        cells = {radius: scaled_cell(seed, radius) for radius in RADII}
        norms = {radius: jacobian_norms(cell, seed) for radius, cell in cells.items()}
        for radius, found in norms.items():
            falls[radius].append(fall(found))
        curves = {f"radius {radius}": norms[radius].tolist() for radius in (0.5, 1, 3)}
        curves["PyTorch's W"] = (found := jacobian_norms(new_cell(seed, cell="rnn"), seed)).tolist()
        usual.append(fall(found))
    means = {"orders of magnitude": [sum(found) / len(found) for found in falls.values()]}
    means["a linear network's"] = [-LAG * math.log10(radius) for radius in RADII]
    name = f"orders of magnitude that a tanh-RNN's gradient falls over {LAG} steps"
    return Evidence(
        [
            Measure(f"{name}, PyTorch's W", usual, ">=", 6, "0: it would not fall"),
            Measure(f"{name}, W of spectral radius 0.5", falls[0.5], ">=", 12, "a linear network's: 15.1"),
            Measure(f"{name}, of 1", falls[1], "<=", 3, "a linear network's: 0"),
            Measure(f"{name}, of 3: it grows", falls[3], "<=", -3, "a linear network's: -23.9"),
        ],
        [
            Measure(f"{name}, of 1, held to the bar of PyTorch's W", falls[1], ">=", 6),
            Measure(f"{name}, of 1, held to the bar of 3", falls[1], "<=", -3),
        ],
        {
            "Fall by spectral radius": Figure(plot_curves(RADII, means, "spectral radius of W", "orders fallen")),
            "Gradient by lag": lags(curves),
        },
        note=f"{HIDDEN} units as initialised; W is orthogonal and scaled. PyTorch's has a radius of about .6.",
    )


def open_gates(lab: Lab) -> Evidence:
    """Open an LSTM's forget gates by a bias of 1, nothing else, and its output gates instead."""
    falls: dict[tuple[str, str], list[float]] = {}
    curves = {}
    for init, gate in itertools.product(("default", "orthogonal"), ("none", "forget", "output")):
        falls[init, gate] = []
        for seed in lab.seeds:
            net = new_cell(seed, cell="lstm", init=init)
            with torch.no_grad():
                biases = net.net.get_parameter("bias_ih_l0").chunk(4)  # input, forget, cell, output
                biases[1].sub_(float(init == "orthogonal"))  # which opens them already
                if gate != "none":
                    biases[1 if gate == "forget" else 3].add_(1)
            norms = jacobian_norms(net, seed)
            falls[init, gate].append(fall(norms))
        curves[f"{init} W, {gate.replace('none', 'no')} gates opened"] = norms.tolist()

    def saved(gate: str) -> list[float]:
        """Return what opening a gate saves at least, by seed."""
        found = [(falls[init, "none"], falls[init, gate]) for init in ("default", "orthogonal")]
        return [min(a[i] - b[i] for a, b in found) for i in range(len(lab.seeds))]

    name = f"orders of magnitude over {LAG} steps that"
    return Evidence(
        [
            Measure(f"{name} an LSTM's gradient falls, PyTorch's biases", falls["default", "none"], ">=", 6),
            Measure(f"{name} open forget gates save, with either W", saved("forget"), ">=", 3),
        ],
        [Measure(f"{name} open output gates save", saved("output"), ">=", 3)],
        {"Gradient by lag": lags(curves)},
        note=f"{HIDDEN} units as initialised, PyTorch's W or an orthogonal one; gates are opened by adding 1 to their "
        "biases (Gers et al., 2000).",
    )


def activation_and_init(lab: Lab) -> Evidence:
    """Cross the activation (tanh, relu) with the initialisation (default, identity)."""
    falls: dict[tuple[str, str], list[float]] = {}
    curves = {}
    for activation in ("tanh", "relu"):
        for init in ("default", "identity"):
            cells = [new_cell(seed, cell="rnn", activation=activation, init=init) for seed in lab.seeds]
            norms = [jacobian_norms(cell, seed) for cell, seed in zip(cells, lab.seeds, strict=True)]
            falls[activation, init] = [fall(found) for found in norms]
            curves[f"{activation}, {init}"] = norms[-1].tolist()
    by_identity = [
        min(falls[a, "default"][i] - falls[a, "identity"][i] for a in ("tanh", "relu")) for i in range(len(lab.seeds))
    ]
    by_relu = [a - b for a, b in zip(falls["tanh", "identity"], falls["relu", "identity"], strict=True)]
    alone = [a - b for a, b in zip(falls["tanh", "default"], falls["relu", "default"], strict=True)]
    name = f"orders of magnitude over {LAG} steps that"
    return Evidence(
        [
            Measure(f"{name} the identity saves, with either activation", by_identity, ">=", 5),
            Measure(f"{name} relu saves besides, on top of the identity", by_relu, ">=", 0.3, "a factor of 2"),
        ],
        [Measure(f"{name} relu saves without the identity", alone, ">=", 0.3)],
        {"Gradient by lag": lags(curves)},
        note="So the initialisation fixes most of it; relu helps with it, and alone makes it far worse.",
    )


def short_term(lab: Lab) -> Evidence:
    """Compare what the gradient brings from 15 steps back with what it brings from 4, by W's spectral radius."""
    near, far = BACK
    cells: dict[str, Callable[[int], Recurrent]] = {
        f"radius {radius}": partial(scaled_cell, radius=radius) for radius in STARTS
    }
    cells["PyTorch's W"] = partial(new_cell, cell="rnn")
    falls: dict[str, list[float]] = {name: [] for name in cells}
    curves = {}
    for name, make in cells.items():
        for seed in lab.seeds:
            norms = jacobian_norms(make(seed), seed)
            falls[name].append(float((norms[near] / norms[far]).log10()))
        curves[name] = norms.tolist()
    name = f"orders of magnitude less that the gradient brings from {far} steps back than from {near}"
    small, one, usual = falls.values()
    return Evidence(
        [
            Measure(f"{name}, W of radius {STARTS[0]}", small, ">=", 4, "a linear network's: 5.8"),
            Measure(f"{name}, PyTorch's W", usual, ">=", 1.5, "a linear network's: about 2.4"),
        ],
        [Measure(f"{name}, W of radius {STARTS[1]}", one, ">=", 1.5, "a linear network's: 0")],
        {"Gradient by lag": lags(curves)},
        note="Where training starts. What it ends with is another matter: over seeds 3 to 7 a tanh-RNN trained 1,300 "
        "updates by Adam on two planted letters, one 4 and one 15 characters back, paid .06 ± .04 of 2 bits for the "
        "near and .88 ± .65 for the far one from a W of radius 0.3, and .53 ± .81 for the far one from one of 1.",
    )


def adding(lab: Lab) -> Evidence:
    """Train an LSTM, an IRNN and a tanh-RNN on the adding problem at T = 100."""

    def fit(cell: str, rate: float, seed: int) -> Trained:
        init = "orthogonal" if cell == "lstm" else "default"  # orthogonal opens the forget gates
        options = (f"--model.cell={cell}", f"--model.lr={rate}", f"--model.init={init}", "--model.hidden_size=32")
        return lab.fit("rnn-regressor", *options, *ADDING, seed=seed)

    rates = {"lstm": 1e-2, "irnn": 1e-3}
    tried = {rate: fit("rnn", rate, lab.seeds[0]) for rate in RATES}
    best = min(RATES, key=lambda rate: error(tried[rate]))
    runs = {cell: [fit(cell, rate, seed) for seed in lab.seeds] for cell, rate in rates.items()}
    runs["rnn"] = [tried[best], *(fit("rnn", best, seed) for seed in lab.seeds[1:])]
    errors = {cell: [error(run) for run in found] for cell, found in runs.items()}
    curves = {cell: jacobian_norms(found[0].model.recurrent, 0).tolist() for cell, found in runs.items()}
    name = "mean squared error at T = 100"
    mean = "predicting the mean: 0.167"
    return Evidence(
        [
            Measure(f"{name}, LSTM", errors["lstm"], "<=", 0.01, mean),
            Measure(f"{name}, IRNN", errors["irnn"], "<=", 0.01, mean),
            Measure(f"{name}, tanh-RNN", errors["rnn"], ">=", 0.15, mean),
        ],
        [Measure(f"{name}, tanh-RNN", errors["rnn"], "<=", 0.01, mean)],
        {"Gradient by lag, trained": lags(curves)},
        note=f"As many updates for all; the tanh-RNN has the best of the learning rates {RATES}: {best}.",
    )


def error(trained: Trained) -> float:
    """Return the last validation error."""
    return trained.history("val/loss")[-1]


def new_cell(seed: int, **options: Any) -> Recurrent:
    """Return an untrained cell that takes two numbers a step."""
    torch.manual_seed(seed)
    return Recurrent(input_size=2, hidden_size=HIDDEN, **options)


def scaled_cell(seed: int, radius: float) -> Recurrent:
    """Return an untrained tanh-RNN whose W is orthogonal, scaled to a spectral radius."""
    net = new_cell(seed, cell="rnn", init="orthogonal")
    with torch.no_grad():
        net.net.get_parameter("weight_hh_l0").mul_(radius)
    return net


def fall(norms: Tensor) -> float:
    """Return by how many orders of magnitude norms by lag fall over ``LAG`` steps."""
    return float((norms[0] / norms[LAG]).log10())


def jacobian_norms(net: Recurrent, seed: int) -> Tensor:
    """Return ‖d state_T / d state_(T - lag)‖ (Frobenius), lag 0 = 1, up to ``LAG``; an lstm's state is h and c.

    Inputs are numbers from 0 to 1 and marks, as in the adding problem. In double precision, since what is left after 50
    steps may be below what single precision adds up.
    """
    torch.manual_seed(seed)
    net = net.double()
    x = torch.stack([torch.rand(LAG + 20), (torch.rand(LAG + 20) < 0.02).float()], dim=1).double()[None]
    _, state = net(x[:, :20])  # a state that is typical, and not the zeros of the start
    states = [state]
    for x_t in torch.split(x[:, 20:], 1, dim=1):
        _, state = net(x_t, state)
        states.append(state)
    parts = [part for state in states for part in state]
    squares = torch.zeros(len(states)).double()
    for output in torch.cat([part.flatten() for part in states[-1]]):
        gradients = torch.autograd.grad(output, parts, retain_graph=True, materialize_grads=True)
        squares += torch.stack([gradient.square().sum() for gradient in gradients]).view(len(states), -1).sum(1)
    net.float()
    return (squares.flip(0) / squares[-1]).sqrt()


def lags(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw norms of gradients by lag."""
    return Figure(plot_curves(range(LAG + 1), curves, "lag", "‖d state_T / d state_t‖, lag 0 = 1", log=True))
