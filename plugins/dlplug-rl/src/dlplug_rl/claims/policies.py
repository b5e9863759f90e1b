"""Policies: what is learned without values, where any certain choice fails."""

import torch
from matplotlib.figure import Figure as Drawing

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug_rl.claims import ENVIRONMENTS, NO_VALIDATION
from dlplug_rl.claims.environments import CORRIDOR_LENGTH, REVERSED_PLACE
from dlplug_rl.data.environments import VectorEnv


def policy_needs_no_q(lab: Lab) -> Evidence:
    """Learn a policy in a corridor whose places look alike, where any certain choice never arrives."""
    grid = torch.linspace(0.01, 0.99, 99).double()
    exact = [_corridor_return(float(p)) for p in grid]
    best = max(exact)
    options = ("--data.env=dlplug/Corridor-v0", f"--data.package={ENVIRONMENTS}", "--data.num_envs=16", *NO_VALIDATION)
    learned = ("--model.gamma=1.0", "--model.baseline=mean", "--model.lr=0.02", "--trainer.max_epochs=4")
    drawn, certain, untrained, shares = [], [], [], []
    for seed in lab.seeds:
        model = lab.fit("policy-gradient", *options, *learned, seed=seed).model
        shares.append(float(model.policy(torch.zeros(1, dtype=torch.long)).exp()[0, 1]))
        drawn.append(_corridor_return(shares[-1]))
        info = model.info
        # Observations are 0 throughout, so that adding to them is choosing always the same.
        certain.append(
            max(float(VectorEnv(info, 1).evaluate(choice.add, [0])[0]) for choice in torch.arange(2)[:, None])
        )
        fresh = lab.model("policy-gradient", info, seed)
        untrained.append(_corridor_return(float(fresh.policy(torch.zeros(1, dtype=torch.long)).exp()[0, 1])))
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    axes = drawing.add_subplot(xlabel="probability of going right", ylabel="expected return", ylim=(-100, 0))
    axes.plot(grid.tolist(), exact)
    for share in shares:
        axes.axvline(share, color="tab:orange", linestyle=":")
    bar = 1.1 * best
    what = "expected return of the learned policy"
    return Evidence(
        [Measure(what, drawn, ">=", bar, f"the best of all policies has {best:.2f}, solved for")],
        [
            Measure("return of the best deterministic policy, truncated after 300 steps", certain, ">=", bar),
            Measure("expected return of an untrained policy", untrained, ">=", bar),
        ],
        {"Policies": Figure(drawing)},
        note="The policy gradient has no values at all here. Dotted: what was learned.",
    )


def _corridor_return(right: float) -> float:
    """Return the expected return of going right with a certain probability everywhere in the corridor."""
    transitions = torch.zeros(CORRIDOR_LENGTH, CORRIDOR_LENGTH + 1).double()
    for place in range(CORRIDOR_LENGTH):
        ahead = 1 - right if place == REVERSED_PLACE else right
        transitions[place, place + 1] += ahead
        transitions[place, max(0, place - 1)] += 1 - ahead
    identity, cost = torch.eye(CORRIDOR_LENGTH).double(), torch.ones(CORRIDOR_LENGTH).double()
    return -float(torch.linalg.solve(identity - transitions[:, :-1], cost)[0])
