"""What a table's cells are to be learned as, and what a kind of target costs and measures."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from dlplug.data import TensorData, class_weights
from dlplug.errors import InputError
from dlplug.supervised import LabelsObjective, NumberObjective
from dlplug.tables import BadRows
from dlplug.targets import encode_targets, read_targets, target_names


def read(*rows, columns=("x",), asked="auto"):
    bad = BadRows("t.csv", skip=False)
    rows = [(n, row if isinstance(row, list) else [row]) for n, row in enumerate(rows, start=2)]
    kind, found = read_targets(bad, rows, columns, asked)
    return kind, list(found.values()), bad.reasons


@pytest.mark.parametrize(
    ("rows", "columns", "kind", "first"),
    [
        (["1", "2", "5"], ("x",), "class", "1"),
        ([str(i) for i in range(30)], ("x",), "number", (0.0,)),
        (["-1.5", "2e3", ".5"], ("x",), "number", (-1.5,)),
        (["a|b", "c"], ("x",), "class", "a|b"),
        ([["1", "0"], ["0", "0"]], ("a", "b"), "labels", ("a",)),
        ([["b", "a"], ["c", ""]], ("one", "two"), "labels", ("a", "b")),
        ([["3", "1200"], ["2", "800"]], ("rooms", "price"), "number", (3.0, 1200.0)),
    ],
)
def test_what_auto_takes_cells_for(rows, columns, kind, first):
    found, values, reasons = read(*rows, columns=columns)
    assert (found, values[0], reasons) == (kind, first, {})


@pytest.mark.parametrize("cell", ["b;a", "b|a", "b, a", "['b', 'a']", '["b","a","a"]', " a ;b; "])
def test_labels_of_a_cell(cell):
    kind, values, reasons = read(cell, "", asked="labels")
    assert (kind, values, reasons) == ("labels", [("a", "b"), ()], {})


def test_a_comma_is_part_of_a_label_where_something_else_separates():
    assert read("x, y; z", "w", asked="labels")[1] == [("x, y", "z"), ("w",)]


def test_cells_that_are_no_number_are_named_by_line():
    _, values, reasons = read("1.5", "2.5", "3.5", "4.5", "5.5", "1,5", "", "nan", "1e99", columns=("price",))
    assert len(values) == 5
    assert reasons == {
        7: "price '1,5' is not a number such as 1200.5",
        8: "the number 'price' is missing",
        9: "price 'nan' is not a number such as 1200.5",
        10: "price '1e99' is not a number such as 1200.5",
    }


def test_several_columns_are_not_one_class():
    with pytest.raises(ValueError, match="the columns a, b are not one class; give --data.target labels or number"):
        read(["x", "y"], columns=("a", "b"), asked="class")


def test_numbers_and_names_are_not_learned_as_one_target():
    with pytest.raises(ValueError, match=r"of two kinds, numbers \(price\) and others \(kind\)"):
        read(["cat", "1.5"], ["dog", ""], columns=("kind", "price"))
    assert read(["cat", "1.5"], columns=("kind", "price"), asked="labels")[1] == [("1.5", "cat")]
    with pytest.raises(ValueError, match="the column 'x' is named twice"):
        read(["1", "1"], columns=("x", "x"))


def test_numbers_that_single_precision_cannot_tell_apart_are_refused():
    seconds = [(1.7e9 + i,) for i in range(9)]
    with pytest.raises(ValueError, match="the numbers of time differ too little for their size: subtract"):
        encode_targets("number", seconds, ("time",))
    assert encode_targets("number", [(0.1,), (0.1,)], ("x",)).shape == (2, 1)
    assert encode_targets("number", [(time - 1.7e9,) for (time,) in seconds], ("time",))[8] == 8


def test_columns_of_predictions_have_names_of_their_own():
    columns = NumberObjective(("error", "error_", "item")).columns(torch.zeros(2, 3), top=1)
    assert [*columns] == ["error_", "error__", "item_"]


def test_targets_as_models_take_them():
    values = [("a", "c"), (), ("c",)]
    names = target_names("labels", values, ("x",))
    assert names == ("a", "c")
    assert encode_targets("labels", values, names).tolist() == [[1, 1], [0, 0], [0, 1]]
    assert encode_targets("number", [(1.0, 2.0)], target_names("number", [], ("p", "q"))).tolist() == [[1, 2]]
    assert encode_targets("class", ["b", "a"], target_names("class", ["b", "a"], ())).tolist() == [1, 0]
    for kind, nothing, said in (("class", ["a", "a"], "only one class"), ("labels", [(), ()], "no item has a label")):
        with pytest.raises(ValueError, match=said):
            target_names(kind, nothing, ("x",))


def test_numbers_are_measured_in_their_units_however_large_they_are():
    rng = np.random.default_rng(0)
    true = torch.tensor(rng.normal((2000.0, 1e6), (10.0, 300.0), (50, 2)), dtype=torch.float32)
    objective = NumberObjective(("year", "price"))
    objective.standardise(true)
    outputs = torch.tensor(rng.normal(0, 1, (50, 2)), dtype=torch.float32)
    for part in range(0, 50, 16):
        objective.update(outputs[part : part + 16], true[part : part + 16])
    predicted = objective.predictions(outputs).double()
    expected = {}
    for k, name in enumerate(objective.names):
        pair = true[:, k].double(), predicted[:, k]
        expected |= {f"mae_{name}": sk.mean_absolute_error(*pair), f"r2_{name}": sk.r2_score(*pair)}
        expected[f"rmse_{name}"] = sk.mean_squared_error(*pair) ** 0.5
    assert {k: float(v) for k, v in objective.compute().items()} == pytest.approx(expected, rel=1e-3)
    # Predicting the mean costs 1, and a constant column nothing that is not a number.
    assert objective.loss(torch.zeros(50, 2), true).item() == pytest.approx(1, rel=1e-3)
    objective.standardise(torch.full((9, 2), 7.0))
    assert torch.isfinite(objective.losses(outputs, true)).all()


def test_labels_are_measured_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    true, logits = rng.random((60, 3)) < 0.3, rng.normal(0, 0.2, (60, 3))  # many logits are from 0 to 1
    objective = LabelsObjective(("a", "b", "c"))
    for part in range(0, 60, 7):
        objective.update(
            torch.tensor(logits[part : part + 7]).float(), torch.tensor(true[part : part + 7], dtype=torch.float)
        )
    expected = {
        "f1": sk.f1_score(true, logits > 0, average="macro"),
        "map": sk.average_precision_score(true, logits, average="macro"),
        "exact_match": (true == (logits > 0)).all(1).mean(),
    }
    assert {k: float(v) for k, v in objective.compute().items()} == pytest.approx(expected, abs=1e-5)
    [(label, items, given, right, *_), *_] = objective.show(torch.zeros(1), torch.zeros(1))["labels"].rows
    assert (label, items, given, right) == (
        "a",
        true[:, 0].sum(),
        (logits > 0)[:, 0].sum(),
        (true & (logits > 0))[:, 0].sum(),
    )


def test_balanced_labels_have_the_weight_of_those_that_lack_them(capsys):
    class Few(TensorData):
        def load(self):
            raise NotImplementedError

    data = Few()
    data.splits = {"train": (torch.zeros(4, 1), torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]]))}
    assert class_weights(data, ("a", "b", "c")).tolist() == [3, pytest.approx(1 / 3), 1]
    assert "training items: a 1, b 3, c 0" in capsys.readouterr().err
    objective = LabelsObjective(("a", "b", "c"))
    objective.start(data, True, torch.device("cpu"))
    logits, targets = torch.randn(4, 3), data.splits["train"][1]
    expected = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3, 1 / 3, 1]))(logits, targets)
    assert objective.loss(logits, targets).item() == pytest.approx(expected.item())


def test_balanced_classes_of_unknown_data_are_refused():
    with pytest.raises(InputError, match="class_weights balanced: these data do not tell beforehand"):
        LabelsObjective(("a", "b")).start(None, True, torch.device("cpu"))
    LabelsObjective(("a", "b")).start(None, False, torch.device("cpu"))


def test_one_validation_item_has_no_r2_and_ends_nothing():
    objective = NumberObjective(("x",))
    objective.update(torch.ones(1, 1), torch.zeros(1, 1))
    values = objective.compute()
    assert values["mae"] == 1
    assert values["r2"].isnan()
