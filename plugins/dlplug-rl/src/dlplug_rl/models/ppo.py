"""Proximal policy optimisation."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from dlplug import Panel
from dlplug.optim import set_lr
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.data.rollouts import Rollout, collect_rollout, gae
from dlplug_rl.models.agent import VIDEO_PANEL
from dlplug_rl.models.policy_agent import POLICY_PANELS, PolicyAgent
from dlplug_rl.nn.policies import Policy


class PPO(PolicyAgent):
    """A policy that is improved in small steps: an action that went better than expected becomes more probable.

    Schulman et al. (2017); policy learning, section 6.2 of the notes. A batch collects a rollout and trains on it for
    ``n_epochs``; where the new policy already differs from the one that acted by more than ``clip_range``, the gradient
    is 0. Advantages are estimated by GAE (Schulman et al., 2016), once a batch, before its updates. Actions may be
    discrete or continuous.

    Logs ``policy_loss``, ``value_loss``, ``entropy`` in nats, ``approx_kl``, how far the policy moved in a batch, and
    ``clip_fraction``, the share of actions whose probability moved by more than ``clip_range``; ``episode_return`` and
    ``episode_length``.

    Args:
        lr: Learning rate of Adam at first.
        gae_lambda: Discount of later errors besides (λ of GAE): 0 trusts the value, 1 the return.
        n_steps: Steps in each environment a batch.
        n_epochs: Passes over the rollout of a batch.
        batch_size: Actions an update.
        clip_range: How far the probability of an action may move, as a share of what it was, at first.
        linear_schedule: Whether ``lr`` and ``clip_range`` fall to 0 linearly, as in Stable-Baselines3's zoo for
            CartPole; otherwise they stay, as it has them for LunarLander.
        vf_coef: Weight of the value's squared error in the loss.
    """

    panels = (
        *POLICY_PANELS,
        Panel(
            "Policy",
            "Policy change",
            "KL divergence from the policy that acted, and the share of actions that were clipped. Healthy: KL of "
            "about 0.01, some clipped; both fall with the learning rate. Broken: KL near 1: the rollout says little "
            "about the new policy.",
            curves=("approx_kl", "clip_fraction"),
            expect=("approx_kl < 0.1",),
        ),
        VIDEO_PANEL,
    )

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] = (64, 64),
        lr: float = 1e-3,
        gamma: float = 0.98,
        gae_lambda: float = 0.8,
        n_steps: int = 32,
        n_epochs: int = 20,
        batch_size: int = 256,
        clip_range: float = 0.2,
        linear_schedule: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        deterministic: bool = True,
    ) -> None:
        super().__init__(hidden_sizes, lr, gamma, ent_coef, deterministic)
        self.save_hyperparameters()
        self.gae_lambda, self.n_steps, self.n_epochs, self.batch_size = gae_lambda, n_steps, n_epochs, batch_size
        self.clip_range, self.linear_schedule, self.vf_coef = clip_range, linear_schedule, vf_coef
        self.require("at least 1", "n_steps", "n_epochs", "batch_size")
        self.require("above 0", "clip_range")
        self.require("from 0 to 1", "gae_lambda")
        self.require("at least 0", "vf_coef")

    def build(self, info: EnvInfo) -> None:
        """Make the policy and the value."""
        self.policy = Policy(info, self.hidden_sizes, critic=True)

    def training_step(self, envs: VectorEnv, batch_idx: int) -> None:
        """Collect a rollout, then train on it for a few epochs."""
        rollout = collect_rollout(envs, self.policy.act, self.n_steps)
        clip_range = self.clip_range * self._left()
        rows, entropy = self._prepare(rollout, clip_range)
        count = len(rows["advantages"])
        measured = []
        parts: Any = [slice(None)]  # all in one update, whatever the order
        for _ in range(self.n_epochs):
            if count > self.batch_size:
                parts = torch.split(torch.randperm(count, device=self.device), self.batch_size)
            measured += [self._update({name: column[part] for name, column in rows.items()}) for part in parts]
        policy_loss, value_loss, log_ratio = (torch.cat(column) for column in zip(*measured, strict=True))
        change = log_ratio.exp() - 1
        self.record(
            policy_loss=policy_loss.mean(),
            value_loss=value_loss.mean(),
            entropy=entropy,
            approx_kl=(change - log_ratio).mean(),
            clip_fraction=(change.abs() > clip_range).float().mean(),
            **self.count_steps(envs, count),
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam, with Stable-Baselines3's epsilon."""
        return torch.optim.Adam(self.policy.parameters(), self.lr, eps=1e-5, fused=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        set_lr(self.single_optimizer(), self.lr * self._left())

    def _left(self) -> float:
        return 1 - self.progress() if self.linear_schedule else 1.0

    @torch.no_grad()
    def _prepare(self, rollout: Rollout, clip_range: float) -> tuple[dict[str, Tensor], Tensor]:
        """Return what updates need of each action, shape (time * n, ...), and the entropy of the policy that acted.

        ``advantages`` have mean 0 and standard deviation 1 over the rollout; ``clipped`` is the most that an advantage
        times the ratio of probabilities counts. Both stand once a batch, not once an update, which is faster.
        """
        # Exercise: advantages by gae, normalised, and what a step needs besides.
        observations, actions = rollout.observations.flatten(0, 1), rollout.actions.flatten(0, 1)
        params = self.policy(observations)
        values = self.policy.values(observations).view_as(rollout.rewards)
        next_values = self.policy.values(rollout.next_observations.flatten(0, 1)).view_as(rollout.rewards)
        raw = gae(rollout, values, next_values, self.gamma, self.gae_lambda)
        advantages = ((raw - raw.mean()) / (raw.std(correction=0) + 1e-8)).flatten()
        rows = {
            "observations": observations,
            "actions": actions,
            "log_probs": self.policy.log_prob(params, actions),
            "advantages": advantages,
            "clipped": advantages * torch.where(advantages > 0, 1 + clip_range, 1 - clip_range),
            "returns": (raw + values).flatten(),
        }
        return rows, self.policy.entropy(params)

    def _update(self, rows: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Make an update.

        Returns:
            The two losses, shape (1,) each, and the logarithm of how much more probable each action had become, (n,).
        """
        # Exercise: the clipped loss of the policy, the error of the value, and one step.
        params = self.policy(rows["observations"])
        log_ratio = self.policy.log_prob(params, rows["actions"]) - rows["log_probs"]  # (n,)
        policy_loss = -torch.minimum(rows["advantages"] * log_ratio.exp(), rows["clipped"]).mean()
        value_loss = mse_loss(self.policy.values(rows["observations"]), rows["returns"])
        loss = policy_loss + self.vf_coef * value_loss
        if self.ent_coef:
            loss = loss - self.ent_coef * self.policy.entropy(params)
        self.minimise(loss, self.single_optimizer())
        return policy_loss.detach()[None], value_loss.detach()[None], log_ratio.detach()
