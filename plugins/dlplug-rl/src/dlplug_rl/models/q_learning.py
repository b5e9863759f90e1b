"""Q-learning in a table."""

from typing import Any

import torch
from torch import Tensor

from dlplug import InputError, Panel
from dlplug.media import Figure, Media
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.evaluation.grid_worlds import plot_policy
from dlplug_rl.models.agent import EPISODE_PANELS, VIDEO_PANEL, Agent, linear_epsilon


class QLearning(Agent):
    """The value of each action in each state, a number each in a table.

    Watkins and Dayan (1992); section 6.2 of the notes: Q(s, a), the expected sum of rewards after choosing a in s and
    acting as well as can be from then on, and a = argmax Q(s, a'). After each step Q moves towards the reward plus the
    highest Q of the state it led to, whatever is done next (off-policy). Fits environments whose states and actions are
    discrete. The learning rate of a pair falls with its visits, as convergence needs.

    It has no gradients to average and so runs in one process, with any number of environments.

    Logs ``td_error``, the mean size of the corrections, ``visited``, the share of pairs of state and action that
    occurred, and ``epsilon``; ``episode_return`` and ``episode_length``.

    Args:
        gamma: Discount of a step.
        lr: Learning rate of a pair at its first visit.
        lr_decay: Power of the number of visits that the learning rate falls with; 0 for a constant one.
        exploration_final_eps: Share of random actions in the end.
        exploration_steps: Environment steps over which that share falls from 1.
        initial_value: Value that all pairs start with; one above what can be had makes it try everything (optimism).
        steps_per_batch: Steps in each environment a batch; the table is updated after each.
    """

    panels = (
        *EPISODE_PANELS,
        Panel(
            "Values",
            "TD error",
            "Mean size of the temporal-difference error. Healthy: falls once rewards are found, to 0 where nothing is "
            "random. Broken: grows.",
            curves=("td_error",),
        ),
        Panel(
            "Values",
            "Exploration",
            "Share of random actions, and of the pairs of state and action that occurred. Healthy: visited rises "
            "early, to the pairs of all states that an episode does not end in. Broken: it stops lower, so that the "
            "rest is never learned.",
            curves=("epsilon", "visited"),
        ),
        VIDEO_PANEL,
        Panel(
            "Pictures",
            "Policy",
            "Where states are places on a map: the best value of each, and the best action as the way it moves on "
            "average. Healthy: values grow towards the goal. Broken: arrows in circles.",
            media="policy",
        ),
    )

    def __init__(
        self,
        gamma: float = 0.99,
        lr: float = 1.0,
        lr_decay: float = 0.7,
        exploration_final_eps: float = 0.1,
        exploration_steps: int = 1,
        initial_value: float = 0.0,
        steps_per_batch: int = 250,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.gamma, self.lr, self.lr_decay = gamma, lr, lr_decay
        self.initial_value, self.steps_per_batch = initial_value, steps_per_batch
        self.exploration_final_eps, self.exploration_steps = exploration_final_eps, exploration_steps
        self.require("from 0 to 1", "gamma", "lr", "exploration_final_eps")
        self.require("above 0", "lr")
        self.require("at least 0", "lr_decay")
        self.require("at least 1", "exploration_steps", "steps_per_batch")

    def build(self, info: EnvInfo) -> None:
        """Make the table."""
        if not info.states or not info.actions:
            raise ValueError(f"needs discrete states and actions, which {info.env} does not have")
        self.register_buffer("table", torch.full((info.states, info.actions), self.initial_value))
        self.register_buffer("visits", torch.zeros(info.states, info.actions))
        self.table: Tensor
        self.visits: Tensor

    def setup(self, stage: str) -> None:
        """Refuse to learn in several processes, whose tables would differ."""
        super().setup(stage)
        if stage == "fit" and self.trainer.world_size > 1:
            raise InputError("q-learning has no gradients to average: it runs with --trainer.devices 1")

    def forward(self, observations: Tensor) -> Tensor:
        """Return Q, shape (n, actions), of states (n,)."""
        return self.table[observations]

    def act(self, observations: Tensor) -> Tensor:
        """Return the actions of the highest value, the first of several."""
        return self.table[observations].argmax(1)

    def evaluate_actions(self, observations: Tensor) -> dict[str, Tensor]:
        """Return the actions of the highest value, and the value of each action."""
        values = self(observations)
        return {"actions": values.argmax(1), "q_values": values}

    def training_step(self, envs: VectorEnv, batch_idx: int) -> None:
        """Act and learn, step by step."""
        epsilon = linear_epsilon(self.exploration_final_eps, self.env_steps / self.exploration_steps)
        explore = torch.rand(self.steps_per_batch, envs.num_envs, device=self.device) < epsilon
        random_actions = torch.randint(self.info.actions, explore.shape, device=self.device)
        # Of equal values any may be the best: a little noise decides, or the first would always win.
        noise = 1e-6 * torch.rand(self.steps_per_batch, self.info.actions, device=self.device)
        total = torch.zeros((), device=self.device)
        for step in range(self.steps_per_batch):
            states = envs.observations
            best = (self.table[states] + noise[step]).argmax(1)
            actions = torch.where(explore[step], random_actions[step], best)
            rewards, terminated, _, next_states = envs.step(actions)
            # Exercise: learn from the reward and the value of the best next action, 0 where the episode ended.
            next_values = self.table[next_states].amax(1) * ~terminated
            total += self.learn(states, actions, rewards + self.gamma * next_values)
            # end
        self.record(
            td_error=total / self.steps_per_batch,
            epsilon=torch.tensor(epsilon),
            visited=(self.visits > 0).float().mean(),
            **self.count_steps(envs, self.steps_per_batch * envs.num_envs),
        )

    def learn(self, states: Tensor, actions: Tensor, targets: Tensor) -> Tensor:
        """Move the values of pairs of state and action towards targets, and return the mean size of the errors.

        A pair that several environments visit at once moves as far as it would for their mean target one by one.

        Args:
            states: Shape (n,), as the other two.
            actions: What was done there.
            targets: Reward plus the discounted value of the next state.
        """
        # Exercise: move the values by the mean error of each pair, as often as it was visited, and return the error.
        pairs, where = torch.unique(states * self.table.shape[1] + actions, return_inverse=True)
        table, visits = self.table.view(-1), self.visits.view(-1)
        errors = targets - table[pairs][where]
        count = torch.zeros(len(pairs), device=self.device).index_add_(0, where, torch.ones_like(errors))
        mean = torch.zeros_like(count).index_add_(0, where, errors) / count
        visits[pairs] += count
        rate = self.lr / visits[pairs] ** self.lr_decay
        table[pairs] += (1 - (1 - rate) ** count) * mean
        return errors.abs().mean()

    def configure_optimizers(self) -> list[Any]:
        """Return none: a table has no gradients."""
        return []

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show an episode and, where states are places, the policy on their map."""
        shown = super().showcase(batch)
        if drawing := plot_policy(self.info.make().unwrapped, self.table):
            shown["policy"] = Figure(drawing)
        return shown
