"""The policy gradient: REINFORCE."""

from typing import Literal

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from dlplug import Panel
from dlplug_rl.data.environments import EnvInfo, Envs
from dlplug_rl.models.agent import EPISODE, GAMES, Agent
from dlplug_rl.nn.policies import ENTROPY, Policy, Rollout, choose


class PolicyGradient(Agent):
    """A policy that makes the actions of good episodes more probable; it needs no values.

    REINFORCE (Williams, 1992); section 6.2 of the notes: find π(a|s), a ~ π. A batch plays one whole episode in each
    environment; each action's log-probability is weighed by the discounted return from there on, less a baseline that
    takes noise out and leaves the mean gradient as it is. An environment that is done waits for the others. Actions may
    be countable or continuous.

    Logs ``policy_loss``, ``entropy`` in nats and, with a value as baseline, ``value_loss``; ``episodes`` so far,
    ``return`` and ``length`` of episodes.

    Args:
        hidden: Units of the hidden layers.
        lr: Learning rate of Adam.
        gamma: Discount of a step.
        baseline: What is taken off the returns: ``none``, their ``mean`` over the batch, or a ``value`` learned for
            each state.
        normalise: Whether what is left is divided by its standard deviation.
        entropy: Weight of the policy's entropy, which keeps it trying.
        fits: Updates of the value a batch.
        greedy: Whether validation and test take the most probable action instead of drawing one.
    """

    panels = (
        *GAMES,
        ENTROPY,
        Panel(
            "Policy",
            "Losses",
            "Of the policy, whose size says nothing, and of the value, if any. The latter rises with the return; "
            "broken is one that explodes.",
            curves=("policy_loss", "value_loss"),
        ),
        Panel("Policy", "Episodes", "Episodes learned from so far.", curves=("episodes",)),
        EPISODE,
    )

    def __init__(
        self,
        hidden: tuple[int, ...] = (64,),
        lr: float = 1e-2,
        gamma: float = 0.99,
        baseline: Literal["none", "mean", "value"] = "value",
        normalise: bool = True,
        entropy: float = 0.0,
        fits: int = 10,
        greedy: bool = True,
    ) -> None:
        super().__init__()
        if min(fits, *hidden) < 1 or lr <= 0 or not 0 <= gamma <= 1 or entropy < 0:
            raise ValueError("hidden and fits must be at least 1, lr above 0, gamma from 0 to 1, entropy not negative")
        self.save_hyperparameters()
        self.hidden, self.lr, self.gamma, self.entropy, self.greedy = hidden, lr, gamma, entropy, greedy
        self.baseline, self.normalise, self.fits = baseline, normalise, fits

    def build(self, info: EnvInfo) -> None:
        """Make the policy and, where it is the baseline, the value."""
        self.policy = Policy(info, self.hidden, value=self.baseline == "value")
        self.register_buffer("played", torch.zeros((), dtype=torch.long))
        self.played: Tensor

    def act(self, observations: Tensor) -> Tensor:
        """Return the most probable actions, or drawn ones."""
        return choose(self.policy, observations, self.greedy)

    def training_step(self, envs: Envs, batch_idx: int) -> None:
        """Play an episode in each environment, then make one update of the policy."""
        rollout, playing = self.collect(envs)
        observations, actions = rollout.observations[playing], rollout.actions[playing]  # (steps, ...)
        returns = self.returns(rollout, playing)[playing]
        self.played += envs.count * self.trainer.world_size
        recorded = {"episodes": self.played.float(), **self.count(envs, len(returns))}
        found = self.optimizers()
        optimizer, *others = found if isinstance(found, list) else [found]
        assert isinstance(optimizer, LightningOptimizer)
        choices = self.policy(observations)
        gains = returns - self._expected(observations, returns)
        if self.normalise and len(gains) > 1:
            gains = gains / (gains.std() + 1e-8)
        policy_loss, entropy = -(self.policy.log_prob(choices, actions) * gains).mean(), self.policy.entropy(choices)
        self.minimise(policy_loss - self.entropy * entropy, optimizer)
        for other in others:
            assert isinstance(other, LightningOptimizer)
            for _ in range(self.fits):
                value_loss = smooth_l1_loss(self.policy.values(observations), returns)
                self.minimise(value_loss, other)
            recorded["value_loss"] = value_loss
        self.record(policy_loss=policy_loss, entropy=entropy, **recorded)

    @torch.no_grad()
    def collect(self, envs: Envs) -> tuple[Rollout, Tensor]:
        """Play an episode in each environment; return what happened and, shape (time, n), where it was part of one."""
        seeds = torch.randint(2**31, (envs.count,)).tolist()
        envs.reset(seeds)
        envs.finished = []
        playing = torch.ones(envs.count, dtype=torch.bool, device=self.device)
        steps: list[tuple[Tensor, ...]] = []
        while playing.any():
            seen = envs.observations
            actions = choose(self.policy, seen, greedy=False)
            step = envs.step(actions)
            steps.append((seen, actions, playing, *step))
            playing = playing & ~(step.terminated | step.truncated)
        observations, actions, part, *rest = (torch.stack(column) for column in zip(*steps, strict=True))
        rewards, lengths = rest[0] * part, part.sum(0)
        envs.finished = list(zip(rewards.sum(0).tolist(), lengths.tolist(), strict=True))
        return Rollout(observations, actions, rewards, *rest[1:]), part

    @torch.no_grad()
    def returns(self, rollout: Rollout, playing: Tensor) -> Tensor:
        """Return the discounted sum of rewards from each step on, shape (time, n).

        Where an episode was cut off, the value of what would have followed is added, if there is a value.
        """
        cut = rollout.truncated & ~rollout.terminated & playing
        later = torch.zeros_like(rollout.rewards[0])
        found = torch.empty_like(rollout.rewards)
        for step in range(len(found) - 1, -1, -1):
            if self.baseline == "value" and cut[step].any():
                later = torch.where(cut[step], self.policy.values(rollout.led_to[step]), later)
            later = (rollout.rewards[step] + self.gamma * later) * playing[step]
            found[step] = later
        return found

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an Adam for the policy and one for the value, if any."""
        weights = [p for name, p in self.policy.named_parameters() if not name.startswith("critic")]
        parts = [weights] + ([list(self.policy.critic.parameters())] if self.policy.critic else [])
        return [torch.optim.Adam(part, self.lr, fused=True) for part in parts]

    @torch.no_grad()
    def _expected(self, observations: Tensor, returns: Tensor) -> Tensor:
        if self.baseline == "value":
            return self.policy.values(observations)
        return returns.mean() if self.baseline == "mean" else torch.zeros_like(returns)
