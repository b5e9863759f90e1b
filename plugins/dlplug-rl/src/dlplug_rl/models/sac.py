"""Soft actor-critic."""

import copy
import math
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from dlplug import Panel
from dlplug_rl.data.environments import EnvInfo
from dlplug_rl.models.agent import EPISODE_PANELS, VIDEO_PANEL
from dlplug_rl.models.off_policy_agent import OffPolicyAgent
from dlplug_rl.nn.networks import TwinQ, build_network

LOG_STD = (-20.0, 2.0)  # bounds of the policy's log standard deviation, as in the authors' code


class SAC(OffPolicyAgent):
    """Continuous control: a policy that seeks reward and stays as random as it can, learned from replayed transitions.

    Soft actor-critic (Haarnoja et al., 2018); what policy learning, section 6.2 of the notes, led to where actions are
    continuous. Two networks value an action, and the lower value counts, since the higher one is too hopeful; the
    policy is a normal distribution squashed by tanh into the bounds of the actions, and what its entropy counts is
    adjusted until the entropy is minus the number of an action's dimensions.

    A batch acts for ``train_freq`` steps in each environment, then makes ``gradient_steps`` updates. Logs
    ``critic_loss``, ``actor_loss``, ``q_value``, ``entropy`` in nats of actions from -1 to 1, and ``ent_coef``, what it
    counts; ``episode_return`` and ``episode_length``.

    Args:
        hidden_sizes: Units of the hidden layers of each network.
        lr: Learning rate of each network's Adam.
        gamma: Discount of a step.
        tau: How far the target networks are moved after each update.
        train_freq: Steps in each environment before the updates of a batch.
        gradient_steps: Updates a batch.
        batch_size: Transitions an update.
        buffer_size: Transitions that the replay buffer holds.
        save_replay_buffer: Whether checkpoints hold the replay buffer; without, a resumed run fills it anew.
        learning_starts: Environment steps before the first update; actions are random until then.
        ent_coef: What the entropy counts; 0 to have it adjusted.
    """

    panels = (
        *EPISODE_PANELS,
        Panel(
            "Values",
            "Value predicted",
            "Mean of the lower Q of the actions that the policy would take. Healthy: settles at the discounted return "
            "and what the entropy adds. Broken: grows without end.",
            curves=("q_value",),
        ),
        Panel(
            "Values",
            "Loss",
            "Mean square error of both Qs. Healthy: high while the policy changes, then low. Broken: explodes.",
            curves=("critic_loss",),
        ),
        Panel(
            "Policy",
            "Entropy",
            "Of actions from -1 to 1, in nats. Healthy: falls to minus the number of an action's dimensions and stays. "
            "Broken: far below it: nothing new is tried.",
            curves=("entropy",),
            expect=("entropy falls",),
        ),
        Panel(
            "Policy",
            "Entropy coefficient",
            "What a nat of entropy counts, in reward. Healthy: falls, then holds. Broken: climbs without end (the "
            "policy cannot be as random as it should).",
            curves=("ent_coef",),
        ),
        VIDEO_PANEL,
    )

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] = (256, 256),
        lr: float = 1e-3,
        gamma: float = 0.99,
        tau: float = 0.005,
        train_freq: int = 8,
        gradient_steps: int = 8,
        batch_size: int = 256,
        buffer_size: int = 100_000,
        save_replay_buffer: bool = True,
        learning_starts: int = 256,
        ent_coef: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hidden_sizes, self.lr, self.gamma, self.tau, self.ent_coef = hidden_sizes, lr, gamma, tau, ent_coef
        self.train_freq, self.gradient_steps, self.batch_size = train_freq, gradient_steps, batch_size
        self.buffer_size, self.save_replay_buffer = buffer_size, save_replay_buffer
        self.learning_starts = learning_starts
        self.require_sizes()
        self.require("at least 1", "hidden_sizes")
        self.require("above 0", "lr", "tau")
        self.require("from 0 to 1", "tau")
        self.require("at least 0", "ent_coef")

    def build(self, info: EnvInfo) -> None:
        """Make the policy, the two values and their targets."""
        bounds = (*info.action_low, *info.action_high)
        if info.actions or not bounds or not all(map(math.isfinite, bounds)):
            raise ValueError(f"needs continuous actions within bounds, which {info.env} does not have")
        if len(info.observation_shape) == 3:
            raise ValueError(f"takes vectors, not images as {info.env} gives them")
        low, high = torch.tensor(info.action_low), torch.tensor(info.action_high)
        self.register_buffer("centre", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)
        self.centre: Tensor
        self.reach: Tensor
        self.size, self.action_shape = len(low), info.action_shape
        self.actor = build_network(info, self.hidden_sizes, 2 * self.size, nn.ReLU)
        self.critic = TwinQ(info, self.hidden_sizes, self.size)
        self.critic_target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_ent_coef = nn.Parameter(torch.zeros(()))

    def policy(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log standard deviation, before the tanh, of n actions, shape (n, size) each."""
        mean, log_std = self.actor(observations).chunk(2, 1)
        return mean, log_std.clamp(*LOG_STD)

    def sample(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Draw actions from -1 to 1, (n, size), with their log-densities, (n,); differentiable."""
        # Exercise: a normal sample, squashed by tanh, and its density after that.
        mean, log_std = self.policy(observations)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        squashed = 2 * (math.log(2) - raw - softplus(-2 * raw))  # log of the derivative of tanh, without 1 - 1
        return raw.tanh(), (normal - squashed).sum(1)

    def act(self, observations: Tensor) -> Tensor:
        """Return the policy's means, within the bounds."""
        with torch.no_grad():
            return self._scaled(self.policy(observations)[0].tanh())

    def evaluate_actions(self, observations: Tensor) -> dict[str, Tensor]:
        """Return the policy's means, and the lower value of each."""
        actions = self.policy(observations)[0].tanh()
        return {"actions": self._scaled(actions), "q_values": self.critic(observations, actions).amin(0)}

    def explore(self, observations: Tensor) -> Tensor:
        """Return drawn actions, of any kind at first."""
        if self.warming_up:
            return self._scaled(torch.rand(len(observations), self.size, device=self.device) * 2 - 1)
        return self._scaled(self.sample(observations)[0])

    def update(self, updates: int) -> dict[str, Tensor]:
        """Make updates of values, policy and entropy coefficient."""
        _, rows = self.replay_buffer.sample(updates * self.batch_size)
        rows["actions"] = (rows["actions"].flatten(1) - self.centre) / self.reach
        parts = zip(*(torch.split(column, self.batch_size) for column in rows.values()), strict=True)
        measured = [self._update(dict(zip(rows, columns, strict=True))) for columns in parts]
        self.num_updates += updates
        means = torch.stack([torch.stack(row) for row in measured]).mean(0)
        return dict(zip(("critic_loss", "actor_loss", "q_value", "entropy", "ent_coef"), means, strict=True))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an Adam for the values, the policy and the entropy coefficient each."""
        parts: Any = (self.critic.parameters(), self.actor.parameters(), [self.log_ent_coef])
        return [torch.optim.Adam(part, self.lr, fused=True) for part in parts]

    def _update(self, rows: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Make an update; return the losses of the values and the policy, the value, the entropy and what it counts."""
        critic_optimizer, actor_optimizer, ent_optimizer = self._optimizers()
        ent_coef = self.log_ent_coef.detach().exp() if not self.ent_coef else self.reach.new_tensor(self.ent_coef)
        # Exercise: the targets and the step of the values, then the step of the policy.
        with torch.no_grad():
            next_actions, next_log_prob = self.sample(rows["next_observations"])
            next_q = self.critic_target(rows["next_observations"], next_actions).amin(0) - ent_coef * next_log_prob
            targets = rows["returns"] + rows["discounts"] * next_q  # (n,)
        values = self.critic(rows["observations"], rows["actions"])  # (2, n)
        critic_loss = mse_loss(values, targets.expand_as(values))
        self.minimise(critic_loss, critic_optimizer)

        actions, log_prob = self.sample(rows["observations"])
        self.critic.requires_grad_(False)  # its gradients are not needed for the policy's step
        q_value = self.critic(rows["observations"], actions).amin(0)
        actor_loss = (ent_coef * log_prob - q_value).mean()
        self.minimise(actor_loss, actor_optimizer)
        self.critic.requires_grad_(True)
        # end
        if not self.ent_coef:  # towards an entropy of minus the number of dimensions
            self.minimise(-self.log_ent_coef * (log_prob.detach().mean() - self.size), ent_optimizer)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.critic_target.parameters()), list(self.critic.parameters()), self.tau)
        return critic_loss.detach(), actor_loss.detach(), q_value.detach().mean(), -log_prob.detach().mean(), ent_coef

    def _optimizers(self) -> tuple[LightningOptimizer, ...]:
        optimizers: Any = self.optimizers()
        return tuple(optimizers)

    def _scaled(self, actions: Tensor) -> Tensor:
        """Return actions (n, *action_shape) within the bounds of ones from -1 to 1, (n, size)."""
        return (self.centre + self.reach * actions).view(-1, *self.action_shape)
