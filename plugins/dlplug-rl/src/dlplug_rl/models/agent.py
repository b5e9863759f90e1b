"""What every agent has in common."""

import math
import os
import statistics
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from matplotlib.figure import Figure as Drawing
from torch import Tensor
from torch.nn.functional import interpolate

from dlplug import InputError, Panel
from dlplug.console import say
from dlplug.media import Figure, Media, Text, Video
from dlplug.model import Model, Parts, average_gradients
from dlplug_rl.data.environments import EnvInfo, VectorEnv

RECENT_EPISODES = 100  # their mean return is logged while training, as Stable-Baselines3 does
SHOWCASE_FRAMES = 40  # of the episode that is shown after each validation
FRAME_WIDTH = 240  # pixels
UNSEEN = 3_000_000  # seeds from here on are beyond those of validation and test
PRECISIONS = ("32-true", "bf16-mixed")
RANGES: dict[str, Callable[[float], bool]] = {
    "at least 0": lambda number: number >= 0,
    "at least 1": lambda number: number >= 1,
    "above 0": lambda number: number > 0,
    "from 0 to 1": lambda number: 0 <= number <= 1,
}
EPISODE_PANELS: tuple[Panel, ...] = (
    Panel(
        "Episodes",
        "Return",
        "Mean sum of rewards per episode: in training over the last 100 episodes that ended, with exploration; in "
        "validation without, on seeds that it never trains on. Healthy: training rises, then holds; validation, of a "
        "single policy, may swing. Broken: both stay where random actions are, or collapse.",
        curves=("episode_return",),
        expect=("train/episode_return rises",),
    ),
    Panel("Episodes", "Length", "Mean steps: more where each is rewarded, fewer where it costs.", ("episode_length",)),
)
VIDEO_PANEL = Panel(
    "Pictures",
    "Episode",
    "The first validation episode, at most 40 of its frames. Healthy: the agent moves with purpose.",
    media="episode",
)


class Agent(Model):
    """A model that acts in environments and learns from what comes of it.

    A subclass acts in ``act``, and learns in ``training_step``, whose batch is a ``VectorEnv``.

    Attributes:
        env_steps: Steps taken so far in all environments of all processes.
        recent_episodes: Return and length of the last 100 training episodes.
    """

    monitor = ("val/episode_return", "max")
    axis = "train/env_steps"
    info: EnvInfo

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.env_steps = 0
        self.recent_episodes: deque[tuple[float, int]] = deque(maxlen=RECENT_EPISODES)
        self._evaluation_envs: dict[int, VectorEnv] = {}

    @abstractmethod
    def act(self, observations: Tensor) -> Tensor:
        """Return the actions (n, ...) that the agent is evaluated by, for observations (n, *shape)."""

    @abstractmethod
    def evaluate_actions(self, observations: Tensor) -> dict[str, Tensor]:
        """Return the actions, and what says of them how good or how likely they are, by name."""

    def export_parts(self, batch: Tensor) -> Parts:
        """Return the policy, with the first observations of evaluation episodes."""
        observations = self.evaluation_envs(len(batch)).reset(batch.tolist())
        return {"policy": (self.evaluate_actions, {"observations": observations}, {})}

    def setup(self, stage: str) -> None:
        """Refuse precisions that the updates are not made for.

        Raises:
            InputError: It is neither 32-true nor bf16-mixed.
        """
        if self.trainer.precision not in PRECISIONS:
            raise InputError(
                f"--trainer.precision: agents compute in {' or '.join(PRECISIONS)}, not {self.trainer.precision} "
                "(their own updates do not scale the loss, as fp16 needs)"
            )

    def on_fit_start(self) -> None:
        """Make the optimizer's steps fast where there is no GPU.

        Adam asks at each step whether there is one. Lightning has that asked of NVIDIA's library, so that processes can
        still fork after; where it is not installed it is looked for each time, a sixth of the whole step.
        """
        super().on_fit_start()
        if not torch.cuda.is_available():
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def count_steps(self, envs: VectorEnv, steps: int) -> dict[str, Tensor]:
        """Count the steps just taken, and the episodes that ended, in every process.

        Args:
            envs: Where they were taken.
            steps: How many, in all of its environments.

        Returns:
            What to record of them.
        """
        episodes, envs.finished_episodes = envs.finished_episodes, []
        if self.trainer.world_size > 1:
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, (episodes, steps))
            episodes, steps = [pair for pairs, _ in gathered for pair in pairs], sum(count for _, count in gathered)
        self.env_steps += steps
        self.recent_episodes.extend(episodes)
        metrics = {"env_steps": torch.tensor(float(self.env_steps))}
        if self.recent_episodes:
            returns, lengths = torch.tensor(list(self.recent_episodes)).mean(0)
            metrics |= {"episode_return": returns, "episode_length": lengths}
        return metrics

    def require(self, range_name: str, *options: str) -> None:
        """Refuse options out of a range.

        Args:
            range_name: One of ``RANGES``.
            options: Names of attributes, each a number or several.

        Raises:
            ValueError: One is out of the range.
        """
        for name in options:
            value = getattr(self, name)
            if not all(map(RANGES[range_name], value if isinstance(value, list | tuple) else [value])):
                raise ValueError(f"{name} must be {range_name}, not {value}")

    def progress(self) -> float:
        """Return the share of the training that is done, from 0 to 1; 0 where it has no end."""
        epochs = self.trainer.max_epochs or -1
        batches = float(self.trainer.num_training_batches) * epochs
        return min(1.0, self.trainer.fit_loop.total_batch_idx / batches) if 0 < batches < math.inf else 0.0

    @property
    def state_value(self) -> Callable[[Tensor], Tensor] | None:
        """What gives the value (n,) of n states, where that is learned apart from those of actions."""
        return None

    def single_optimizer(self) -> LightningOptimizer:
        """Return the optimizer of a model that has one."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        return optimizer

    def minimise(self, loss: Tensor, optimizer: LightningOptimizer) -> Tensor:
        """Take one optimizer step, without Lightning's hooks: a batch has hundreds, and they cost a third of each.

        Args:
            loss: A scalar.
            optimizer: One of ``self.optimizers()``.

        Returns:
            The norm of the gradient before it was clipped, a scalar; 0 where it is not clipped.
        """
        plain = optimizer.optimizer
        weights = [weight for group in plain.param_groups for weight in group["params"]]
        for weight in weights:
            weight.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self.trainer.world_size > 1:
            average_gradients(weights)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.zeros(())
        if self.gradient_clip and self.gradient_clip[1] == "norm":
            # What torch.nn.utils.clip_grad_norm_ does, in a third of its time.
            norm = torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients]))
            if norm > self.gradient_clip[0]:
                scale = self.gradient_clip[0] / (norm + 1e-6)
                for gradient in gradients:
                    gradient *= scale
        elif self.gradient_clip:
            torch.nn.utils.clip_grad_value_(weights, self.gradient_clip[0])
        plain.step()
        # What Lightning's own step counts, and trainer.global_step with it.
        taken = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        taken.increment_ready()
        taken.increment_completed()
        return norm

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Play episodes with these seeds; in a test also measure the share that reaches the reward threshold."""
        returns, lengths = self.evaluation_envs(len(batch)).evaluate(self.act, batch.tolist())
        metrics = {"episode_return": returns.mean(), "episode_length": lengths.mean()}
        if self.stage == "test" and self.info.reward_threshold is not None:
            metrics["success_rate"] = (returns >= self.info.reward_threshold).float().mean()
        self.record(**metrics)

    def on_validation_end(self) -> None:
        """Stop where the data asks for that and its reward threshold is reached."""
        threshold = getattr(getattr(self.trainer, "datamodule", None), "stop_threshold", None)
        reached = self.trainer.callback_metrics.get("val/episode_return", -math.inf)
        if threshold is not None and reached >= threshold and not self.trainer.sanity_checking:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["agent"] = {"env_steps": self.env_steps, "recent": list(self.recent_episodes)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts."""
        super().on_load_checkpoint(checkpoint)
        self.env_steps = checkpoint["agent"]["env_steps"]
        self.recent_episodes.extend(tuple(pair) for pair in checkpoint["agent"]["recent"])

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show the first validation episode."""
        return {"episode": self._record_video([int(batch[0])], SHOWCASE_FRAMES)[0]}

    def generate(self, episodes: int = 3, frames: int = 300) -> Media:
        """Play episodes and print their returns; without a picture of them, say why.

        Args:
            episodes: How many.
            frames: Frames of the video at most; of longer episodes every second, fourth, ... step is shown.
        """
        if min(episodes, frames) < 1:
            raise ValueError(f"episodes and frames must be at least 1, not {episodes} and {frames}")
        seeds = torch.randint(UNSEEN, 2**31, (episodes,)).tolist()
        video, returns = self._record_video(seeds, frames)
        say(f"returns: {', '.join(f'{value:g}' for value in returns)} (mean {statistics.fmean(returns):g})")
        return video

    def demos(self) -> dict[str, Callable[..., Any]]:
        """Play an episode, and show what the agent expects along it where it expects anything."""
        return {"Episode": self.play_episode}

    def play_episode(self, episode: int = 0) -> dict[str, Media]:
        """Play an episode that neither training nor validation nor test has.

        Args:
            episode: Which, from 0 on.
        """
        if not 0 <= episode < 1_000_000_000:
            raise ValueError(f"episode must be from 0 to 999999999, not {episode}")
        seed = UNSEEN + episode
        values = {"values": self.plot_episode(value, seed)} if (value := self.state_value) else {}
        return {**self.showcase(torch.tensor([seed])), **values}

    def plot_episode(self, value: Callable[[Tensor], Tensor], seed: int) -> Figure:
        """Play an episode, and draw the values of its states: one each (n,), or one an action (n, actions)."""
        values: list[Tensor] = []

        def act(observations: Tensor) -> Tensor:
            values.append(value(observations)[0].detach().cpu())
            return self.act(observations)

        returned, _ = self.evaluation_envs(1).evaluate(act, [seed])
        return Figure(plot_values(torch.stack(values), float(returned)))

    def _record_video(self, seeds: Sequence[int], max_frames: int) -> tuple[Media, list[float]]:
        """Play episodes one after the other; return at most so many of their frames, or why none, and their returns."""
        try:
            envs = VectorEnv(self.info, 1, render=True).to(self.device)
        except InputError:  # it may not know the render mode
            envs = VectorEnv(self.info, 1).to(self.device)
        frames: list[Tensor] = []
        stride, steps, returns, problem = 1, 0, [], ""

        def act(observations: Tensor) -> Tensor:
            nonlocal stride, steps, problem
            if steps % stride == 0:
                try:
                    frames.append(_resize(envs.render(), frames))
                except InputError as error:
                    problem = str(error)
                if len(frames) > max_frames:
                    del frames[1::2]
                    stride *= 2
            steps += 1
            return self.act(observations)

        for seed in seeds:
            returns.append(float(envs.evaluate(act, [seed])[0]))
        envs.close()
        return (Video(torch.stack(frames), high=255, rate=20) if frames else Text(f"no frames: {problem}")), returns

    def evaluation_envs(self, count: int) -> VectorEnv:
        """Return so many environments to evaluate in, kept for the next time."""
        if count not in self._evaluation_envs:
            self._evaluation_envs[count] = VectorEnv(self.info, count)
        return self._evaluation_envs[count].to(self.device)


def linear_epsilon(final: float, progress: float) -> float:
    """Return the share of random actions, which falls from 1 linearly.

    Args:
        final: Where it ends.
        progress: How much of the way is done, 1 at its end.
    """
    return max(final, 1 - (1 - final) * progress)


def plot_values(values: Tensor, returned: float) -> Drawing:
    """Draw values along an episode.

    Args:
        values: Of states, shape (time,), or of each action, shape (time, actions).
        returned: The episode's return.
    """
    drawing = Drawing(figsize=(5, 3.2), layout="constrained")
    label = "Q" if values.ndim > 1 else "value"
    axes = drawing.add_subplot(xlabel="step", ylabel=label, title=f"an episode that returned {returned:g}")
    axes.plot(values.numpy())
    if values.ndim > 1:
        for action, line in enumerate(axes.lines[:18]):  # more would leave no room for the lines
            line.set_label(f"action {action}")
        axes.legend(fontsize="small")
    return drawing


def _resize(frame: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """Return a frame (3, height, width) as large as earlier ones.

    The first is made at most 240 pixels wide and 960 high, and a tiny one as large as fits in that.
    """
    scale = min(FRAME_WIDTH / frame.shape[2], 4 * FRAME_WIDTH / frame.shape[1])
    first = [max(1, math.floor(side * (math.floor(scale) or scale))) for side in frame.shape[1:]]
    return interpolate(frame[None], size=earlier[0].shape[1:] if earlier else first, mode="area")[0]
