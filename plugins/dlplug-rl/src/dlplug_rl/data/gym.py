"""Any environment of gymnasium's as data."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from dlplug.data import BatchIndexSampler, Data, load_batches, run_seed
from dlplug.errors import InputError
from dlplug_rl.data.environments import EnvInfo, VectorEnv

# Where the seeds of evaluation episodes start: far from each other, and from those that `dlplug generate` draws.
FIRST_SEED = {"val": 1_000_000, "test": 2_000_000}
EVAL_BATCH_SIZE = 25  # evaluation episodes that are played at once


class Gym(Data):
    """Environments of gymnasium, or of a package that registers its own, a number of them at once.

    A batch is the environments themselves: the model acts in them for as many steps as it wants and learns from what
    it observed. At the start of each epoch they are reset with seeds derived from the run's seed, the process and the
    epoch, whether the run was interrupted or not, since the state of an environment cannot be saved in general.
    Validation and test play whole episodes, on seeds that are the same for all runs and none of which is trained on.

    Args:
        env: Id of the environment, after the module that registers it where need be: ``module:Env-v0``.
        options: Keyword arguments that it is made with, such as ``{"is_slippery": false}``.
        package: Module that registers it, such as ``ale_py``, or a function of one that does, such as
            ``minatar.gym:register_envs``; none if empty.
        wrappers: Names of gymnasium's wrappers to put around it, innermost first, each with its options, such as
            ``{"FrameStackObservation": {"stack_size": 4}}``.
        num_envs: Environments in each process.
        vectorization_mode: ``sync`` runs them one after the other, ``async`` each in a process of its own, for slow
            ones.
        batches: Batches an epoch. An epoch should last several episodes in each environment.
        episodes: Episodes that a validation plays.
        test_episodes: Episodes that a test plays.
        max_episode_steps: Steps after which an episode is truncated; 0 for the environment's own limit, or 1,000 where
            it has none.
        stop_on_reward_threshold: Whether training stops once the mean return in validation reaches the environment's
            reward threshold.
    """

    info: EnvInfo

    def __init__(
        self,
        env: str = "CartPole-v1",
        options: dict[str, Any] | None = None,
        package: str = "",
        wrappers: dict[str, dict[str, Any]] | None = None,
        num_envs: int = 4,
        vectorization_mode: Literal["sync", "async"] = "sync",
        batches: int = 10,
        episodes: int = 20,
        test_episodes: int = 100,
        max_episode_steps: int = 0,
        stop_on_reward_threshold: bool = False,
    ) -> None:
        super().__init__()
        if min(num_envs, batches, episodes, test_episodes) < 1 or max_episode_steps < 0:
            raise InputError(
                "num_envs, batches, episodes and test_episodes must be at least 1 and max_episode_steps at least 0, "
                f"not {num_envs}, {batches}, {episodes}, {test_episodes} and {max_episode_steps}"
            )
        self.info = EnvInfo.of(env, options or {}, wrappers or {}, package, max_episode_steps)
        self.num_envs, self.parallel, self.batches = num_envs, vectorization_mode == "async", batches
        self.episodes = {"val": episodes, "test": test_episodes}
        self.stop_threshold = self.info.reward_threshold if stop_on_reward_threshold else None
        self._envs: VectorEnv | None = None

    def train_dataloader(self) -> "EnvLoader":
        """Return the environments, once a batch; they are reset at the start of each epoch."""
        if self._envs is None:
            self._envs = VectorEnv(self.info, self.num_envs, self.parallel)
        return EnvLoader(self, self._envs)

    def val_dataloader(self) -> "DataLoader[Any]":
        """Return seeds of episodes."""
        return self._seeds("val")

    def test_dataloader(self) -> "DataLoader[Any]":
        """Return seeds of other episodes."""
        return self._seeds("test")

    def teardown(self, stage: str) -> None:
        """End the environments' processes."""
        if self._envs:
            self._envs.close()
            self._envs = None

    def _seeds(self, split: str) -> "DataLoader[Any]":
        """Return batches of evaluation seeds, (n,), each process with its share and at least one."""
        processes = self.trainer.world_size if self.trainer else 1
        seeds: Any = FIRST_SEED[split] + torch.arange(max(self.episodes[split], processes))
        return load_batches(seeds, BatchIndexSampler(len(seeds), EVAL_BATCH_SIZE, "in order"))


class EnvLoader:
    """A training loader whose every batch is the same environments, reset whenever it is iterated over.

    Args:
        data: The data module, which knows the trainer.
        envs: The environments.
    """

    def __init__(self, data: Gym, envs: VectorEnv) -> None:
        self.data, self.envs = data, envs

    def __len__(self) -> int:
        return self.data.batches

    def __iter__(self) -> Iterator[VectorEnv]:
        trainer = self.data.trainer
        rank, epoch = (trainer.global_rank, trainer.current_epoch) if trainer else (0, 0)
        seeds = np.random.SeedSequence((run_seed(), rank, epoch)).generate_state(self.envs.num_envs)
        self.envs.reset(seeds.tolist())
        for _ in range(len(self)):
            yield self.envs
