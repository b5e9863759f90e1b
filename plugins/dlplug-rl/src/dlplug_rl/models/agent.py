"""What every model that acts has in common."""

import math
import os
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import interpolate

from dlplug import InputError, Panel
from dlplug.console import say
from dlplug.media import Media, Video
from dlplug.model import Model
from dlplug_rl.data.environments import EnvInfo, Envs

RECENT = 100  # episodes whose mean return is shown while training
SHOWN = 40  # frames of the episode that is shown after each validation
WIDTH = 240  # pixels of a frame
PRECISIONS = ("32-true", "bf16-mixed")
GAMES: tuple[Panel, ...] = (
    Panel(
        "Episodes",
        "Return",
        "Mean sum of rewards an episode: while training with exploration, over the last 100 episodes that ended; in "
        "validation as the agent plays when it means it, on seeds that it never trains on. Healthy: rises, then holds. "
        "Broken: stays where chance is, or collapses after it had risen.",
        curves=("return",),
    ),
    Panel(
        "Episodes",
        "Length",
        "Mean steps an episode. Where each step is rewarded it rises with the return, where each step costs it falls.",
        curves=("length",),
    ),
)
EPISODE = Panel(
    "Pictures",
    "Episode",
    "The first validation episode, at most 40 of its frames. Healthy: it looks like somebody who knows what to do.",
    media="episode",
)


class Agent(Model):
    """A model that acts in environments and learns from what comes of it.

    A subclass says what it does in ``act``, and learns in ``training_step``, whose batch is an ``Envs``.

    Attributes:
        env_steps: Steps that were taken in all environments of all processes, and learned from.
        recent: Return and length of the last 100 training episodes.
    """

    monitor = ("val/return", "max")
    axis = "train/env_steps"
    info: EnvInfo

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.env_steps = 0
        self.recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._players: dict[int, Envs] = {}

    @abstractmethod
    def act(self, observations: Tensor) -> Tensor:
        """Return what the agent does when it is watched: actions (n, ...) for observations (n, *shape)."""

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
        """Let each step of an optimiser be quick where there is no GPU.

        Adam asks at each step whether there is one. Lightning has that asked of NVIDIA's library, so that processes can
        still fork after; where it is not installed it is looked for each time, a sixth of the whole step.
        """
        super().on_fit_start()
        if not torch.cuda.is_available():
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

    def count(self, envs: Envs, steps: int) -> dict[str, Tensor]:
        """Count the steps that were just taken in each environment, in every process, and the episodes that ended.

        Returns:
            What to record of them.
        """
        finished, envs.finished = envs.finished, []
        if self.trainer.world_size > 1:
            found: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(found, (finished, steps))
            finished, steps = [pair for pairs, _ in found for pair in pairs], sum(count for _, count in found)
        self.env_steps += steps
        self.recent.extend(finished)
        counted = {"env_steps": torch.tensor(float(self.env_steps))}
        if self.recent:
            returns, lengths = torch.tensor(list(self.recent)).mean(0)
            counted |= {"return": returns, "length": lengths}
        return counted

    def progress(self) -> float:
        """Return how much of the training is done, from 0 to 1; 0 where it has no end."""
        epochs = self.trainer.max_epochs or -1
        batches = float(self.trainer.num_training_batches) * epochs
        return min(1.0, self.trainer.fit_loop.total_batch_idx / batches) if 0 < batches < math.inf else 0.0

    def only_optimizer(self) -> LightningOptimizer:
        """Return the optimiser of a model that has one."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        return optimizer

    def minimise(self, loss: Tensor, optimizer: LightningOptimizer) -> Tensor:
        """Take one step down a loss, without Lightning's hooks: a batch has hundreds, and they cost a third of each.

        Gradients are averaged over processes here, since DDP does so for the first of a batch's updates alone.

        Args:
            loss: A scalar.
            optimizer: One of ``self.optimizers()``.

        Returns:
            The length of the gradient before it was clipped, a scalar; 0 where it is not clipped.
        """
        plain = optimizer.optimizer
        weights = [weight for group in plain.param_groups for weight in group["params"]]
        for weight in weights:
            weight.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if self.trainer.world_size > 1:
            for gradient in gradients:
                torch.distributed.all_reduce(gradient)
                gradient /= self.trainer.world_size
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
        """Play episodes with these seeds."""
        returns, lengths = self._player(len(batch)).play(self.act, batch.tolist())
        self.record(**{"return": returns.mean(), "length": lengths.mean()})

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        """The same with other seeds; also the share that reaches the environment's threshold, if it names one."""
        returns, lengths = self._player(len(batch)).play(self.act, batch.tolist())
        self.record(**{"return": returns.mean(), "length": lengths.mean()})
        if self.info.threshold is not None:
            self.record(solved=(returns >= self.info.threshold).float().mean())

    def on_validation_end(self) -> None:
        """Stop where that was asked for and the environment's threshold is reached."""
        data = getattr(self.trainer, "datamodule", None)
        reached = self.trainer.callback_metrics.get("val/return")
        if not getattr(data, "stop", False) or reached is None or self.trainer.sanity_checking:
            return
        if self.info.threshold is not None and float(reached) >= self.info.threshold:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the counts."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["agent"] = {"env_steps": self.env_steps, "recent": list(self.recent)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        super().on_load_checkpoint(checkpoint)
        self.env_steps = checkpoint["agent"]["env_steps"]
        self.recent.extend(tuple(pair) for pair in checkpoint["agent"]["recent"])

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show the first validation episode."""
        return {"episode": self._film([int(batch[0])], SHOWN)[0]}

    def generate(self, episodes: int = 3, frames: int = 300) -> Video:
        """Play episodes and say what they returned.

        Args:
            episodes: How many.
            frames: Frames of the picture at most; every so many steps one where the episodes are longer.
        """
        if min(episodes, frames) < 1:
            raise ValueError(f"episodes and frames must be at least 1, not {episodes} and {frames}")
        seeds = torch.randint(3_000_000, 2**31, (episodes,)).tolist()
        video, returns = self._film(seeds, frames)
        mean = sum(returns) / len(returns)
        say(f"returns: {', '.join(f'{value:g}' for value in returns)} (mean {mean:g})")
        return video

    def _film(self, seeds: Sequence[int], most: int) -> tuple[Video, list[float]]:
        """Play episodes one after the other; return at most so many of their frames, and their returns."""
        envs = Envs(self.info, 1, render=True)
        envs.device = self.device
        kept: list[Tensor] = []
        stride, steps, returns = 1, 0, []

        def watch(observations: Tensor) -> None:
            nonlocal stride, steps
            if steps % stride == 0:
                kept.append(_sized(envs.draw()))
                if len(kept) > most:
                    del kept[1::2]
                    stride *= 2
            steps += 1

        for seed in seeds:
            returns.append(float(envs.play(self.act, [seed], watch)[0]))
        envs.close()
        return Video(torch.stack(kept), high=255, rate=20), returns

    def _player(self, count: int) -> Envs:
        """Return environments to be watched in, kept for the next time."""
        if count not in self._players:
            self._players[count] = Envs(self.info, count)
        self._players[count].device = self.device
        return self._players[count]


def falling(epsilon: float, done: float) -> float:
    """Return the share of random actions, which falls from 1 in a line.

    Args:
        epsilon: Where it ends.
        done: How much of the way is done, 1 at its end.
    """
    return max(epsilon, 1 - (1 - epsilon) * done)


def _sized(frame: Tensor) -> Tensor:
    """Return a frame (3, height, width) at most 240 pixels wide, and a tiny one as large as fits in that."""
    width = frame.shape[2]
    if width <= WIDTH:
        return frame.repeat_interleave(WIDTH // width, 1).repeat_interleave(WIDTH // width, 2)
    return interpolate(frame[None].float(), scale_factor=WIDTH / width, mode="area")[0]
