"""Section 2.4: what a language model gives at each token."""

from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves

LENGTH = 48


@torch.no_grad()
def each_step(lab: Lab) -> Evidence:
    """Read a text at once, and token by token from those before alone: the probabilities have to agree."""
    info = lab.data("bible").info
    worst: dict[str, list[float]] = {"sum": [], "rnn-lm": [], "transformer-lm": [], "unmasked": [], "stateless": []}
    curves: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for name in ("rnn-lm", "transformer-lm"):
            model = lab.model(name, info, seed)
            words = len(model.vocabulary)
            tokens = torch.randint(words, (1, LENGTH + 1))
            logits = _steps(model, tokens)  # (time, vocabulary)
            at_once, _ = model.losses(tokens[:, :-1], tokens[:, 1:], ())
            curves[name] = _differences(at_once[0], logits, tokens)
            worst[name].append(max(curves[name]))
            every = torch.arange(words)[:, None]
            after, _ = model.losses(
                tokens[:, :8].expand(words, -1), torch.cat([tokens[:, 1:8].expand(words, -1), every], 1), ()
            )
            worst["sum"].append(abs(float(after[:, -1].double().neg().exp().sum()) - 1))
            if name == "rnn-lm":
                forgetful = torch.cat([model.next_logits(tokens[:, t : t + 1], ())[0] for t in range(LENGTH)])
                worst["stateless"].append(max(_differences(at_once[0], forgetful, tokens)))
        x = model.embed(tokens[:, :-1]) + model.position.weight[:LENGTH]
        for layer in model.net.layers:
            x = layer(x, is_causal=False)
        seen = -model.out(model.net.norm(x)).log_softmax(2)[0].gather(1, tokens[0, 1:, None])[:, 0]
        curves["transformer-lm, without its mask"] = _differences(seen, logits, tokens)
        worst["unmasked"].append(max(curves["transformer-lm, without its mask"]))
    shown = {name: [max(value, 1e-9) for value in values] for name, values in curves.items()}
    what = "nats by which a text read at once differs from one read token by token, the worst of 48"
    return Evidence(
        [
            Measure("sum of the probabilities of all next tokens, less 1", worst["sum"], "<=", 1e-5, exact=True),
            Measure(f"{what}: rnn-lm", worst["rnn-lm"], "<=", 1e-4, "single precision", exact=True),
            Measure(f"{what}: transformer-lm", worst["transformer-lm"], "<=", 1e-4, "single precision", exact=True),
        ],
        [
            Measure("the same of transformer-lm without its mask", worst["unmasked"], "<=", 1e-4, exact=True),
            Measure("the same of rnn-lm without its state", worst["stateless"], "<=", 1e-4, exact=True),
        ],
        {
            "At once and token by token": Figure(
                plot_curves(range(1, LENGTH + 1), shown, "token", "nats apart", log=True)
            )
        },
        note="Untrained networks: what they see does not depend on the weights.",
    )


def _steps(model: Any, tokens: Tensor) -> Tensor:
    """Return logits (time, vocabulary) of what follows each token but the last, each read after those before it."""
    state: tuple[Tensor, ...] = ()
    logits = []
    for t in range(tokens.shape[1] - 1):
        after, state = model.next_logits(tokens[:, t : t + 1], state)
        logits.append(after)
    return torch.cat(logits)


def _differences(nats: Tensor, logits: Tensor, tokens: Tensor) -> list[float]:
    alone = -logits.log_softmax(1).gather(1, tokens[0, 1:, None])[:, 0]
    found: list[float] = (nats - alone).abs().tolist()
    return found
