import pytest

from dlplug import DataSpec, ModelSpec, MutantSpec


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
