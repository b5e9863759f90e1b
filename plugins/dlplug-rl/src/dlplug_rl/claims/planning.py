"""Models of the environment: the transition function, learned and planned with; and a network in the table's place."""

from typing import Any

import torch
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_rl.claims import NO_VALIDATION
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.evaluation.grid_worlds import optimal_values, policy_value, transitions, value_iteration
from dlplug_rl.models.dqn import DQN
from dlplug_rl.models.q_learning import QLearning

STEPS = (1_000, 2_500, 5_000, 10_000, 20_000, 50_000)  # random ones that a model is learned from
NUM_ENVS = 50
LIMIT = 100  # steps of an episode
GAMMA = 0.99


def model_learned(lab: Lab) -> Evidence:
    """Count what random steps on slippery ice lead to, and plan by value iteration with the shares."""
    info = EnvInfo.of("FrozenLake-v1", {}, {}, "", LIMIT)
    ice = info.make().unwrapped
    best = policy_value(ice, optimal_values(ice, GAMMA).argmax(1), LIMIT)
    planned: dict[int, list[float]] = {steps: [] for steps in STEPS}
    exchanged, direct, errors = [], [], []
    for seed in lab.seeds:
        states, actions, rewards, terminated, following = random_steps(info, seed)
        for steps in STEPS:
            p, r = estimate(info, *(each[:steps] for each in (states, actions, rewards, terminated, following)))
            planned[steps].append(policy_value(ice, value_iteration(p, r, GAMMA).argmax(1), LIMIT))
        errors.append(float((p - transitions(ice)[0]).abs().sum(2)[p.sum(2) > 0].mean()) / 2)
        order = torch.randperm(len(states))
        p, r = estimate(info, states, actions, rewards, terminated[order], following[order])
        exchanged.append(policy_value(ice, value_iteration(p, r, GAMMA).argmax(1), LIMIT))
        table: QLearning = lab.model("q-learning", info, seed, gamma=GAMMA, lr_decay=0.6)
        columns = (states, actions, rewards, terminated, following)
        for s, a, reward, ended, after in zip(*(torch.split(each, NUM_ENVS) for each in columns), strict=True):
            table.learn(s, a, (reward + GAMMA * table(after).amax(1) * ~ended).float())
        direct.append(policy_value(ice, table.table.argmax(1), LIMIT))
    name = f"exact expected return of planning with a model of {STEPS[-1]:,} random steps"
    means = {"planned with the model": [sum(values) / len(values) for values in planned.values()]}
    means["the best policy"] = [best] * len(STEPS)
    return Evidence(
        [
            Measure(name, planned[STEPS[-1]], ">=", 0.95 * best, f"95 % of the best policy's {best:.3f}"),
            Measure("distance of learned from true probabilities, mean over pairs", errors, "<=", 0.1),
        ],
        [
            Measure(f"{name}, what follows exchanged between steps", exchanged, ">=", 0.95 * best),
        ],
        {"Return by steps": Figure(plot_curves(STEPS, means, "random steps", "exact expected return"))},
        note="Random actions alone: no policy is tried before it is planned. A table of Q-learning that sees the same "
        f"steps once in their order returns {sum(direct) / len(direct):.3f}.",
    )


def random_steps(info: EnvInfo, seed: int) -> tuple[Tensor, ...]:
    """Act at random; return states, actions, rewards, whether it ended there, and the next states, shape (steps,)."""
    generator = torch.Generator().manual_seed(seed)
    envs = VectorEnv(info, NUM_ENVS)
    envs.reset(range(NUM_ENVS * seed, NUM_ENVS * (seed + 1)))
    columns = []
    for _ in range(STEPS[-1] // NUM_ENVS):
        states, actions = envs.observations, torch.randint(info.actions, (NUM_ENVS,), generator=generator)
        result = envs.step(actions)
        columns.append((states, actions, result.rewards.double(), result.terminated, result.next_observations))
    envs.close()
    return tuple(map(torch.cat, zip(*columns, strict=True)))


def estimate(
    info: EnvInfo, states: Tensor, actions: Tensor, rewards: Tensor, terminated: Tensor, following: Tensor
) -> tuple[Tensor, Tensor]:
    """Return P(s'|s, a), 0 where the episode ended, and the mean reward, both 0 where a pair was never seen."""
    pairs = states * info.actions + actions
    seen = torch.bincount(pairs, minlength=info.states * info.actions).clamp_min(1)
    counts = torch.zeros(len(seen), info.states).double()
    counts.index_put_((pairs, following), (~terminated).double(), accumulate=True)
    total = torch.zeros(len(seen)).double().index_add_(0, pairs, rewards)
    return (counts / seen[:, None]).view(info.states, info.actions, -1), (total / seen).view(info.states, -1)


class PlainDQN(DQN):
    """Deep Q-learning without videos."""

    def showcase(self, batch: Tensor) -> dict[str, Any]:
        """Show nothing."""
        return {}


def network_approximates_q(lab: Lab) -> Evidence:
    """Learn Q by a network on ice that is not slippery, and hold it against value iteration."""
    options = ("--data.env=FrozenLake-v1", "--data.options={is_slippery: false}", "--model.n_steps=1")
    size = ("--model.hidden_sizes=[64]", "--model.exploration_steps=10000", "--model.exploration_final_eps=0.2")
    found: dict[float, list[float]] = {0.9: [], 0.0: []}
    values: dict[float, list[float]] = {0.9: [], 0.0: []}
    for seed in lab.seeds:
        for gamma, errors in found.items():
            trained = lab.fit(
                f"{__name__}.PlainDQN", "--data=gym", *options, *size, f"--model.gamma={gamma}", *NO_VALIDATION,
                "--trainer.max_epochs=8", "--model.gradient_steps=64", seed=seed,
            )  # fmt: skip
            model = trained.model
            ice = model.info.make().unwrapped
            probabilities = transitions(ice)[0]
            places = probabilities.sum((1, 2)) > 0  # where an episode goes on
            places &= torch.tensor([letter not in b"HG" for letter in ice.desc.flatten()])
            with torch.no_grad():
                q = model(torch.arange(model.info.states)).double()
            errors.append(float((q - optimal_values(ice, 0.9)).abs()[places].mean()))
            values[gamma].append(policy_value(ice, q.argmax(1), LIMIT))
    error = "mean error of a network's Q over all pairs of place and action"
    return Evidence(
        [
            Measure(error, found[0.9], "<=", 0.05, "Q* by value iteration; the start is worth 0.59"),
        ],
        [Measure(f"{error}, of a myopic one (discount 0)", found[0.0], "<=", 0.05)],
        note=f"20,480 steps. Its argmax arrives in {sum(values[0.9]):g} of {len(lab.seeds)} runs.",
    )
