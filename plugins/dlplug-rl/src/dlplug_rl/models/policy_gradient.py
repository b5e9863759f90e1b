"""The policy gradient: REINFORCE."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from dlplug import Panel
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.data.rollouts import Rollout
from dlplug_rl.models.agent import VIDEO_PANEL
from dlplug_rl.models.policy_agent import POLICY_PANELS, PolicyAgent
from dlplug_rl.nn.policies import Policy


class PolicyGradient(PolicyAgent):
    """A policy that makes the actions of good episodes more probable; values are at most its baseline.

    REINFORCE (Williams, 1992); section 6.2 of the notes: find π(a|s), a ~ π. A batch plays one whole episode in each
    environment; each action's log-probability is weighed by the discounted return from there on, less a baseline that
    reduces the gradient's variance and leaves its mean as it is. An environment that is done waits for the others.
    Actions may be discrete or continuous.

    Logs ``policy_loss``, ``entropy`` in nats and, with a value as baseline, ``value_loss``; ``episodes`` so far,
    ``episode_return`` and ``episode_length``.

    Args:
        baseline: What is subtracted from the returns: ``none``; their ``mean`` over the batch, in which each step's own
            return counts too, a bias of one part in as many as there are steps; or a ``value`` learned for each state.
        normalize_advantage: Whether the difference is divided by its standard deviation.
        n_critic_updates: Updates of the value a batch.
    """

    panels = (
        *POLICY_PANELS,
        Panel("Policy", "Episodes", "Episodes learned from so far.", curves=("episodes",)),
        VIDEO_PANEL,
    )

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] = (64,),
        lr: float = 1e-2,
        gamma: float = 0.99,
        baseline: Literal["none", "mean", "value"] = "value",
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        n_critic_updates: int = 10,
        deterministic: bool = True,
    ) -> None:
        super().__init__(hidden_sizes, lr, gamma, ent_coef, deterministic)
        self.save_hyperparameters()
        self.baseline, self.normalize_advantage, self.n_critic_updates = baseline, normalize_advantage, n_critic_updates
        self.require("at least 1", "n_critic_updates")

    def build(self, info: EnvInfo) -> None:
        """Make the policy and, where it is the baseline, the value."""
        self.policy = Policy(info, self.hidden_sizes, critic=self.baseline == "value")
        self.register_buffer("num_episodes", torch.zeros((), dtype=torch.long))
        self.num_episodes: Tensor

    def training_step(self, envs: VectorEnv, batch_idx: int) -> None:
        """Play an episode in each environment, then make one update of the policy."""
        rollout, playing = self.collect(envs)
        observations, actions = rollout.observations[playing], rollout.actions[playing]  # (steps, ...)
        returns = self.returns_to_go(rollout, playing)[playing]
        self.num_episodes += envs.num_envs * self.trainer.world_size
        metrics = {"episodes": self.num_episodes.float(), **self.count_steps(envs, len(returns))}
        optimizers: Any = self.optimizers()
        actor, *critic = optimizers if isinstance(optimizers, list) else [optimizers]
        params = self.policy(observations)
        # Exercise: weigh each action's log-probability by its advantage, and take the policy's step.
        advantages = returns - self._baseline(observations, returns)
        if self.normalize_advantage and len(advantages) > 1:
            advantages = advantages / (advantages.std() + 1e-8)
        policy_loss = -(self.policy.log_prob(params, actions) * advantages).mean()
        entropy = self.policy.entropy(params)
        self.minimise(policy_loss - self.ent_coef * entropy, actor)
        # end
        for optimizer in critic:
            for _ in range(self.n_critic_updates):
                value_loss = smooth_l1_loss(self.policy.values(observations), returns)
                self.minimise(value_loss, optimizer)
            metrics["value_loss"] = value_loss
        self.record(policy_loss=policy_loss, entropy=entropy, **metrics)

    @torch.no_grad()
    def collect(self, envs: VectorEnv) -> tuple[Rollout, Tensor]:
        """Play an episode in each environment; return what happened and, shape (time, n), where it was part of one."""
        seeds = torch.randint(2**31, (envs.num_envs,)).tolist()
        *columns, mask = map(torch.stack, zip(*envs.play(self.policy.act, seeds), strict=True))
        rollout = Rollout(*columns)
        rollout = rollout._replace(rewards=rollout.rewards * mask)
        returns, lengths = rollout.rewards.sum(0).tolist(), mask.sum(0).tolist()
        envs.finished_episodes = list(zip(returns, lengths, strict=True))
        return rollout, mask

    @torch.no_grad()
    def returns_to_go(self, rollout: Rollout, playing: Tensor) -> Tensor:
        """Return the discounted sum of rewards from each step on, shape (time, n).

        Where an episode was truncated, the value of what would have followed is added, if there is a critic.
        """
        # Exercise: from the last step to the first.
        cut = rollout.truncated & ~rollout.terminated & playing
        later = torch.zeros_like(rollout.rewards[0])
        returns = torch.empty_like(rollout.rewards)
        for step in range(len(returns) - 1, -1, -1):
            if self.baseline == "value" and cut[step].any():
                later = torch.where(cut[step], self.policy.values(rollout.next_observations[step]), later)
            returns[step] = later = (rollout.rewards[step] + self.gamma * later) * playing[step]
        return returns

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an Adam for the policy and one for the value, if any."""
        actor = [p for name, p in self.policy.named_parameters() if not name.startswith("critic")]
        parts = [actor] + ([list(self.policy.critic.parameters())] if self.policy.critic else [])
        return [torch.optim.Adam(part, self.lr, fused=True) for part in parts]

    @torch.no_grad()
    def _baseline(self, observations: Tensor, returns: Tensor) -> Tensor:
        if self.baseline == "value":
            return self.policy.values(observations)
        return returns.mean() if self.baseline == "mean" else torch.zeros_like(returns)
