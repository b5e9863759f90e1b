"""What agents that learn a policy have in common."""

from collections.abc import Callable

from torch import Tensor

from dlplug import Panel
from dlplug_rl.models.agent import EPISODE_PANELS, Agent
from dlplug_rl.nn.policies import Policy

POLICY_PANELS = (
    *EPISODE_PANELS,
    Panel(
        "Policy",
        "Entropy",
        "How undecided the policy is, in nats. Healthy: falls slowly. Broken: at 0 early: nothing new is tried.",
        curves=("entropy",),
        expect=("entropy falls", "entropy > 0"),
    ),
    Panel(
        "Policy",
        "Losses",
        "Of the policy, whose size says little, and of the value, if any. Healthy: the latter is high while the return "
        "grows, and falls once it can be predicted. Broken: it explodes.",
        curves=("policy_loss", "value_loss"),
    ),
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
        self.hidden_sizes, self.lr, self.gamma = hidden_sizes, lr, gamma
        self.ent_coef, self.deterministic = ent_coef, deterministic
        self.require("at least 1", "hidden_sizes")
        self.require("above 0", "lr")
        self.require("from 0 to 1", "gamma")
        self.require("at least 0", "ent_coef")

    @property
    def state_value(self) -> Callable[[Tensor], Tensor] | None:
        """The values, where there are any."""
        return self.policy.values if self.policy.critic else None

    def act(self, observations: Tensor) -> Tensor:
        """Return the most probable actions, or drawn ones where not ``deterministic``."""
        return self.policy.act(observations, self.deterministic)

    def evaluate_actions(self, observations: Tensor) -> dict[str, Tensor]:
        """Return the most probable actions, and log-probabilities of discrete ones; values where there is a critic."""
        params = self.policy(observations)
        found = {"actions": params.argmax(-1), "log_probs": params} if self.info.actions else {"actions": params}
        return {**found, **({"values": self.policy.values(observations)} if self.policy.critic else {})}
