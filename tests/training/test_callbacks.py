from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch.optim import lr_scheduler

from dlplug.errors import InputError
from dlplug.optim import set_lr
from dlplug.training.callbacks import LearningRateScaling, OptimizerOverrides, guard


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


def test_learning_rate_grows_with_the_processes_and_only_once():
    weight = torch.nn.Parameter(torch.zeros(1))
    adam, sgd = torch.optim.Adam([weight], 0.1), torch.optim.SGD([weight], 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(sgd, 1)
    configs = [SimpleNamespace(scheduler=schedule)]
    for count in (4, 4, 9):  # resumed on as many processes, and on others
        trainer = SimpleNamespace(world_size=count, optimizers=[adam, sgd], lr_scheduler_configs=configs)
        LearningRateScaling(True).on_train_start(trainer, None)
        rates = [each.param_groups[0]["lr"] for each in (adam, sgd)]
        assert [*rates, *schedule.base_lrs] == pytest.approx([0.1 * count**0.5, 0.1 * count, 0.1 * count])
    set_lr(adam, 0.01)
    assert adam.param_groups[0]["lr"] == pytest.approx(0.03)


def test_scale_is_named_before_shards_are_restored():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    for restores, scale in ((True, None), (False, 1.0)):
        trainer = SimpleNamespace(
            optimizers=[optimizer], strategy=SimpleNamespace(lightning_restore_optimizer=restores)
        )
        LearningRateScaling(True).on_fit_start(trainer, None)
        assert optimizer.param_groups[0].get("lr_scale") == scale


def composed(lr=0.1, weight_decay=0.0):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr, weight_decay=weight_decay)
    rises, falls = lr_scheduler.LinearLR(optimizer, total_iters=2), lr_scheduler.CosineAnnealingLR(optimizer, 9)
    return optimizer, lr_scheduler.SequentialLR(optimizer, [rises, falls], [2])


def one_cycle(lr=0.1, weight_decay=0.0):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr, momentum=0.9, weight_decay=weight_decay)
    return optimizer, lr_scheduler.OneCycleLR(optimizer, lr, 9)


def rates(optimizer, schedule, steps, processes):
    """Return the learning rate of each step."""
    configs = [SimpleNamespace(scheduler=schedule)]
    trainer = SimpleNamespace(world_size=processes, optimizers=[optimizer], lr_scheduler_configs=configs)
    LearningRateScaling(True).on_train_start(trainer, None)
    found = []
    for _step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # which SequentialLR passes
@pytest.mark.parametrize("make", [composed, one_cycle])
def test_schedules_are_scaled_with_all_their_parts_and_resume_with_other_options(make):
    whole, cut = rates(*make(), 8, 4), make()
    assert whole == pytest.approx([4 * rate for rate in rates(*make(), 8, 1)])
    begun = rates(*cut, 4, 4)

    def resumed(**options):
        optimizer, schedule = make(**options)
        trainer = SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=[SimpleNamespace(scheduler=schedule)])
        changed = OptimizerOverrides()
        changed.on_fit_start(trainer, None)
        optimizer.load_state_dict(cut[0].state_dict())
        schedule.load_state_dict(cut[1].state_dict())
        changed.on_train_start(trainer, None)
        assert optimizer.param_groups[0]["weight_decay"] == options["weight_decay"]
        return rates(optimizer, schedule, 4, 4)

    assert begun + resumed(weight_decay=0.5) == pytest.approx(whole)
    with pytest.raises(InputError, match=r"LR resumes with base_lrs \[0.*\]: it cannot change to"):
        resumed(lr=0.2, weight_decay=0.5)


def test_larger_batch_is_said(capsys):
    LearningRateScaling(False).on_train_start(SimpleNamespace(world_size=2), None)
    assert capsys.readouterr().err == "2 processes make batches 2 times as large; --scale_lr raises the learning rate\n"
