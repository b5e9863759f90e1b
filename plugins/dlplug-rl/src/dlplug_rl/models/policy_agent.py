"""What agents that learn a policy have in common."""

from torch import Tensor

from dlplug import Panel
from dlplug_rl.models.agent import Agent
from dlplug_rl.nn.policies import Policy

ENTROPY_PANEL = Panel(
    "Policy",
    "Entropy",
    "Entropy of the policy in nats: how undecided it is. Healthy: falls slowly. Broken: falls to 0 early, after which "
    "nothing new is tried.",
    curves=("entropy",),
)


class PolicyAgent(Agent):
    """An agent that acts by a policy π(a|s); actions may be discrete or continuous.

    Args:
        hidden_sizes: Units of the hidden layers, of the policy and of the value alike.
        lr: Learning rate of Adam.
        gamma: Discount of a step.
        ent_coef: Weight of the policy's entropy in the loss, which keeps it exploring.
        deterministic: Whether validation and test take the most probable action instead of drawing one.
    """

    policy: Policy

    def __init__(
        self, hidden_sizes: tuple[int, ...], lr: float, gamma: float, ent_coef: float, deterministic: bool
    ) -> None:
        super().__init__()
        if min(hidden_sizes, default=1) < 1 or lr <= 0 or not 0 <= gamma <= 1 or ent_coef < 0:
            raise ValueError("hidden_sizes must be at least 1, lr above 0, gamma from 0 to 1, ent_coef not negative")
        self.hidden_sizes, self.lr, self.gamma = hidden_sizes, lr, gamma
        self.ent_coef, self.deterministic = ent_coef, deterministic

    def act(self, observations: Tensor) -> Tensor:
        """Return the most probable actions, or drawn ones where not ``deterministic``."""
        return self.policy.act(observations, self.deterministic)
