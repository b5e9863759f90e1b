import re

import pytest

from dlplug import DataSpec, ModelSpec, MutantSpec
from dlplug.registry import Registry
from dlplug.specs import Range


@pytest.mark.parametrize(
    ("name", "target", "summary"),
    [
        ("GAN", "m:GAN", "Draws."),
        ("", "m:GAN", "Draws."),
        ("gan", "m.GAN", "Draws."),
        ("gan", "m:GAN", "Draws.\nThen tells."),
        ("gan", "m:GAN", ""),
    ],
)
def test_malformed_spec_is_refused(name, target, summary):
    with pytest.raises(ValueError, match=r"not (like|one line)"):
        DataSpec(name, target, summary)


def test_recipe_is_refined_by_data():
    spec = ModelSpec("gan", "m:GAN", "Draws.", recipe={"a": 1, "b": 1}, recipes={"digits": {"b": 2}})
    assert spec.recipe_for("digits") == {"a": 1, "b": 2}
    assert spec.recipe_for("other") == {"a": 1, "b": 1}
    assert spec.class_path == "m.GAN"


def test_a_fault_is_planted_where_its_line_stands_once():
    mutant = MutantSpec("late", "m:GAN", "The loss comes late.", models=("gan",), old="loss = x", new="loss = 0 * x")
    assert mutant.planted("  loss = x\n") == "  loss = 0 * x\n"
    with pytest.raises(ValueError, match="2 times"):
        mutant.planted("loss = x\nloss = x\n")
    with pytest.raises(ValueError, match="changes nothing"):
        MutantSpec("late", "m:GAN", "The loss comes late.", models=("gan",), old="a", new="a")


def test_ranges_are_parsed():
    assert Range.parse("model.lr", "log:1e-4:1e-1") == Range(low=1e-4, high=0.1, log=True)
    assert Range.parse("model.width", "logint:16:256") == Range(low=16, high=256, whole=True, log=True)
    assert Range.parse("data.shift", "float:-1:1").ends == (-1, 1)
    assert Range.parse("model.sizes", [[64], [64, 64]]).ends == ([64], [64, 64])


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        ("lr", "log:1e-4:1e-1", "'lr' is no option to search"),
        ("seed_everything", [0, 1], "is no option to search"),
        ("model.lr", "lgo:1e-4:1e-1", "'lgo:1e-4:1e-1' is no range, such as"),
        ("model.lr", "log:1e-4", "is no range"),
        ("model.lr", 0.1, "is no range"),
        ("model.width", "int:1.5:8", "is no range"),
        ("model.lr", "log:0:1", "do not rise from above 0"),
        ("model.lr", "float:1:0", "do not rise"),
        ("model.lr", "float:0:inf", "do not rise"),
        ("model.lr", "float:0:nan", "do not rise"),
        ("model.cell", ["gru"], "two different choices"),
        ("model.cell", ["gru", "lstm", "gru"], "two different choices"),
    ],
)
def test_malformed_ranges_are_refused_when_a_spec_is_made(option, given, message):
    with pytest.raises(ValueError, match=f"space of 'gan': .*{re.escape(message)}"):
        ModelSpec("gan", "m:GAN", "Draws.", space={option: given})


def test_every_model_of_the_notes_says_what_a_search_tries():
    models = [spec for spec in Registry.discover() if isinstance(spec, ModelSpec)]
    assert {spec.name for spec in models if not 2 <= len(spec.space) <= 4} <= {"mixture"}  # which has no such options
