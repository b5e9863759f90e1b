"""Rewards: the value is their expected sum, and they are all that tells an agent what to do."""

import numpy as np
import torch

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_rl.claims import ENVIRONMENTS, QUIET
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.models.policy_gradient import PolicyGradient

WHOLE = ("--data.env=CartPole-v1", "--model.batch_size=1000000", "--trainer.max_epochs=1")  # an update a rollout
COUNTS = (10, 30, 100, 300, 1000, 4000)  # episodes whose mean is shown


def discounted_sum(lab: Lab) -> Evidence:
    """Hold the mean discounted sum of rewards of many episodes against the exact value of the process."""
    gamma = 0.9
    transitions = torch.tensor([[0.5, 0.5], [0.0, 0.8]]).double()
    exact = torch.linalg.solve(torch.eye(2).double() - gamma * transitions, torch.tensor([1.0, 2.0]).double())[0]
    info = EnvInfo.of("dlplug/Chain-v0", {}, {}, ENVIRONMENTS, 0)
    errors: dict[str, list[float]] = {"discounted": [], "undiscounted": []}
    means: dict[str, list[float]] = {}
    for seed in lab.seeds:
        for name, discount in (("discounted", gamma), ("undiscounted", 1.0)):
            model: PolicyGradient = lab.model("policy-gradient", info, seed, gamma=discount, baseline="none")
            envs = VectorEnv(info, 500)
            sums = torch.cat([model.returns_to_go(*model.collect(envs))[0] for _ in range(8)])
            errors[name].append(float((sums.mean() - exact).abs() / exact))
            means[name] = [float(sums[:count].mean()) for count in COUNTS]
    what = "relative error of the mean of 4,000 episodes"
    curves = {**means, "exact value": [float(exact)] * len(COUNTS)}
    return Evidence(
        [Measure(what, errors["discounted"], "<=", 0.02, f"{exact:.4f}, solved for")],
        [Measure("the same without discount", errors["undiscounted"], "<=", 0.02)],
        {"Mean of the sums": Figure(plot_curves(COUNTS, curves, "episodes", "mean sum of rewards"))},
    )


def reward_teaches(lab: Lab) -> Evidence:
    """Train PPO on a pole that pays for each step that it stands, and on one that charges for it."""
    options = ("--trainer.max_epochs=5", "--trainer.check_val_every_n_epoch=5", "--data.max_episode_steps=200", *QUIET)
    lengths: dict[str, list[float]] = {"CartPole-v1": [], "dlplug/Falling-v0": []}
    curves: dict[str, list[list[float]]] = {env: [] for env in lengths}
    divergences: dict[int, list[float]] = {1: [], 2: []}
    for seed in lab.seeds:
        for env, found in lengths.items():
            trained = lab.fit("ppo", f"--data.env={env}", f"--data.package={ENVIRONMENTS}", *options, seed=seed)
            found.append(lab.test(trained)["test/episode_length"])
            curves[env].append(trained.history("train/episode_length"))
        for updates, found in divergences.items():
            run = lab.fit("ppo", f"--model.n_epochs={updates}", *WHOLE, *QUIET, seed=seed)
            found.append(max(map(abs, run.history("train/approx_kl"))))
    far = "KL divergence from the policy that acted, at a rollout"
    what = "mean steps of 100 episodes of at most 200, after 50,000 steps"
    paid, charged = lengths.values()
    means = {env: np.mean(values, 0).tolist() for env, values in curves.items()}
    thousands = [50 * (k + 1) / len(means["CartPole-v1"]) for k in range(len(means["CartPole-v1"]))]
    drawing = plot_curves(thousands, means, "thousands of steps", "steps of an episode in training")
    return Evidence(
        [
            Measure(what, paid, ">=", 150, "acting at random has about 22"),
            Measure(f"{far}'s first update", divergences[1], "<=", 1e-6, exact=True),
        ],
        [
            Measure("the same where each step costs 1 instead of paying 1", charged, ">=", 150),
            Measure(f"{far}'s second update", divergences[2], "<=", 1e-6, exact=True),
        ],
        {"Length of episodes": Figure(drawing)},
        note="The two poles differ in the reward alone, and so does what is learned: to stand, and to fall quickly. An "
        "untrained network is no control here: of those that always choose the more probable action some balance the "
        "pole from the start.",
    )
