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
    with pytest.warns(UserWarning, match="Broken is left out: at first sight: RuntimeError: no place"):
        assert not guard(Broken())


@pytest.mark.parametrize("odd", [{"attach": 3}, {"__getattr__": lambda self, name: 1 / 0}])
def test_what_raises_or_is_no_method_as_soon_as_it_is_looked_at_is_left_out(odd):
    with pytest.warns(UserWarning, match="Odd is left out: at first sight: (TypeError|ZeroDivisionError)"):
        assert not guard(type("Odd", (Broken,), {"save_dir": ".", **odd})())


def test_a_property_that_raises_later_is_left_out_then():
    later = iter(["."])
    logger = type("Late", (Broken,), {"save_dir": property(lambda self: next(later)), "experiment": property(abs)})()
    assert guard(logger)
    with pytest.warns(UserWarning, match="Late is left out: <lambda>: StopIteration"):
        assert logger.save_dir is None
    assert logger.experiment is None
    assert type(logger).__name__ == "Late"


def test_a_logger_that_raises_later_is_left_out_then():
    logger = type("Late", (Broken,), {"save_dir": "."})()
    assert guard(logger)
    logger.log_hyperparams({})
    with pytest.warns(UserWarning, match="Late is left out: log_metrics: AssertionError"):
        logger.log_metrics({}, 0)
    logger.log_metrics({}, 1)
