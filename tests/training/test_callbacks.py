import pytest
from lightning.pytorch.loggers import Logger

from dlplug.training.callbacks import guard


class Broken(Logger):
    name = version = "x"

    @property
    def save_dir(self):
        raise RuntimeError("no place")

    def log_hyperparams(self, *args):
        pass

    def log_metrics(self, *args):
        raise AssertionError("it was left out")


def test_a_logger_whose_property_raises_is_left_out():
    with pytest.warns(UserWarning, match="Broken is left out: a property: RuntimeError: no place"):
        assert not guard(Broken())


def test_a_logger_that_raises_later_is_left_out_then():
    logger = type("Late", (Broken,), {"save_dir": "."})()
    assert guard(logger)
    logger.log_hyperparams({})
    with pytest.warns(UserWarning, match="Late is left out: log_metrics: AssertionError"):
        logger.log_metrics({}, 0)
    logger.log_metrics({}, 1)
