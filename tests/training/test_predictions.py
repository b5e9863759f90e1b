"""`dlplug predict` with a plain model and data of a person's own, whose data read new files."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dlplug.errors import InputError
from dlplug.training.predictions import PredictionWriter

OWN = Path(__file__).parents[1] / "helpers" / "own.py"
READS = """
from functools import partial
import torch
from own import OwnData, OwnModel

class Reads(OwnData):
    batch_size = 3

    def read_inputs(self, source, info):
        lines = open(source).read().split("\\n")
        return [(f"line {number}", partial(self.parse, line)) for number, line in enumerate(lines, start=1)]

    def parse(self, line):
        if line == "broken":
            raise RuntimeError("a mistake of the plugin's")
        return torch.tensor([float(cell) for cell in line.split()]), torch.tensor(len(line))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] + 99, *batch[1:]] if self.trainer.state.stage is None else batch  # which knows its trainer

class Sums(OwnModel):
    top = 1

    def predict_step(self, batch, batch_idx):
        points, lengths = batch
        assert len(points) <= 3
        return {"sum": points.sum(1), "most": [f"{point.max()} of {self.top}" for point in points], "length": lengths}

class Short(Sums):
    def predict_step(self, batch, batch_idx):
        return batch[0][:1, 0]
"""
ALONE = SimpleNamespace(world_size=1, is_global_zero=True)
FEW = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=1")


@pytest.fixture
def own(tmp_path):
    shutil.copy(OWN, tmp_path)
    (tmp_path / "reads.py").write_text(READS)
    (tmp_path / "new.txt").write_text("not a number\n1 2 3\n4 5 6 7\n\n1 1\n2\n3 3\n4\nnone")


def test_rows_are_in_order_and_say_why_an_item_is_bad(own, fit, command, tmp_path):
    run = fit("--model=reads.Sums", "--data=reads.Reads", *FEW)
    result = command("predict", run, "--input=new.txt", "--output=new.jsonl", "--top=2")
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("predictions: 9 rows, 2 of them bad: they say why -> new.jsonl\n")
    rows = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    assert [row.pop("item") for row in rows] == [f"line {number}" for number in range(1, 10)]
    bad = {"error": "could not convert string to float: 'not'"}, {"error": "could not convert string to float: 'none'"}
    assert (rows[0], rows[8]) == bad
    assert [row["sum"] for row in rows[1:8]] == [6, 22, 0, 2, 2, 6, 4]
    assert rows[2] == {"sum": 22, "most": "7.0 of 2", "length": 7}
    assert command("predict", run, "--input=new.txt", "--output=new.csv").returncode == 0
    header, first, second, *_ = (tmp_path / "new.csv").read_text().splitlines()
    assert header == "item,sum,most,length,error"
    assert (first, second) == ("line 1,,,,could not convert string to float: 'not'", "line 2,6.0,3.0 of 1,5,")


def test_what_fails_leaves_the_predictions_of_before(own, fit, command, refused, tmp_path):
    run = fit("--model=reads.Sums", "--data=reads.Reads", *FEW)
    assert command("predict", run, "--input=new.txt").returncode == 0
    before = (run / "predictions.csv").read_bytes()
    (tmp_path / "new.txt").write_text("1\n2\n3\n4\nbroken")
    assert command("predict", run, "--input=new.txt").returncode == 1
    assert (run / "predictions.csv").read_bytes() == before
    assert not list(run.glob(".predictions*"))
    (tmp_path / "new.txt").write_text("1\n2\n3\n4")
    short = fit("--model=reads.Short", "--data=reads.Reads", *FEW)
    result = command("predict", short, "--input=new.txt")
    assert (result.returncode, "predict_step of Short gives 1 rows for 3 items\n" in result.stderr) == (2, True)
    plain = fit("--model=own.OwnModel", "--data=own.OwnData", *FEW)
    assert "--input: ownmodel is no model of new files; these are: " in refused("predict", plain, "--input=new.txt")
    assert "ownmodel ranks nothing" in refused("predict", plain, "--top=2")


def test_a_pipe_is_written_to_and_not_replaced(own, fit, command, tmp_path):
    run = fit("--model=reads.Sums", "--data=reads.Reads", *FEW)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert command("predict", run, "--input=new.txt", "--output=pipe").returncode == 0
    assert os.read(reader, 9999).startswith(b"item,")
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("lines", "limit"),
    [("bad\n1\n2\n3\n4\n5\nbad\n6\n7\nbad", "1.0"), ("1\n2\n3\n4\n5\n6\nbad", "1.0"), ("1\n" * 14, "3")],
)
def test_two_processes_write_what_one_writes(own, fit, command, refused, tmp_path, lines, limit):
    run = fit("--model=reads.Sums", "--data=reads.Reads", *FEW)
    (tmp_path / "new.txt").write_text(lines)
    two = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu")
    for name, options in {"one": (), "two": two}.items():
        line = ("--input=new.txt", f"--output={name}.csv", f"--trainer.limit_predict_batches={limit}")
        result = command("predict", run, *line, *options)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


def test_columns_of_several_lengths_are_refused():
    writer = PredictionWriter(Path("-"), "csv", bar=False, data=None)
    with pytest.raises(InputError, match="predict_step of object gives columns of 1 and 3 items"):
        writer.write_on_batch_end(ALONE, object(), {"a": torch.zeros(3), "b": ["x"]})


def test_json_has_null_for_what_is_no_number(capsysbinary):
    writer = PredictionWriter(Path("-"), "jsonl", bar=False, data=None)
    writer.write_on_batch_end(ALONE, None, {"y": torch.tensor([torch.nan, torch.inf, 0.5])})
    rows = [json.loads(line, parse_constant=pytest.fail) for line in capsysbinary.readouterr().out.splitlines()]
    assert [row["y"] for row in rows] == [None, None, 0.5]
