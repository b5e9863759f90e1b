"""Deep Q-learning."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from dlplug import Panel
from dlplug.media import Media
from dlplug.optim import set_lr
from dlplug_rl.data.environments import EnvInfo, VectorEnv
from dlplug_rl.models.agent import EPISODE_PANELS, VIDEO_PANEL, linear_epsilon
from dlplug_rl.models.off_policy_agent import OffPolicyAgent
from dlplug_rl.nn.networks import build_network


class DQN(OffPolicyAgent):
    """The value of each action, learned from replayed transitions by a Q-network that chases its target network.

    Mnih et al. (2015); section 6.2 of the notes: Q(s, a), and a = argmax Q(s, a'). As options: actions chosen by one
    network and valued by the other (Double: van Hasselt et al., 2016), a value of the state apart from the advantages
    of the actions (Dueling: Wang et al., 2016), n-step returns, and prioritized experience replay (Schaul et al.,
    2016). Vectors and states go through fully connected layers, images through convolutions first.

    Actions are epsilon-greedy.

    Logs ``loss``, the Huber loss, ``q_value``, the mean value predicted, and ``epsilon``; ``episode_return`` and
    ``episode_length``.

    Args:
        hidden_sizes: Units of the fully connected layers.
        lr: Learning rate of Adam at first; it falls to a twentieth linearly.
        gamma: Discount of a step.
        train_freq: Steps in each environment before the updates of a batch.
        gradient_steps: Updates a batch.
        batch_size: Transitions an update.
        buffer_size: Transitions that the replay buffer holds.
        save_replay_buffer: Whether checkpoints hold the replay buffer; without, a resumed run fills it anew.
        learning_starts: Environment steps before the first update; actions are random until then.
        exploration_final_eps: Share of random actions in the end.
        exploration_steps: Environment steps over which that share falls from 1.
        target_update_interval: Updates between two updates of the target network, as in the paper
            (Stable-Baselines3 counts environment steps).
        tau: How far the target network is moved towards the Q-network: 1 for all the way (Polyak averaging if less).
        n_steps: Steps whose rewards are summed before the value of what follows is added.
        double_q: Whether the Q-network chooses the action that the target network values.
        dueling: Whether the value of a state and the advantages of actions have an output each.
        priority_alpha: How much more often badly predicted transitions are drawn; 0 for all alike, 0.6 in the paper.
        priority_beta: How much of that is corrected by importance weights at the start of training; all of it in the
            end.
    """

    panels = (
        *EPISODE_PANELS,
        Panel(
            "Values",
            "Value predicted",
            "Mean Q of the actions replayed. Healthy: climbs towards the discounted return, then levels off. Broken: "
            "grows without end (the network chases itself).",
            curves=("q_value",),
            expect=("q_value rises",),
        ),
        Panel(
            "Values", "Loss", "Mean Huber loss; targets move, so it need not fall. Broken: explodes.", curves=("loss",)
        ),
        Panel(
            "Values",
            "Exploration",
            "Share of random actions: falls as was asked for.",
            curves=("epsilon",),
            expect=("epsilon falls",),
        ),
        VIDEO_PANEL,
        Panel(
            "Pictures",
            "Q along an episode",
            "Values of the actions at each step of the first validation episode. Healthy: smooth, dropping where it "
            "gets dangerous. Broken: flat, or all actions alike throughout.",
            media="q",
        ),
    )

    _draws: Iterator[tuple[Tensor, Tensor]]  # of the steps to come: where actions are random, and these

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] = (256, 256),
        lr: float = 2.3e-3,
        gamma: float = 0.99,
        train_freq: int = 64,
        gradient_steps: int = 128,
        batch_size: int = 64,
        buffer_size: int = 100_000,
        save_replay_buffer: bool = True,
        learning_starts: int = 1000,
        exploration_final_eps: float = 0.04,
        exploration_steps: int = 8000,
        target_update_interval: int = 128,
        tau: float = 1.0,
        n_steps: int = 3,
        double_q: bool = True,
        dueling: bool = False,
        priority_alpha: float = 0.0,
        priority_beta: float = 0.4,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hidden_sizes, self.lr, self.gamma, self.n_steps = hidden_sizes, lr, gamma, n_steps
        self.train_freq, self.gradient_steps, self.batch_size = train_freq, gradient_steps, batch_size
        self.buffer_size, self.save_replay_buffer = buffer_size, save_replay_buffer
        self.learning_starts = learning_starts
        self.exploration_final_eps, self.exploration_steps = exploration_final_eps, exploration_steps
        self.target_update_interval, self.tau = target_update_interval, tau
        self.double_q, self.dueling = double_q, dueling
        self.priority_alpha, self.priority_beta = priority_alpha, priority_beta
        self.require_sizes()
        self.require("at least 1", "hidden_sizes", "exploration_steps", "target_update_interval")
        self.require("above 0", "lr", "tau")
        self.require("from 0 to 1", "exploration_final_eps", "tau")
        if n_steps > train_freq:
            raise ValueError(f"n_steps must be at most train_freq, the {train_freq} steps of a batch, not {n_steps}")

    def build(self, info: EnvInfo) -> None:
        """Make the Q-network and its target network."""
        if not info.actions:
            raise ValueError(f"needs discrete actions, which {info.env} does not have")
        self.q_network = build_network(info, self.hidden_sizes, info.actions, nn.ReLU, self.dueling)
        self.target_network = copy.deepcopy(self.q_network).requires_grad_(False)

    def forward(self, observations: Tensor) -> Tensor:
        """Return Q, shape (n, actions), of observations (n, *shape)."""
        values: Tensor = self.q_network(observations)
        return values

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """Return the actions of the highest value."""
        return torch.argmax(self(observations), 1)

    def evaluate_actions(self, observations: Tensor) -> dict[str, Tensor]:
        """Return the actions of the highest value, and the value of each action."""
        values = self(observations)
        return {"actions": values.argmax(1), "q_values": values}

    def collect(self, envs: VectorEnv) -> dict[str, Tensor]:
        """Act epsilon-greedily for ``train_freq`` steps in each environment; return the transitions, a row each."""
        exploring = torch.rand(self.train_freq, envs.num_envs, device=self.device) < self._epsilon()
        actions = torch.randint(self.info.actions, exploring.shape, device=self.device)
        self._draws = iter(zip(exploring, actions, strict=True))
        return super().collect(envs)

    def explore(self, observations: Tensor) -> Tensor:
        """Return the actions of the highest value, or random ones where it was drawn so."""
        exploring, actions = next(self._draws)
        return actions if exploring.all() else torch.where(exploring, actions, self.act(observations))

    def exploration(self) -> dict[str, Tensor]:
        """Return the share of random actions, to record."""
        return {"epsilon": torch.tensor(self._epsilon())}

    def update(self, updates: int) -> dict[str, Tensor]:
        """Make updates, in stretches over which the target network stays the same."""
        measured: list[tuple[Tensor, Tensor]] = []
        while len(measured) < updates:
            until_target_update = self.target_update_interval - self.num_updates % self.target_update_interval
            stretch = min(updates - len(measured), until_target_update)
            measured += self._learn(stretch)
            self.num_updates += stretch
            if self.num_updates % self.target_update_interval == 0:
                self._update_target()
        losses, values = (torch.stack(column) for column in zip(*measured, strict=True))
        return {"loss": losses.mean(), "q_value": values.mean()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.q_network.parameters(), self.lr, fused=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        set_lr(self.single_optimizer(), self.lr * (1 - 0.95 * self.progress()))

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show an episode and what the agent expected along it."""
        return {**super().showcase(batch), "q": self.plot_episode(self, int(batch[0]))}

    def _epsilon(self) -> float:
        if self.warming_up:
            return 1.0
        return linear_epsilon(self.exploration_final_eps, self.env_steps / self.exploration_steps)

    def _learn(self, updates: int) -> list[tuple[Tensor, Tensor]]:
        """Make updates while the target network stays the same; return the loss and the values (n,) of each."""
        if self.priority_alpha:
            return [self._prioritized_update() for _ in range(updates)]
        # Nothing but the Q-network changes meanwhile: draw all transitions and value what followed at once.
        indices, rows = self.replay_buffer.sample(updates * self.batch_size)
        with torch.no_grad():
            # Most are drawn several times, and need be valued once.
            drawn, where = torch.unique(indices, return_inverse=True)
            rows["next_q"] = self.target_network(self.replay_buffer.get(drawn)["next_observations"])[where]
        if not self.double_q:
            rows["targets"] = self._targets(rows)
        measured = []
        for columns in zip(*(torch.split(column, self.batch_size) for column in rows.values()), strict=True):
            part = dict(zip(rows, columns, strict=True))
            values = self._values(part)
            loss = smooth_l1_loss(values, part["targets"] if "targets" in part else self._targets(part))
            self.minimise(loss, self.single_optimizer())
            measured.append((loss.detach(), values.detach()))
        return measured

    def _prioritized_update(self) -> tuple[Tensor, Tensor]:
        """Make an update on transitions drawn by priority; return the loss and the values (n,)."""
        indices, rows = self.replay_buffer.sample(self.batch_size)
        beta = self.priority_beta + (1 - self.priority_beta) * self.progress()
        weights = self.replay_buffer.importance_weights(indices, beta)
        with torch.no_grad():
            rows["next_q"] = self.target_network(rows["next_observations"])
        values, targets = self._values(rows), self._targets(rows)
        loss = (weights * smooth_l1_loss(values, targets, reduction="none")).mean()
        self.minimise(loss, self.single_optimizer())
        self.replay_buffer.update_priorities(indices, values.detach() - targets)
        return loss.detach(), values.detach()

    def _values(self, rows: dict[str, Tensor]) -> Tensor:
        """Return Q of the observations and actions, shape (n,)."""
        return torch.gather(self(rows["observations"]), 1, rows["actions"][:, None]).flatten()

    @torch.no_grad()
    def _targets(self, rows: dict[str, Tensor]) -> Tensor:
        """Return the targets of Q, shape (n,): returns plus the discounted value of what follows.

        ``next_q`` is the target network's Q of ``next_observations``, shape (n, actions).
        """
        # Exercise: the returns and the value of the best next action, chosen by one network and valued by the other.
        best = (self(rows["next_observations"]) if self.double_q else rows["next_q"]).argmax(1, keepdim=True)
        return rows["returns"] + rows["discounts"] * rows["next_q"].gather(1, best)[:, 0]

    @torch.no_grad()
    def _update_target(self) -> None:
        # Exercise: move the target network towards the Q-network.
        for target, online in zip(self.target_network.parameters(), self.q_network.parameters(), strict=True):
            target.lerp_(online, self.tau)
