"""Any environment of gymnasium's as data."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dlplug.data import Data, run_seed
from dlplug.errors import InputError
from dlplug_rl.data.environments import EnvInfo, Envs

SEEDS = {"val": 1_000_000, "test": 2_000_000}  # where the seeds of episodes that are only watched start
SIDE_BY_SIDE = 25  # such episodes at once


class Gym(Data):
    """Environments of gymnasium, or of a package that registers its own, a number of them side by side.

    A batch is the environments themselves: the model acts in them for as many steps as it wants and learns from what
    it saw. At the start of each epoch they start anew from seeds derived from the run's seed, the process and the
    epoch, whether the run was interrupted or not, since the state of an environment cannot be saved in general.
    Validation and test play whole episodes, on seeds that are the same for all runs and none of which is trained on.

    Args:
        env: Id of the environment.
        options: What it is made with, such as ``{"is_slippery": false}``.
        package: Module that registers it, such as ``ale_py``, or a function of one that does, such as
            ``minatar.gym:register_envs``; none if empty.
        wrappers: Names of gymnasium's wrappers to put around it, innermost first, each with its options, such as
            ``{"FrameStackObservation": {"stack_size": 4}}``.
        num_envs: How many run side by side in each process.
        mode: ``sync`` runs them one after the other, ``async`` each in a process of its own, for slow ones.
        batches: Batches an epoch. An epoch should last several episodes in each environment.
        episodes: Episodes that a validation plays.
        test_episodes: Episodes that a test plays.
        max_steps: Steps after which an episode is truncated; 0 for the environment's own limit, or 1,000 where it has
            none.
        stop: Whether training stops once the mean return in validation reaches the environment's reward threshold.
    """

    info: EnvInfo

    def __init__(
        self,
        env: str = "CartPole-v1",
        options: dict[str, Any] | None = None,
        package: str = "",
        wrappers: dict[str, dict[str, Any]] | None = None,
        num_envs: int = 4,
        mode: Literal["sync", "async"] = "sync",
        batches: int = 10,
        episodes: int = 20,
        test_episodes: int = 100,
        max_steps: int = 0,
        stop: bool = False,
    ) -> None:
        super().__init__()
        if min(num_envs, batches, episodes, test_episodes) < 1 or max_steps < 0:
            raise InputError(
                "num_envs, batches, episodes and test_episodes must be at least 1 and max_steps at least 0, not "
                f"{num_envs}, {batches}, {episodes}, {test_episodes} and {max_steps}"
            )
        self.info = EnvInfo.of(env, options or {}, wrappers or {}, package, max_steps)
        self.num_envs, self.mode, self.batches, self.stop = num_envs, mode, batches, stop
        self.episodes = {"val": episodes, "test": test_episodes}
        self._envs: Envs | None = None

    def train_dataloader(self) -> "Restarting":
        """Return the environments, a number of times; they start anew with each epoch."""
        if self._envs is None:
            self._envs = Envs(self.info, self.num_envs, parallel=self.mode == "async")
        return Restarting(self, self._envs)

    def val_dataloader(self) -> "Watched":
        """Return seeds of episodes."""
        return Watched(self, "val")

    def test_dataloader(self) -> "Watched":
        """Return seeds of other episodes."""
        return Watched(self, "test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Let the environments speak in tensors on that device."""
        if isinstance(batch, Envs):
            batch.device = device
            batch.observations = batch.observations.to(device)
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def teardown(self, stage: str) -> None:
        """End the environments' processes."""
        if self._envs:
            self._envs.close()
            self._envs = None


class Restarting:
    """The environments, once a batch, started anew whenever it is gone through.

    Args:
        data: Whose they are.
        envs: The environments.
    """

    def __init__(self, data: Gym, envs: Envs) -> None:
        self.data, self.envs = data, envs

    def __len__(self) -> int:
        return self.data.batches

    def __iter__(self) -> Iterator[Envs]:
        trainer = self.data.trainer
        rank, epoch = (trainer.global_rank, trainer.current_epoch) if trainer else (0, 0)
        seeds = np.random.SeedSequence((run_seed(), rank, epoch)).generate_state(self.envs.count)
        self.envs.reset([int(seed) for seed in seeds])
        for _ in range(len(self)):
            yield self.envs


class Watched:
    """Seeds of episodes that are only watched, each process with its share of them.

    Args:
        data: Whose they are.
        split: ``val`` or ``test``.
    """

    def __init__(self, data: Gym, split: str) -> None:
        trainer = data.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        seeds = SEEDS[split] + torch.arange(max(data.episodes[split], ranks))
        self.batches: tuple[Tensor, ...] = torch.split(seeds[rank::ranks], SIDE_BY_SIDE)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
