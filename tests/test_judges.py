from math import log
from types import SimpleNamespace

import pytest

from dlplug import DataSpec, InputError, judges
from dlplug.registry import Registry

RUN = SimpleNamespace(test=lambda: {"test/accuracy": 0.9, "test/ece": 0.1, "test/loss": 1.0, "test/bits_per_dim": 2.0})


JUDGES = {
    judges.classification: ["accuracy", "macro_recall", "ece", "f1", "map"],
    judges.regression: ["mae", "rmse", "r2"],
    judges.language: ["bits_per_char"],
    judges.translation: ["exact_match", "bleu"],
    judges.retrieval: ["recall", "map"],
    judges.returns: ["episode_return"],
}


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__)
def test_judges_take_their_metrics_by_name(judge):
    measured = {f"test/{name}": n for n, name in enumerate(("loss", *JUDGES[judge]))}
    assert judge(SimpleNamespace(test=lambda: measured)) == {name: n for n, name in enumerate(JUDGES[judge], start=1)}


def test_judges_take_what_the_test_measures():
    assert judges.classification(RUN) == {"accuracy": 0.9, "ece": 0.1}
    assert judges.likelihood(RUN) == {"nats_per_dim": 2 * log(2)}
    with pytest.raises(InputError, match="^its test measures no exact_match or bleu$"):
        judges.translation(RUN)


def test_data_of_the_notes_name_judges_that_are_there():
    named = {judge for spec in Registry.discover() if isinstance(spec, DataSpec) for judge in spec.judges}
    own = [judge.partition(":")[2] for judge in named if judge.startswith("dlplug.judges:")]
    assert len(own) >= 6
    assert [name for name in own if not callable(getattr(judges, name, None))] == []
