import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from dlplug import InputError
from dlplug.files import write_atomically
from dlplug.runs import Run


def test_ten_launches_at_once_make_ten_folders(tmp_path):
    with ThreadPoolExecutor(10) as pool:
        runs = list(pool.map(lambda i: Run.create(tmp_path / "gan", f"seed_everything: {i}", {}), range(10)))
    assert len({run.path for run in runs}) == 10
    assert sorted(run.config.read_text() for run in runs) == [f"seed_everything: {i}" for i in range(10)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?", run.path.name) for run in runs)
    assert len(list((tmp_path / "gan").iterdir())) == 10


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="cannot make a run folder in .*runs/gan: Not a directory"):
        Run.create(tmp_path / "runs" / "gan", "", {})


def test_best_is_last_where_the_model_names_no_monitor(tmp_path):
    run = Run.create(tmp_path, "", {})
    assert run.last is run.best is None
    write_atomically(run.checkpoints / "last.ckpt", b"1")
    assert run.best == run.last
    write_atomically(run.checkpoints / "best.ckpt", b"1")
    assert run.best.name == "best.ckpt"


def test_unused_run_is_discarded(tmp_path):
    run = Run.create(tmp_path / "gan", "", {})
    assert run.is_empty()
    write_atomically(run.path / "metrics.csv", b"1")
    assert not run.is_empty()
    run.discard()
    assert not (tmp_path / "gan").exists()


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a" / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_a_run_says_of_itself_in_other_types_is_left_out(tmp_path):
    told = {"panels": 3, "model": [], "commands": {}, "axis": None, "monitor": ["val/loss", "min"], "more": 1}
    (tmp_path / "about.json").write_text(json.dumps(told))
    assert Run(tmp_path).about == {"monitor": ["val/loss", "min"], "more": 1}


def test_what_comes_next_is_what_there_is(tmp_path):
    run = Run.create(tmp_path, "", {"generates": True})
    assert run.summary("fit", ["play"]).endswith("  (or generate, play, fit, validate, predict)")
    assert Run.create(tmp_path, "", {}).summary("fit").endswith("  (or fit, validate, predict)")
