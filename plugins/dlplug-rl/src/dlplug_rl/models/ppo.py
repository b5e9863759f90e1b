"""Proximal policy optimisation."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from dlplug import Panel
from dlplug.optim import set_lr
from dlplug_rl.data.environments import EnvInfo, Envs
from dlplug_rl.models.agent import EPISODE, GAMES, Agent
from dlplug_rl.nn.policies import ENTROPY, Policy, Rollout, advantages, choose


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
        clip = self.clip * (1 - self.progress())
        rows, entropy = self._weigh(rollout, clip)
        count = len(rows["gains"])
        measured = []
        for _ in range(self.rounds):
            if count <= self.batch_size:
                measured.append(self._update(rows))
                continue
            for part in torch.split(torch.randperm(count, device=self.device), self.batch_size):
                measured.append(self._update({name: column[part] for name, column in rows.items()}))
        policy_loss, value_loss, moved = (torch.cat(column) for column in zip(*measured, strict=True))
        change = moved.exp() - 1
        self.record(
            policy_loss=policy_loss.mean(),
            value_loss=value_loss.mean(),
            entropy=entropy,
            kl=(change - moved).mean(),
            clipped=(change.abs() > clip).float().mean(),
            **self.count(envs, count),
        )

    @torch.no_grad()
    def collect(self, envs: Envs) -> Rollout:
        """Act for a batch's steps in each environment."""
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(self.steps):
            seen = envs.observations
            actions = choose(self.policy, seen, greedy=False)
            steps.append((seen, actions, *envs.step(actions)))
        observations, actions, *rest = (torch.stack(column) for column in zip(*steps, strict=True))
        return Rollout(observations, actions, *rest)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.policy.parameters(), self.lr, eps=1e-5, fused=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        set_lr(self.only_optimizer(), self.lr * (1 - self.progress()))

    @torch.no_grad()
    def _weigh(self, rollout: Rollout, clip: float) -> tuple[dict[str, Tensor], Tensor]:
        """Return what updates need of each action, shape (time * n, ...), and the entropy of the policy that acted.

        ``gains`` are how much better than expected it went, of mean 0 and standard deviation 1 over the rollout;
        ``limits`` what a gain times how much more probable its action became counts at most.
        """
        seen, actions = rollout.observations.flatten(0, 1), rollout.actions.flatten(0, 1)
        choices = self.policy(seen)
        values = self.policy.values(seen).view_as(rollout.rewards)
        following = self.policy.values(rollout.led_to.flatten(0, 1)).view_as(rollout.rewards)
        better = advantages(rollout, values, following, self.gamma, self.trace)
        gains = ((better - better.mean()) / (better.std(correction=0) + 1e-8)).flatten()
        rows = {
            "observations": seen,
            "actions": actions,
            "log_probs": self.policy.log_prob(choices, actions),
            "gains": gains,
            "limits": gains * torch.where(gains > 0, 1 + clip, 1 - clip),
            "wanted": (better + values).flatten(),
        }
        return rows, self.policy.entropy(choices)

    def _update(self, rows: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Make an update.

        Returns:
            The two losses, shape (1,) each, and how far the actions' log-probabilities were from what they had been,
            shape (n,).
        """
        choices = self.policy(rows["observations"])
        moved = self.policy.log_prob(choices, rows["actions"]) - rows["log_probs"]  # (n,)
        policy_loss = -torch.minimum(rows["gains"] * moved.exp(), rows["limits"]).mean()
        value_loss = mse_loss(self.policy.values(rows["observations"]), rows["wanted"])
        loss = policy_loss + self.value * value_loss
        if self.entropy:
            loss = loss - self.entropy * self.policy.entropy(choices)
        self.minimise(loss, self.only_optimizer())
        return policy_loss.detach()[None], value_loss.detach()[None], moved.detach()
