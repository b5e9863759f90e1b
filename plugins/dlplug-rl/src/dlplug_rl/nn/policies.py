"""Policies: distributions over actions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from dlplug_rl.data.environments import EnvInfo
from dlplug_rl.nn.networks import build_network

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Policy(nn.Module):
    """π(a|s), the actor, and where asked for a value of each state, the critic, by networks of their own.

    Discrete actions are categorical; continuous ones are normal, with a standard deviation that does not depend on the
    state. Weights start orthogonal, those of the actor's last layer small, so that at first any action is as good.

    ``log_prob``, ``entropy`` and ``sample`` take what ``forward`` returned, so that one evaluation of the actor serves
    them all. ``torch.distributions`` would validate and normalise it each time, and take several times as long.

    Args:
        info: What is observed and done.
        hidden_sizes: Units of the hidden layers of each network.
        critic: Whether states have a value.
    """

    def __init__(self, info: EnvInfo, hidden_sizes: Sequence[int], critic: bool) -> None:
        super().__init__()
        self.action_shape = info.action_shape
        outputs = info.actions or math.prod(info.action_shape)
        self.actor = build_network(info, hidden_sizes, outputs, nn.Tanh)
        self.log_std = None if info.actions else nn.Parameter(torch.zeros(info.action_shape))
        self.critic = build_network(info, hidden_sizes, 1, nn.Tanh) if critic else None
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(module.weight, 2**0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.orthogonal_(self.actor[-1].weight, 0.01)  # type: ignore[arg-type]
        if self.critic:
            nn.init.orthogonal_(self.critic[-1].weight, 1.0)  # type: ignore[arg-type]

    def forward(self, observations: Tensor) -> Tensor:
        """Return the normalised logits of discrete actions, (n, actions), or the means of continuous ones, (n, ...)."""
        outputs: Tensor = self.actor(observations)
        return log_softmax(outputs, -1) if self.log_std is None else outputs.view(-1, *self.action_shape)

    def sample(self, params: Tensor) -> Tensor:
        """Draw an action for each of n observations."""
        if self.log_std is None:
            # Gumbel-max: the largest of logits plus Gumbel noise is distributed as they say. Half multinomial's time.
            return (params - torch.empty_like(params).exponential_().log()).argmax(-1)
        return params + self.log_std.exp() * torch.randn_like(params)

    def log_prob(self, params: Tensor, actions: Tensor) -> Tensor:
        """Return the log-probability, or its density, of each of n actions, shape (n,)."""
        if self.log_std is None:
            return params.gather(1, actions[:, None]).flatten()
        errors = (actions - params) / self.log_std.exp()
        return -(0.5 * errors**2 + self.log_std + LOG_SQRT_2PI).flatten(1).sum(1)

    def entropy(self, params: Tensor) -> Tensor:
        """Return the mean entropy in nats, a scalar."""
        if self.log_std is None:
            return -(params.exp() * params).sum(-1).mean()
        return (0.5 + self.log_std + LOG_SQRT_2PI).sum()

    def values(self, observations: Tensor) -> Tensor:
        """Return the critic's value of each state, shape (n,)."""
        assert self.critic
        return torch.flatten(self.critic(observations))

    @torch.no_grad()
    def act(self, observations: Tensor, deterministic: bool = False) -> Tensor:
        """Return the most probable actions if ``deterministic``, or else drawn ones."""
        params: Tensor = self(observations)
        if not deterministic:
            return self.sample(params)
        return params.argmax(-1) if self.log_std is None else params
