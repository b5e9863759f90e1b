"""Q-learning in a table, held against value iteration."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure, Media
from dlplug_rl.claims import NO_VALIDATION
from dlplug_rl.evaluation.grid_worlds import optimal_values, plot_policy, policy_value, transitions
from dlplug_rl.models.q_learning import QLearning


def q_converges(lab: Lab) -> Evidence:
    """Let Q-learning explore slippery ice, and hold its table and what it does against value iteration."""
    values: dict[float, list[float]] = {0.99: [], 0.0: []}

    def mean_error(model: QLearning, env: Any) -> Tensor:
        values[model.gamma].append(policy_value(env, model.table.argmax(1), model.info.max_episode_steps))
        return (model.table - optimal_values(env, 0.99)).abs()[model.visits > 0].mean()

    errors, figures = _measure(lab, 0.99, mean_error)
    what = "exact expected return of argmax Q, 200,000 steps"
    error = "mean error of Q over all pairs of state and action that occurred"
    return Evidence(
        [
            Measure(what, values[0.99], ">=", 0.72, "0.744 is the most that any policy has"),
            Measure(error, errors[0.99], "<=", 0.05, "Q* by value iteration; the best start is worth 0.54"),
        ],
        [
            Measure(f"{what}, of a myopic learner (discount 0)", values[0.0], ">=", 0.72),
            Measure(f"{error}, of a myopic learner", errors[0.0], "<=", 0.05),
        ],
        figures,
        note="The default recipe: random at first, then nine steps of ten by what it has learned.",
    )


def argmax_is_optimal(lab: Lab) -> Evidence:
    """Ask in each state that can be reached whether the action of the highest learned value is an optimal one."""

    def share_optimal(model: QLearning, env: Any) -> Tensor:
        best = optimal_values(env, 1.0)
        chosen = best.gather(1, model.table.argmax(1, keepdim=True))[:, 0]
        return (chosen >= best.amax(1) - 1e-6)[_reachable(env)].float().mean()

    options = ("--data.env=CliffWalking-v1", "--trainer.max_epochs=3", "--model.exploration_final_eps=0.3")
    shares, figures = _measure(lab, 1.0, share_optimal, *options)
    what = "share of the cliff's reachable states in which argmax Q is an optimal action"
    return Evidence(
        [Measure(what, shares[1.0], ">=", 1.0, "Q* by value iteration")],
        [Measure("the same of a myopic learner (discount 0)", shares[0.0], ">=", 1.0)],
        figures,
    )


def _measure(
    lab: Lab, gamma: float, measure: Callable[[QLearning, Any], Tensor], *options: str
) -> tuple[dict[float, list[float]], dict[str, Media]]:
    """Measure tables learned with a discount and without a future, by discount; and draw the last of the former."""
    values: dict[float, list[float]] = {gamma: [], 0.0: []}
    figures: dict[str, Media] = {}
    for seed in lab.seeds:
        for discount, measured in values.items():
            model = lab.fit("q-learning", *options, f"--model.gamma={discount}", *NO_VALIDATION, seed=seed).model
            env = model.info.make().unwrapped
            measured.append(float(measure(model, env)))
            if discount and (drawing := plot_policy(env, model.table)):
                figures["What was learned"] = Figure(drawing)
    return values, figures


def _reachable(env: Any) -> Tensor:
    """Return which states any actions lead to from the start before the episode ends, shape (states,)."""
    leads_to = transitions(env)[0].sum(1) > 0  # (states, states)
    reached = torch.from_numpy(np.asarray(env.initial_state_distrib) > 0)
    while not torch.equal(more := reached | leads_to[reached].any(0), reached):
        reached = more
    return reached
