"""Tables whose values have names: JSON lines, Parquet, and what Hugging Face's datasets save."""

import json
import sys

import pytest

from dlplug.errors import InputError
from dlplug.tables import BadRows, read_header, read_table
from dlplug_sequence.data.parallel_text import ParallelText
from dlplug_sequence.data.text_inputs import text_inputs
from dlplug_sequence.data.text_table import TextTable

ROWS = [
    {
        "text": f"day {i}, {('bad', 'good')[i % 2]}",
        "label": ("neg", "pos")[i % 2],
        "pair": {"en": f"{i}", "fr": f"n° {i}"},
    }
    for i in range(30)
]


def read(path, *columns):
    bad = BadRows(path, skip=False)
    rows = [cells for _, cells in read_table(bad, *columns)]
    bad.settle()
    return rows


def json_lines(path, rows=ROWS):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=7)
    return path


def saved_data_set(path):
    """Write what ``datasets.Dataset.save_to_disk`` does, in two parts, with classes by number."""
    pyarrow = pytest.importorskip("pyarrow")
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    rows = [row | {"label": int(row["label"] == "pos")} for row in ROWS]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(metadata)
    path.mkdir()
    parts = {"a.arrow": table[20:], "b.arrow": table[:20]}
    for name, part in parts.items():
        with pyarrow.ipc.new_stream(str(path / name), table.schema) as stream:
            stream.write_table(part)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "b.arrow"}, {"filename": "a.arrow"}]}))
    return path


@pytest.mark.parametrize(
    ("make", "name"),
    [(json_lines, "t.jsonl"), (parquet, "t.PARQUET"), (saved_data_set, "saved")],
    ids=["json", "parquet", "saved"],
)
def test_records_are_tables(tmp_path, make, name):
    path = make(tmp_path / name)
    assert read_header(BadRows(path, skip=False)) == ["text", "label", "pair.en", "pair.fr"]
    assert TextTable(str(path)).read() == [(row["text"], row["label"]) for row in ROWS]
    pairs = ParallelText(str(path), columns=["pair.en", "pair.fr"]).pairs()
    assert sorted(pair for part in pairs.values() for pair in part) == sorted((f"{i}", f"n° {i}") for i in range(30))
    with pytest.raises(InputError, match=r"has the columns text, label, pair\.en, pair\.fr: give two"):
        ParallelText(str(path)).setup()
    with pytest.raises(ValueError, match=r"has no column 'stars'; it has text, label, pair\.en"):
        read(path, "stars")
    found = text_inputs(str(path), lambda text: (text,), "text")
    assert [sample() for _, sample in found] == [(row["text"],) for row in ROWS]
    assert text_inputs(str(path), lambda text: (text,), "")[3][1]() == (ROWS[3]["text"],)


def test_cells_of_records(tmp_path):
    rows = [{"a": None, "b": [1, "x"], "c": True, "d": 1.5}, {"d": float("nan"), "b": [], "e": 2}]
    assert read(json_lines(tmp_path / "t.jsonl", rows)) == [["", "1;x", "1", "1.5"], ["", "", "", ""]]


def test_bad_lines_are_named_at_once(tmp_path):
    path = json_lines(tmp_path / "t.jsonl", [ROWS[0], "{", "", "[1]", '{"text": "\\ud800"}'])
    with pytest.raises(ValueError, match=r"t\.jsonl, line 2: not a JSON object.*; line 4: .*; line 5: "):
        read(path)


def test_what_is_missing_or_damaged_is_one_line(tmp_path, monkeypatch):
    path = parquet(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"^cannot read .*t\.parquet: .+"):
        read(path)
    (tmp_path / "both" / "train").mkdir(parents=True)
    (tmp_path / "both" / "dataset_dict.json").write_text("{}")
    with pytest.raises(ValueError, match="holds the data sets train: give one of them, such as .*both/train"):
        read(tmp_path / "both")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"t\.parquet: .*pip install 'dlplug\[arrow\]'"):
        TextTable(str(path)).setup()
