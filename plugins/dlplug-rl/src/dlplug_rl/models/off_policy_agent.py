"""What agents that learn from replayed transitions have in common."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from dlplug_rl.data.environments import VectorEnv
from dlplug_rl.data.replay_buffer import ReplayBuffer
from dlplug_rl.data.rollouts import collect_rollout, n_step_returns
from dlplug_rl.models.agent import Agent

COLUMNS = ("observations", "actions", "returns", "discounts", "next_observations")  # of the replay buffer


class OffPolicyAgent(Agent):
    """An agent that stores what happened and learns from what it draws of it, whichever policy acted.

    A batch acts for ``train_freq`` steps in each environment, and then makes ``gradient_steps`` updates. Where an
    episode was truncated and not terminated, the value of what follows still counts.

    Attributes:
        train_freq: Steps in each environment before the updates of a batch.
        gradient_steps: Updates a batch.
        batch_size: Transitions an update.
        buffer_size: Transitions that the replay buffer holds.
        save_replay_buffer: Whether checkpoints hold the replay buffer.
        learning_starts: Environment steps before the first update.
        gamma: Discount of a step.
        n_steps: Steps whose rewards are summed before the value of what follows is added.
        priority_alpha: How much more often badly predicted transitions are drawn.
        num_updates: Updates made so far.
    """

    train_freq: int
    gradient_steps: int
    batch_size: int
    buffer_size: int
    save_replay_buffer: bool
    learning_starts: int
    gamma: float
    n_steps = 1
    priority_alpha = 0.0
    replay_buffer: ReplayBuffer

    def __init__(self) -> None:
        super().__init__()
        self.num_updates = 0
        self._restored: dict[str, Any] = {}

    def require_sizes(self) -> None:
        """Refuse options of what is stored and drawn that are out of their ranges."""
        self.require("at least 1", "train_freq", "gradient_steps", "batch_size", "buffer_size", "n_steps")
        self.require("from 0 to 1", "gamma")
        self.require("at least 0", "learning_starts", "priority_alpha")

    @abstractmethod
    def explore(self, observations: Tensor) -> Tensor:
        """Return the actions (n, ...) that are taken to learn, for observations (n, *shape)."""

    def exploration(self) -> dict[str, Tensor]:
        """Return what to record of how much is explored; by default nothing."""
        return {}

    @abstractmethod
    def update(self, updates: int) -> dict[str, Tensor]:
        """Make so many updates, and return what to record of them."""

    def on_fit_start(self) -> None:
        """Make the replay buffer, and fill it with what a resumed run had saved."""
        super().on_fit_start()
        self.replay_buffer = ReplayBuffer(self.buffer_size, self.priority_alpha, self.device)
        self.num_updates = self._restored.get("updated", 0)
        if saved := self._restored.get("replay"):
            self.replay_buffer.load_state_dict(saved[self.global_rank % len(saved)])
        self._restored = {}

    def training_step(self, envs: VectorEnv, batch_idx: int) -> None:
        """Act, store the transitions, and learn from stored ones."""
        self.replay_buffer.add(self.collect(envs))
        metrics = {**self.count_steps(envs, self.train_freq * envs.num_envs), **self.exploration()}
        if self.replay_buffer.size >= max(self.learning_starts, self.batch_size):
            metrics |= self.update(self.gradient_steps)
        self.record(**metrics)

    @property
    def warming_up(self) -> bool:
        """Whether there is too little to learn from, so that actions are random."""
        return self.env_steps < max(self.learning_starts, self.batch_size)

    def collect(self, envs: VectorEnv) -> dict[str, Tensor]:
        """Act for ``train_freq`` steps in each environment.

        Returns:
            Transitions, a row each: ``observations``, ``actions``, ``returns`` of up to ``n_steps`` steps,
            ``next_observations`` after these, and the ``discounts`` of their value, 0 where the environment ended.
        """
        rollout = collect_rollout(envs, self.explore, self.train_freq)
        columns = (rollout.observations, rollout.actions, *n_step_returns(rollout, self.n_steps, self.gamma))
        return {name: column.flatten(0, 1) for name, column in zip(COLUMNS, columns, strict=True)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the replay buffer of every process."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["agent"]["updated"] = self.num_updates
        if not self.save_replay_buffer or self._trainer is None:  # none is kept of a model that was loaded alone
            return
        own = self.replay_buffer.state_dict()
        saved: list[Any] = [own] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(saved, {name: column.cpu() for name, column in own.items()})
        checkpoint["agent"]["replay"] = saved

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the replay buffers until training starts, if it does."""
        super().on_load_checkpoint(checkpoint)
        self._restored = checkpoint["agent"]
