"""Deep Q-learning."""

import copy
from typing import Any

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from dlplug import Panel
from dlplug.media import Figure, Media
from dlplug.optim import set_lr
from dlplug_rl.data.environments import EnvInfo, Envs
from dlplug_rl.data.replay_buffer import Replay
from dlplug_rl.models.agent import EPISODE, GAMES, Agent, falling
from dlplug_rl.nn.networks import body


class DQN(Agent):
    """The value of each action, learned from replayed transitions by a network that chases a slower copy of itself.

    Mnih et al. (2015); section 6.2 of the notes: Q(s, a), and a = argmax Q(s, a'). As options: actions chosen by one
    network and valued by the other (Double: van Hasselt et al., 2016), a value of the state apart from the advantages
    of the actions (Dueling: Wang et al., 2016), returns over several steps, and transitions drawn the more often the
    worse they were predicted (Schaul et al., 2016). Vectors and states go through fully connected layers, pictures
    through convolutions first.

    A batch acts for ``steps`` in each environment, epsilon-greedily, and then makes ``updates`` updates. An episode
    that was cut off, and not ended, is expected to have gone on.

    Logs ``loss``, the Huber loss, ``q``, the mean value predicted, and ``epsilon``; ``return`` and ``length`` of
    episodes.

    Args:
        hidden: Units of the fully connected layers.
        lr: Learning rate of Adam at first; it falls to a twentieth in a line.
        gamma: Discount of a step.
        steps: Steps in each environment before the updates of a batch.
        updates: Updates a batch.
        batch_size: Transitions an update.
        replay: Transitions that are kept.
        keep_replay: Whether checkpoints hold them; without, a resumed run fills them anew.
        warm_up: Environment steps before the first update; actions are random until then.
        epsilon: Share of random actions in the end.
        epsilon_steps: Environment steps over which that share falls from 1.
        target_every: Updates after which the slower copy follows.
        tau: How far it follows: 1 for all the way, less for a running average.
        n_step: Steps whose rewards are summed before the value of what follows is asked for.
        double: Whether the learning network chooses the action that the slower one values.
        dueling: Whether the value of a state and the advantages of actions have an output each.
        priority: How much more often badly predicted transitions are drawn; 0 for all alike, 0.6 in the paper.
        beta: How much of that is undone by weights at the start of training; all of it in the end.
    """

    panels = (
        *GAMES,
        Panel(
            "Values",
            "Value predicted",
            "Mean Q of the actions replayed. Healthy: climbs towards the discounted return, then levels off. Broken: "
            "grows without end (the network chases itself).",
            curves=("q",),
        ),
        Panel(
            "Values",
            "Loss",
            "Mean Huber loss of the updates. It need not fall, since the targets move; broken is a loss that explodes.",
            curves=("loss",),
        ),
        Panel("Values", "Exploration", "Share of random actions: falls as was asked for.", curves=("epsilon",)),
        EPISODE,
        Panel(
            "Pictures",
            "Q along an episode",
            "Values of the actions at each step of the first validation episode. Healthy: smooth, dropping where it "
            "gets dangerous. Broken: flat, or all actions alike throughout.",
            media="q",
        ),
    )

    def __init__(
        self,
        hidden: tuple[int, ...] = (256, 256),
        lr: float = 2.3e-3,
        gamma: float = 0.99,
        steps: int = 64,
        updates: int = 128,
        batch_size: int = 64,
        replay: int = 100_000,
        keep_replay: bool = True,
        warm_up: int = 1000,
        epsilon: float = 0.04,
        epsilon_steps: int = 8000,
        target_every: int = 128,
        tau: float = 1.0,
        n_step: int = 3,
        double: bool = True,
        dueling: bool = False,
        priority: float = 0.0,
        beta: float = 0.4,
    ) -> None:
        super().__init__()
        if min(steps, updates, batch_size, replay, epsilon_steps, target_every, n_step, *hidden) < 1 or warm_up < 0:
            raise ValueError(
                "hidden, steps, updates, batch_size, replay, epsilon_steps, target_every and n_step must be at least 1"
            )
        if lr <= 0 or not (0 <= gamma <= 1 and 0 <= epsilon <= 1 and 0 < tau <= 1 and priority >= 0):
            raise ValueError("lr and tau must be above 0, gamma, epsilon and tau at most 1, priority not negative")
        if n_step > steps:
            raise ValueError(f"n_step must be at most steps, of which a batch has {steps}, not {n_step}")
        self.save_hyperparameters()
        self.hidden, self.lr, self.gamma, self.steps, self.updates = hidden, lr, gamma, steps, updates
        self.batch_size, self.keep_replay, self.warm_up = batch_size, keep_replay, max(warm_up, batch_size)
        self.epsilon, self.epsilon_steps = epsilon, epsilon_steps
        self.target_every, self.tau, self.n_step = target_every, tau, n_step
        self.double_q, self.dueling, self.priority, self.beta = double, dueling, priority, beta
        self.replay = replay
        self.memory: Replay | None = None
        self.updated = 0
        self._kept: dict[str, Any] = {}

    def build(self, info: EnvInfo) -> None:
        """Make the network and its slower copy."""
        if not info.actions:
            raise ValueError(f"needs actions that can be counted, which {info.env} does not have")
        layers, width = body(info, self.hidden)
        self.network = nn.Sequential(
            layers, Dueling(width, info.actions) if self.dueling else nn.Linear(width, info.actions)
        )
        self.target = copy.deepcopy(self.network).requires_grad_(False)

    def forward(self, observations: Tensor) -> Tensor:
        """Return Q, shape (n, actions), of observations (n, *shape)."""
        values: Tensor = self.network(observations)
        return values

    def act(self, observations: Tensor) -> Tensor:
        """Return the actions of the highest value."""
        with torch.no_grad():
            actions: Tensor = self.network(observations).argmax(1)
        return actions

    def on_fit_start(self) -> None:
        """Make room for what will be seen, and remember what a resumed run had seen."""
        super().on_fit_start()
        self.memory = Replay(self.replay, self.priority, self.device)
        self.updated = self._kept.get("updated", 0)
        if kept := self._kept.get("replay"):
            self.memory.load_state_dict(kept[self.global_rank % len(kept)])
        self._kept = {}

    def training_step(self, envs: Envs, batch_idx: int) -> None:
        """Act, remember, and learn from what is remembered."""
        assert self.memory
        self.memory.add(self.collect(envs))
        counted = self.count(envs, self.steps * envs.count)
        epsilon = torch.tensor(self._exploration())
        if self.memory.size < self.warm_up:
            self.record(epsilon=epsilon, **counted)
            return
        measured: list[tuple[Tensor, Tensor]] = []
        while len(measured) < self.updates:  # in stretches over which the slower copy stands still
            stretch = min(self.updates - len(measured), self.target_every - self.updated % self.target_every)
            measured += self._learn(stretch)
            self.updated += stretch
            if self.updated % self.target_every == 0:
                self._follow()
        losses, values = (torch.stack(column) for column in zip(*measured, strict=True))
        self.record(loss=losses.mean(), q=values.mean(), epsilon=epsilon, **counted)

    @torch.no_grad()
    def collect(self, envs: Envs) -> dict[str, Tensor]:
        """Act for a batch's steps in each environment.

        Returns:
            Transitions, a row each: ``observations``, ``actions``, ``returns`` of up to ``n_step`` steps, and what
            ``discount`` the value of the observation after these, ``followed``, has; 0 where the environment ended.
        """
        random = torch.rand(self.steps, envs.count, device=self.device) < self._exploration()
        chosen = torch.randint(self.info.actions, random.shape, device=self.device)
        seen, taken, steps = [], [], []
        for step in range(self.steps):
            seen.append(envs.observations)
            actions = chosen[step]
            if not random[step].all():
                actions = torch.where(random[step], actions, self.act(envs.observations))
            taken.append(actions)
            steps.append(envs.step(actions))
        rewards, terminated, truncated, led_to = (torch.stack(part) for part in zip(*steps, strict=True))
        returns, discounts, last = sum_rewards(rewards, terminated, truncated, self.n_step, self.gamma)
        followed = led_to[last, torch.arange(envs.count, device=self.device)]
        rows = {
            "observations": torch.stack(seen),
            "actions": torch.stack(taken),
            "returns": returns,
            "discounts": discounts,
            "followed": followed,
        }
        return {name: column.flatten(0, 1) for name, column in rows.items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.network.parameters(), self.lr, fused=True)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        set_lr(self.only_optimizer(), self.lr * (1 - 0.95 * self.progress()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is remembered, of every process."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["agent"]["updated"] = self.updated
        if not self.keep_replay or self.memory is None:
            return
        mine = self.memory.state_dict()
        kept: list[Any] = [mine] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(kept, {name: column.cpu() for name, column in mine.items()})
        checkpoint["agent"]["replay"] = kept

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what was remembered, in case training goes on."""
        super().on_load_checkpoint(checkpoint)
        self._kept = checkpoint["agent"]

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show an episode and what the agent expected along it."""
        values: list[Tensor] = []
        act, envs = self.act, self._player(1)
        returned, _ = envs.play(act, [int(batch[0])], lambda seen: values.append(self(seen)[0].cpu()))
        return {**super().showcase(batch), "q": Figure(_draw(torch.stack(values), float(returned)))}

    def _exploration(self) -> float:
        if self.env_steps < self.warm_up:
            return 1.0
        return falling(self.epsilon, self.env_steps / self.epsilon_steps)

    def _learn(self, updates: int) -> list[tuple[Tensor, Tensor]]:
        """Make updates while the slower copy stands still; return the loss and the values (n,) of each."""
        assert self.memory
        if self.priority:
            return [self._urgent() for _ in range(updates)]
        # Nothing but the network changes meanwhile: draw all transitions and value what followed at once.
        places, rows = self.memory.sample(updates * self.batch_size)
        with torch.no_grad():
            # Most are drawn several times, and need be valued once.
            drawn, where = torch.unique(places, return_inverse=True)
            rows["expected"] = self.target(self.memory.rows(drawn)["followed"])[where]  # (n, actions)
        if not self.double_q:
            rows["wanted"] = self._wanted(rows)
            del rows["returns"], rows["discounts"], rows["followed"], rows["expected"]
        optimizer, measured = self.only_optimizer(), []
        for columns in zip(*(torch.split(column, self.batch_size) for column in rows.values()), strict=True):
            part = dict(zip(rows, columns, strict=True))
            values = self._values(part)
            loss = smooth_l1_loss(values, part["wanted"] if "wanted" in part else self._wanted(part))
            self.minimise(loss, optimizer)
            measured.append((loss.detach(), values.detach()))
        return measured

    def _urgent(self) -> tuple[Tensor, Tensor]:
        """Make an update on the transitions that were predicted worst; return the loss and the values (n,)."""
        assert self.memory
        places, rows = self.memory.sample(self.batch_size)
        weights = self.memory.weights(places, self.beta + (1 - self.beta) * self.progress())
        with torch.no_grad():
            rows["expected"] = self.target(rows["followed"])  # (n, actions)
        values, wanted = self._values(rows), self._wanted(rows)
        loss = (weights * smooth_l1_loss(values, wanted, reduction="none")).mean()
        self.minimise(loss, self.only_optimizer())
        self.memory.prioritise(places, values.detach() - wanted)
        return loss.detach(), values.detach()

    def _values(self, rows: dict[str, Tensor]) -> Tensor:
        """Return Q of what was seen and done, shape (n,)."""
        values: Tensor = self.network(rows["observations"]).gather(1, rows["actions"][:, None]).flatten()
        return values

    @torch.no_grad()
    def _wanted(self, rows: dict[str, Tensor]) -> Tensor:
        """Return what Q should have been, from the rewards and what the slower copy expected, shape (n,)."""
        best = (self.network(rows["followed"]) if self.double_q else rows["expected"]).argmax(1, keepdim=True)
        return rows["returns"] + rows["discounts"] * rows["expected"].gather(1, best)[:, 0]

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, fast in zip(self.target.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, self.tau)


class Dueling(nn.Module):
    """Q as the value of the state plus each action's advantage over the mean action.

    Args:
        width: Features.
        actions: Number of actions.
    """

    def __init__(self, width: int, actions: int) -> None:
        super().__init__()
        self.value, self.advantage = nn.Linear(width, 1), nn.Linear(width, actions)

    def forward(self, x: Tensor) -> Tensor:
        """Return Q, shape (n, actions), of features (n, width)."""
        advantage = self.advantage(x)  # (n, actions)
        q: Tensor = self.value(x) + advantage - advantage.mean(1, keepdim=True)
        return q


def sum_rewards(
    rewards: Tensor, terminated: Tensor, truncated: Tensor, steps: int, gamma: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the discounted sums of the next rewards, up to the end of an episode or of what was seen.

    Args:
        rewards: Shape (time, n), as the other two.
        terminated: Where the environment ended.
        truncated: Where the episode was cut off.
        steps: How many rewards are summed at most.
        gamma: Discount of a step.

    Returns:
        The sums; the discount that the value of what follows has, 0 where the environment ended; and the time of the
        last reward that was summed. Shape (time, n) each.
    """
    over = terminated | truncated
    times = torch.arange(len(rewards), device=rewards.device)[:, None].expand_as(rewards)
    total, last, discount = rewards.clone(), times.clone(), torch.full_like(rewards, gamma)
    goes_on = ~over
    for step in range(1, steps):
        goes_on = goes_on & (times + step < len(rewards))
        later = (times + step).clamp_max(len(rewards) - 1)
        total += torch.where(goes_on, gamma**step * rewards.gather(0, later), 0)
        last = torch.where(goes_on, later, last)
        discount = torch.where(goes_on, discount * gamma, discount)
        goes_on &= ~over.gather(0, later)
    return total, discount * ~terminated.gather(0, last), last


def _draw(values: Tensor, returned: float) -> Drawing:
    """Draw the values of each action, shape (time, actions), along an episode."""
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    axes = drawing.add_subplot(xlabel="step", ylabel="Q", title=f"an episode that returned {returned:g}")
    for action, line in enumerate(values.T.tolist()):
        axes.plot(line, label=f"action {action}")
    axes.legend(fontsize="small")
    return drawing
