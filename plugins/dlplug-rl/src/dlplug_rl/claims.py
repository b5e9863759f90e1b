"""The sentences of sections 6.1 and 6.2, measured."""

import statistics
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from matplotlib.figure import Figure as Drawing
from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure, Media, Table
from dlplug_rl.data.environments import EnvInfo, Envs
from dlplug_rl.evaluation.grid_worlds import optimal_values, plot_policy, transitions
from dlplug_rl.models.dqn import DQN
from dlplug_rl.models.policy_gradient import PolicyGradient

CORRIDOR, REVERSED = 6, 1  # places, and the one where left and right change roles
QUIET = ("--trainer.enable_progress_bar=false",)
UNWATCHED = (*QUIET, "--trainer.limit_val_batches=0")
RATES = (1e-3, 2.3e-3)  # what a variant that loses may choose from; the last is the default
BAR = 180  # nine tenths of the most that an episode of 200 steps returns
PACKAGE = "--data.package=dlplug_rl.claims"


class Corridor(gymnasium.Env[int, int]):
    """A corridor whose places all look alike; at one of them left and right change roles. Each step costs 1.

    After the aliased corridor of Sutton and Barto (2018), example 13.1, made longer so that a fair coin is far from the
    best policy.
    """

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), spaces.Discrete(2)  # type: ignore[assignment]
        self.place = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Go to the left end."""
        super().reset(seed=seed)
        self.place = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Go left (0) or right (1)."""
        right = bool(action) != (self.place == REVERSED)
        self.place = max(0, self.place + (1 if right else -1))
        return 0, -1.0, self.place == CORRIDOR, False, {}


class Chain(gymnasium.Env[int, int]):
    """Two states. The first pays 1 and leads to the second half of the time; that pays 2 and ends one time in five."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Discrete(2), spaces.Discrete(1)  # type: ignore[assignment]
        self.state = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start in the first."""
        super().reset(seed=seed)
        self.state = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Wait and see."""
        reward, moves = 1.0 + self.state, self.np_random.random() < (0.5, 0.2)[self.state]
        ended = self.state == 1 and moves
        self.state = 1 if moves else self.state
        return self.state, reward, bool(ended), False, {}


class Unshown(DQN):
    """Deep Q-learning without pictures, which would take most of the time of short runs."""

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show nothing."""
        return {}


def falling(**options: Any) -> "gymnasium.Env[Any, Any]":
    """Return CartPole where each step costs 1 instead of paying 1."""
    return gymnasium.wrappers.TransformReward(CartPoleEnv(**options), lambda reward: -float(reward))


gymnasium.register("dlplug/Falling-v0", "dlplug_rl.claims:falling", max_episode_steps=500)
gymnasium.register("dlplug/Corridor-v0", "dlplug_rl.claims:Corridor", max_episode_steps=300)
gymnasium.register("dlplug/Chain-v0", "dlplug_rl.claims:Chain", max_episode_steps=300)


def discounted_sum(lab: Lab) -> Evidence:
    """Hold the mean discounted sum of rewards of many episodes against the exact value of the process."""
    gamma = 0.9
    follows = torch.tensor([[0.5, 0.5], [0.0, 0.8]]).double()
    exact = torch.linalg.solve(torch.eye(2).double() - gamma * follows, torch.tensor([1.0, 2.0]).double())[0]
    info = EnvInfo.of("dlplug/Chain-v0", {}, {}, "", 0)
    off: dict[str, list[float]] = {"discounted": [], "plain": []}
    for seed in lab.seeds:
        for name, discount in (("discounted", gamma), ("plain", 1.0)):
            model: PolicyGradient = lab.model("policy-gradient", info, seed, gamma=discount, baseline="none")
            envs = Envs(info, 500)
            sums = []
            for _ in range(8):
                rollout, playing = model.collect(envs)
                sums.append(model.returns(rollout, playing)[0])
            off[name].append(float((torch.cat(sums).mean() - exact).abs() / exact))
    what = "distance of the mean of 4,000 episodes from the exact value, as a share of it"
    return Evidence(
        [Measure(what, off["discounted"], "<=", 0.02, f"{exact:.4f}, solved for")],
        [Measure("the same without discount", off["plain"], "<=", 0.02)],
    )


def convergence(lab: Lab) -> Evidence:
    """Let Q-learning act at random on slippery ice, and hold its table against value iteration."""
    errors: dict[float, list[float]] = {0.99: [], 0.0: []}
    figures: dict[str, Media] = {}
    for seed in lab.seeds:
        for gamma, found in errors.items():
            trained = lab.fit("q-learning", *UNWATCHED, "--trainer.max_epochs=6", f"--model.gamma={gamma}", seed=seed)
            model = trained.model
            env = model.info.make().unwrapped
            best = optimal_values(env, 0.99)
            found.append(float((model.table - best).abs()[model.visits > 0].max()))
            if gamma and (drawing := plot_policy(env, model.table)):
                figures["What was learned"] = Figure(drawing)
    what = "largest error of Q over all pairs of state and action that occurred, 960,000 steps"
    return Evidence(
        [Measure(what, errors[0.99], "<=", 0.05, "Q* by value iteration; the best start is worth 0.54")],
        [Measure("the same of a myopic learner (discount 0)", errors[0.0], "<=", 0.05)],
        figures,
        note="It acted at random throughout, and yet learned the values of the best policy.",
    )


def greedy_is_optimal(lab: Lab) -> Evidence:
    """Ask in each state that can be reached whether the action of the highest learned value is an optimal one."""
    shares: dict[float, list[float]] = {1.0: [], 0.0: []}
    options = ("--data.env=CliffWalking-v1", "--trainer.max_epochs=3", "--model.epsilon=0.3", *UNWATCHED)
    figures: dict[str, Media] = {}
    for seed in lab.seeds:
        for gamma, found in shares.items():
            model = lab.fit("q-learning", *options, f"--model.gamma={gamma}", seed=seed).model
            env = model.info.make().unwrapped
            best = optimal_values(env, 1.0)
            chosen = best.gather(1, model.table.argmax(1, keepdim=True))[:, 0]
            found.append(float((chosen >= best.amax(1) - 1e-6)[_reachable(env)].float().mean()))
            if gamma and (drawing := plot_policy(env, model.table)):
                figures["What was learned"] = Figure(drawing)
    what = "share of the cliff's reachable states in which argmax Q is an optimal action"
    return Evidence(
        [Measure(what, shares[1.0], ">=", 1.0, "Q* by value iteration")],
        [Measure("the same of a myopic learner (discount 0)", shares[0.0], ">=", 1.0)],
        figures,
    )


def _reachable(env: Any) -> Tensor:
    """Return which states any actions lead to from the start before the episode ends, shape (states,)."""
    leads = transitions(env)[0].sum(1) > 0  # (states, states)
    seen = torch.from_numpy(np.asarray(env.initial_state_distrib) > 0)
    while not torch.equal(more := seen | leads[seen].any(0), seen):
        seen = more
    return seen


def stochastic_policy(lab: Lab) -> Evidence:
    """Learn a policy in a corridor whose places look alike, where any certain choice never arrives."""
    grid = torch.linspace(0.01, 0.99, 99).double()
    exact = [_corridor_return(float(p)) for p in grid]
    best = max(exact)
    options = ("--data.env=dlplug/Corridor-v0", PACKAGE, "--data.num_envs=16", "--model.greedy=false", *UNWATCHED)
    learned = ("--model.gamma=1.0", "--model.baseline=mean", "--model.lr=0.02", "--trainer.max_epochs=4")
    drawn, certain, untrained, shares = [], [], [], []
    for seed in lab.seeds:
        model = lab.fit("policy-gradient", *options, *learned, seed=seed).model
        shares.append(float(model.policy(torch.zeros(1, dtype=torch.long)).exp()[0, 1]))
        drawn.append(_corridor_return(shares[-1]))
        info = model.info
        # Observations are 0 throughout, so that adding to them is choosing always the same.
        certain.append(max(float(Envs(info, 1).play(choice.add, [0])[0]) for choice in torch.arange(2)[:, None]))
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
            Measure("return of the best policy without chance, cut off after 300 steps", certain, ">=", bar),
            Measure("expected return of an untrained policy", untrained, ">=", bar),
        ],
        {"Policies": Figure(drawing)},
        note="The policy gradient has no values at all here. Dotted: what was learned.",
    )


def _corridor_return(right: float) -> float:
    """Return the expected return of going right with a certain probability everywhere in the corridor."""
    follows = torch.zeros(CORRIDOR, CORRIDOR + 1).double()
    for place in range(CORRIDOR):
        ahead = 1 - right if place == REVERSED else right
        follows[place, place + 1] += ahead
        follows[place, max(0, place - 1)] += 1 - ahead
    steps = torch.linalg.solve(torch.eye(CORRIDOR).double() - follows[:, :CORRIDOR], torch.ones(CORRIDOR).double())
    return -float(steps[0])


def reward_is_all_it_takes(lab: Lab) -> Evidence:
    """Train PPO on a pole that pays for each step that it stands, and on one that charges for it."""
    options = ("--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=3", "--data.max_steps=200", *QUIET)
    lengths: dict[str, list[float]] = {"CartPole-v1": [], "dlplug/Falling-v0": []}
    for seed in lab.seeds:
        for env, found in lengths.items():
            trained = lab.fit("ppo", f"--data.env={env}", PACKAGE, *options, seed=seed)
            found.append(lab.test(trained)["test/length"])
    what = "mean steps of 100 episodes of at most 200, after 30,000 steps"
    return Evidence(
        [Measure(what, lengths["CartPole-v1"], ">=", 150, "acting at random has about 22")],
        [Measure("the same where each step costs 1 instead of paying 1", lengths["dlplug/Falling-v0"], ">=", 150)],
        note="The two poles differ in the reward alone, and so does what is learned: to stand, and to fall quickly. An "
        "untrained network is no control here: of those that always choose the more probable action some balance the "
        "pole from the start.",
    )


def target_and_replay(lab: Lab) -> Evidence:
    """Take the slower copy or the memory out of deep Q-learning, each with its best of two learning rates."""
    data = ("--data=gym", "--data.max_steps=200", "--trainer.gradient_clip_val=10.0")  # as in the recipe
    base = (*data, "--model.hidden=[64,64]", "--trainer.max_epochs=8", *QUIET)
    often, seldom = ("--model.updates=64",), ("--model.updates=16", "--model.steps=16", "--data.batches=40")
    variants = {
        "as it is": often,
        "without a slower copy": (*often, "--model.target_every=1"),
        "without a memory": (*seldom, "--model.replay=64", "--model.warm_up=64"),
    }

    def levels(name: str, rate: float) -> list[float]:
        runs = [
            lab.fit("dlplug_rl.claims.Unshown", *base, *variants[name], f"--model.lr={rate}", seed=seed)
            for seed in lab.seeds
        ]
        return [statistics.fmean(run.history("val/return")[-4:]) for run in runs]

    found: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    for name in variants:
        tried = {rate: levels(name, rate) for rate in (RATES[-1:] if name == "as it is" else RATES)}
        found[name] = max(tried.values(), key=statistics.fmean)
        rows += [(name, f"{rate:g}", *(f"{value:.0f}" for value in values)) for rate, values in tried.items()]
    what = "mean return in the last four validations"
    return Evidence(
        [Measure(f"{what}: as it is", found["as it is"], ">=", BAR, "of 200; acting at random has about 22")],
        [Measure(f"{what}: {name}", found[name], ">=", BAR) for name in list(variants)[1:]],
        {"Returns": Table(("variant", "learning rate", *(f"seed {seed}" for seed in lab.seeds)), rows)},
        note="All make as many steps, and as many updates of as many transitions; what is taken out has its best of "
        "two learning rates by the mean of the seeds. Without a memory updates see the last 64 transitions, and none "
        "ever again: each is used as often as with a memory, but at once.",
    )
