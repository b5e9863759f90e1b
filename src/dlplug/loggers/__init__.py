"""Loggers for ``--logger NAME`` that keep their files in the run folder and never stop a run."""

from dlplug.loggers.tensorboard import TensorBoard
from dlplug.loggers.wandb import WeightsAndBiases

__all__ = ["TensorBoard", "WeightsAndBiases"]
