"""Proximal policy optimisation."""

from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from dlplug import Panel
from dlplug_rl.agent import EPISODE, GAMES, Agent
from dlplug_rl.envs import EnvInfo, Envs
from dlplug_rl.policies import ENTROPY, Policy, Rollout, advantages, choose


class PPO(Agent):
    """A policy that is improved in small steps: an action that went better than expected becomes more probable.

    Schulman et al. (2017); policy learning, section 6.2 of the notes. What a number of environments did over some steps
    is gone through several times; where the new policy already differs from the one that acted by more than ``clip``,
    the gradient stops. How much better than expected is estimated by GAE (Schulman et al., 2016). Actions may be
    countable or continuous.

    Logs ``policy_loss``, ``value_loss``, ``entropy`` in nats, ``kl``, how far the policy moved in a batch, and
    ``clipped``, the share of actions at which the gradient stopped; ``return`` and ``length`` of episodes.

    Args:
        hidden: Units of the hidden layers, of the policy and of the value alike.
        lr: Learning rate of Adam at first; it falls to 0 in a line.
        gamma: Discount of a step.
        trace: Discount of errors further on besides (λ of GAE): 0 trusts the value, 1 the return.
        steps: Steps in each environment a batch.
        rounds: How often what happened is gone through.
        batch_size: Actions an update.
        clip: How far the probability of an action may move, as a share of what it was, at first; falls to 0 in a line.
        entropy: Weight of the policy's entropy, which keeps it trying.
        value: Weight of the value's squared error.
        greedy: Whether validation and test take the most probable action instead of drawing one.
    """

    panels = (
        *GAMES,
        ENTROPY,
        Panel(
            "Policy",
            "How far it moved",
            "KL divergence from the policy that acted, and the share of actions at which the gradient stopped. "
            "Healthy: KL of about 0.01, some clipped. Broken: KL near 1: what happened says little of the new policy.",
            curves=("kl", "clipped"),
        ),
        Panel(
            "Policy",
            "Losses",
            "Of the policy, about 0, and of the value, squared. The latter rises with the return; broken is one that "
            "explodes.",
            curves=("policy_loss", "value_loss"),
        ),
        EPISODE,
    )

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 64),
        lr: float = 1e-3,
        gamma: float = 0.98,
        trace: float = 0.8,
        steps: int = 32,
        rounds: int = 20,
        batch_size: int = 256,
        clip: float = 0.2,
        entropy: float = 0.0,
        value: float = 0.5,
        greedy: bool = True,
    ) -> None:
        super().__init__()
        if min(steps, rounds, batch_size, *hidden) < 1 or lr <= 0 or clip <= 0:
            raise ValueError("steps, rounds, batch_size and hidden must be at least 1, lr and clip above 0")
        if not (0 <= gamma <= 1 and 0 <= trace <= 1 and entropy >= 0 and value >= 0):
            raise ValueError("gamma and trace must be from 0 to 1, entropy and value not negative")
        self.save_hyperparameters()
        self.hidden, self.lr, self.gamma, self.trace, self.clip = hidden, lr, gamma, trace, clip
        self.steps, self.rounds, self.batch_size = steps, rounds, batch_size
        self.entropy, self.value, self.greedy = entropy, value, greedy

    def build(self, info: EnvInfo) -> None:
        """Make the policy and the value."""
        self.policy = Policy(info, self.hidden, value=True)

    def act(self, observations: Tensor) -> Tensor:
        """Return the most probable actions, or drawn ones."""
        return choose(self.policy, observations, self.greedy)

    def training_step(self, envs: Envs, batch_idx: int) -> None:
        """Act for a while, then go through what happened a few times."""
        rollout = self.collect(envs)
        with torch.no_grad():
            values = self.policy.values(rollout.observations.flatten(0, 1)).view_as(rollout.rewards)
            following = self.policy.values(rollout.led_to.flatten(0, 1)).view_as(rollout.rewards)
        gains = advantages(rollout, values, following, self.gamma, self.trace)
        rows = {
            "observations": rollout.observations,
            "actions": rollout.actions,
            "log_probs": rollout.log_probs,
            "gains": gains,
            "wanted": gains + values,
        }
        rows = {name: column.flatten(0, 1) for name, column in rows.items()}
        measured = [
            self._update({name: column[part] for name, column in rows.items()})
            for _ in range(self.rounds)
            for part in torch.split(torch.randperm(gains.numel(), device=self.device), self.batch_size)
        ]
        names = ("policy_loss", "value_loss", "entropy", "kl", "clipped")
        means = torch.stack(measured).mean(0)
        self.record(**dict(zip(names, means, strict=True)), **self.count(envs, gains.numel()))

    @torch.no_grad()
    def collect(self, envs: Envs) -> Rollout:
        """Act for a batch's steps in each environment."""
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(self.steps):
            seen, policy = envs.observations, self.policy(envs.observations)
            actions = policy.sample()
            steps.append((seen, actions, policy.log_prob(actions), *envs.step(actions)))
        return Rollout(*(torch.stack(column) for column in zip(*steps, strict=True)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.policy.parameters(), self.lr, eps=1e-5, fused=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        self.set_rate(self.lr * (1 - self.progress()))

    def _update(self, rows: dict[str, Tensor]) -> Tensor:
        """Make an update; return the two losses, the entropy, KL and what was clipped, shape (5,)."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        policy = self.policy(rows["observations"])
        moved = policy.log_prob(rows["actions"]) - rows["log_probs"]  # (n,)
        ratio, clip = moved.exp(), self.clip * (1 - self.progress())
        gains = rows["gains"]
        if len(gains) > 1:
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        policy_loss = -torch.minimum(gains * ratio, gains * ratio.clamp(1 - clip, 1 + clip)).mean()
        value_loss = (self.policy.values(rows["observations"]) - rows["wanted"]).square().mean()
        entropy = policy.entropy().mean()
        self.minimise(policy_loss + self.value * value_loss - self.entropy * entropy, optimizer)
        with torch.no_grad():
            kl = (ratio - 1 - moved).mean()
            clipped = ((ratio - 1).abs() > clip).float().mean()
            return torch.stack([policy_loss, value_loss, entropy, kl, clipped])
