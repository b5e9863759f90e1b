"""Sections 2.7 and 2.8: gradients that vanish, and what fixes them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_sequence.claims.context import CHANCE, LSTM, PLANTED, plant, repeated_bits
from dlplug_sequence.nn.recurrent import Recurrent

RATES = (1e-3, 3e-3, 1e-2)  # the tanh-RNN gets its best: its result is not for want of a learning rate
LAG = 50
HIDDEN = 64
CELLS = ("rnn", "gru", "lstm", "irnn")
GAPS = (2, 23)
ADDING = ("--data.batch_size=32", "--trainer.max_epochs=5", "--trainer.check_val_every_n_epoch=5")  # 3,125 updates


def vanishing(lab: Lab) -> Evidence:
    """Measure how d state_T / d state_(T-50) shrinks as networks are initialised, the LSTM's forget gates open."""
    falls: dict[str, list[float]] = {name: [] for name in (*CELLS, "lstm, forget gates at 0")}
    curves = {}
    for seed, cell in itertools.product(lab.seeds, falls):
        net = new_cell(seed, cell=cell.partition(",")[0])
        if cell == "lstm":
            with torch.no_grad():
                net.net.get_parameter("bias_ih_l0")[HIDDEN : 2 * HIDDEN] += 1
        norms = jacobian_norms(net, seed)
        falls[cell].append(float((norms[0] / norms[LAG]).log10()))
        curves[cell] = norms.tolist()
    less = [tanh - lstm for tanh, lstm in zip(falls["rnn"], falls["lstm"], strict=True)]
    name = f"orders of magnitude that the gradient falls over {LAG} steps"
    others = ", ".join(f"{cell} {sum(falls[cell]) / len(lab.seeds):.2g}" for cell in ("gru", "lstm, forget gates at 0"))
    return Evidence(
        [
            Measure(f"{name}, tanh-RNN", falls["rnn"], ">=", 6, "0: it would not fall"),
            Measure("how many fewer an LSTM's falls", less, ">=", 3, "the tanh-RNN"),
            Measure(f"{name}, IRNN", falls["irnn"], "<=", 1),
        ],
        [Measure(f"{name}, IRNN held to the tanh-RNN's bar", falls["irnn"], ">=", 6)],
        {"Gradient by lag": lags(curves)},
        note=f"{HIDDEN} units as initialised; the LSTM's forget gates have a bias of 1 (Gers et al., 2000). Others: "
        f"{others}: an LSTM with PyTorch's biases forgets too. Trained ones are in the figure of gates-remember.",
    )


def activation_and_init(lab: Lab) -> Evidence:
    """Cross the activation (tanh, relu) with the initialisation (default, identity)."""
    falls: dict[tuple[str, str], list[float]] = {}
    curves = {}
    for activation in ("tanh", "relu"):
        for init in ("default", "identity"):
            cells = [new_cell(seed, cell="rnn", activation=activation, init=init) for seed in lab.seeds]
            norms = [jacobian_norms(cell, seed) for cell, seed in zip(cells, lab.seeds, strict=True)]
            falls[activation, init] = [float((n[0] / n[LAG]).log10()) for n in norms]
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
        note="So the initialisation fixes most of it, and relu helps only together with it.",
    )


def short_term(lab: Lab) -> Evidence:
    """Plant two dependencies that are worth the same, a near and a far one; see which a tanh-RNN learns."""
    path = plant(lab.folder / "planted.txt", GAPS, count=11_000)

    def fit(seed: int, *options: str) -> Trained:
        return lab.fit("rnn-lm", *PLANTED, *options, f"--data.path={path}", seed=seed)

    def tanh(rate: float, seed: int) -> Trained:
        return fit(seed, "--model.cell=rnn", f"--model.lr={rate}")

    def far(trained: Trained) -> float:
        return repeated_bits(trained, GAPS[1], "upper")

    tried = {rate: tanh(rate, lab.seeds[0]) for rate in RATES}
    best = min(RATES, key=lambda rate: far(tried[rate]))
    plain = [tried[best], *(tanh(best, seed) for seed in lab.seeds[1:])]
    gated = [fit(seed, *LSTM) for seed in lab.seeds]
    near, name = (f"bits that a letter costs which is repeated {gap + 2} characters later" for gap in GAPS)
    return Evidence(
        [
            Measure(f"{near}, tanh-RNN", [repeated_bits(t, GAPS[0]) for t in plain], "<=", 0.5, CHANCE),
            Measure(f"{name}, tanh-RNN", [far(t) for t in plain], ">=", 1.5, CHANCE),
        ],
        [Measure(f"{name}, LSTM", [far(t) for t in gated], ">=", 1.5)],
        note=f"As many updates for both; the tanh-RNN has the rate of {RATES} that is best at the far one: {best}.",
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
