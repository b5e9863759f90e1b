"""A stranger's claims through the real command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import own
import pytest

from dlplug.claims import Evidence, Measure

SPECS = """
from dlplug import ClaimSpec, ModelSpec, MutantSpec, hookimpl
@hookimpl
def dlplug_specs():
    names = ["holding", "again", "failing", "toothless", "raising", "dying"]
    specs = [ClaimSpec(n, f"claimed:{n}", f"This one is {n}.", lecture="9.1", models=("own",)) for n in names]
    specs += [ClaimSpec("placed", "claimed:placed", "This one knows its place.", lecture="10", why="It does.")]
    specs += [ClaimSpec("one", "claimed:one", "One is one.", lecture="10")]
    fault = {"models": ("own",), "old": "return 1", "new": "return 0"}
    specs += [MutantSpec("zero", "claimed:answer", "One is none.", caught_by=("one",), **fault)]
    specs += [MutantSpec("unseen", "claimed:answer", "One is none.", **fault)]
    specs += [ModelSpec("own", "own:OwnModel", "Own.")]
    return [*specs, ClaimSpec("long", "claimed:holding", "This one takes long.", lecture="9.10", full=True)]
"""

CLAIMS = """
import os
from dlplug.claims import Evidence, Measure
from dlplug.media import Figure, Text
from dlplug.plots import plot_curves

def rate(lab, lr):
    options = ("--data=own.OwnData", f"--model.lr={lr}", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=4")
    trained = [lab.fit("own.OwnModel", *options, seed=seed) for seed in lab.seeds]
    assert all(lab.test(t)["test/loss"] > 0 for t in trained)
    return Measure("learning rate", [t.history("train/lr")[0] for t in trained], ">=", 0.01, "none 0")

def holding(lab):
    return Evidence([rate(lab, 0.1)], [rate(lab, 1e-9)], {"a/figure": Text("seen")}, note="A note.")

def again(lab):
    return Evidence([rate(lab, 0.1)], [rate(lab, 1e-9)])

def placed(lab):
    here = lab.registry.find("model", "own").target == "claimed:Other"
    figures = {"a/curve": Figure(plot_curves([1, 2], {"one": [1, 2]}, "x", "y"))}
    nowhere = Measure("nowhere", [0], ">=", 1, exact=True)
    return Evidence([Measure("here", [here], ">=", 1, exact=True)], [nowhere], figures)

class Other:
    pass

def answer():
    return 1

def one(lab):
    return Evidence([Measure("one", [answer()], ">=", 1)], [Measure("none", [0], ">=", 1)])

def failing(lab):
    return Evidence([Measure("one", [1.0], ">=", 2)], [Measure("zero", [0.0], ">=", 2, exact=True)])

def toothless(lab):
    return Evidence([Measure("one", [1.0], ">=", 0)], [Measure("two", [2.0], ">=", 0)])

def raising(lab):
    "To see what happens."
    raise RuntimeError("no luck")

def dying(lab):
    os._exit(7)
"""


@pytest.fixture
def verify(tmp_path):
    (tmp_path / "claimed.py").write_text(CLAIMS)
    (tmp_path / "stranger.py").write_text(SPECS)
    shutil.copy(Path(own.__file__), tmp_path)
    info = tmp_path / "stranger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dlplug]\nstranger = stranger\n")

    def verify(*args):
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        line = [sys.executable, "-m", "dlplug", *args]
        return subprocess.run(
            line,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "DLPLUG_ONLY": "stranger"},
            capture_output=True,
            text=True,
        )

    return verify


def test_each_claim_is_measured_and_none_stops_the_others(verify, tmp_path):
    result = verify("verify", "9", "--seeds", "2", "--json", "found.json", "--jobs", "2")
    assert result.returncode == 1, result.stderr
    lines = dict(line.split(":", 1) for line in result.stdout.splitlines() if ":" in line)
    assert "This one is holding.  [learning rate 0.1 ± 0, bound 0.1 (>= 0.01" in lines["holds  9.1 holding"]
    assert ">= 0.01, none 0); control: learning rate 1e-09" in lines["holds  9.1 holding"]
    assert "one 1, no bound (>= 2); control: zero 0" in lines["FAILS  9.1 failing"]
    assert "FAILS  9.1 toothless" in lines  # its control passes: it could not have failed
    assert "RuntimeError: no luck" in lines["FAILS  9.1 raising"]
    assert "ended with status 7" in lines["FAILS  9.1 dying"]
    assert "2 of 6 hold; not" in result.stdout
    assert "6 of 6: " in result.stderr  # what runs, and how many there are
    found = {claim["name"]: claim for claim in json.loads((tmp_path / "found.json").read_text())}
    assert len(found["holding"]["measures"][0]["values"]) == 2
    page = (tmp_path / "runs" / "verify" / "report.html").read_text()
    assert "2 of 6 claims hold" in page
    for seen in ("This one is failing.", "learning rate", "A note.", "no luck", "not shown to fail"):
        assert seen in page
    folder = tmp_path / "runs" / "verify" / "holding"
    assert (folder / "a%2Ffigure.txt").read_text() == "seen"
    runs = tmp_path / "runs" / "verify" / ".runs"
    assert len(list(runs.glob("*/own/*/config.yaml"))) == 4  # of two claims that train the same
    assert found["holding"]["measures"] == found["again"]["measures"]
    assert "no luck" in (tmp_path / "runs" / "verify" / "raising" / "log.txt").read_text()

    resumed = verify("verify", "holding", "failing", "raising", "--seeds", "2", "--resume", "--json", "again.json")
    assert "1 of 1: raising" in resumed.stderr  # the others were measured with this code
    kept = {claim["name"]: claim for claim in json.loads((tmp_path / "again.json").read_text())}
    assert kept["holding"] == found["holding"]
    (tmp_path / "claimed.py").write_text(CLAIMS + "\n")
    assert "1 of 1: failing" in verify("verify", "failing", "--seeds", "2", "--resume").stderr
    assert not list(runs.glob("*/own"))  # of other code


def test_a_class_takes_a_models_place(verify, tmp_path):
    assert verify("verify", "placed").returncode == 1
    placed = verify("verify", "placed", "--with", "own=claimed.Other", "--figures", "slides")
    assert placed.returncode == 0, placed.stdout + placed.stderr
    assert {path.name for path in (tmp_path / "slides").iterdir()} == {"placed-a-curve.png", "placed-a-curve.svg"}
    assert '"holds": false' in (tmp_path / "runs" / "verify" / "placed" / "evidence.json").read_text()  # left alone
    assert "there is no class 'claimed.None'" in verify("verify", "placed", "--with", "own=claimed.None").stderr


def test_claims_are_listed_and_chosen_without_running(verify):
    assert [line.split()[1] for line in verify("verify", "--list", "own").stdout.splitlines()] == [
        *("again", "dying", "failing", "holding", "raising", "toothless")
    ]
    assert "long" in verify("verify", "--list", "--full", "9.1", "9.10").stdout
    assert "long" in verify("verify", "--list", "long").stdout
    assert verify("verify", "--list", "9.2").returncode == 2
    assert "did you mean 'holding'" in verify("verify", "holdin").stderr
    assert "This one is raising." in verify("list", "claims").stdout
    card = verify("info", "raising").stdout
    assert "This one is raising." in card
    assert "how: To see what happens." in card
    assert "  why: It does.\n" in verify("info", "placed").stdout
    assert "try: dlplug verify raising" in card


def test_faults_are_planted_and_what_notices_them_is_said(verify, tmp_path):
    source = (tmp_path / "claimed.py").read_text()
    result = verify("verify", "--mutants", "--json", "found.json")
    assert "found by the claim one  zero: One is none.  [one 0 (>= 1)]\n" in result.stdout
    assert "MISSED  unseen: One is none." in result.stdout
    assert result.stdout.endswith("1 of 2 faults are noticed\n")
    assert result.returncode == 1
    assert [fault["by"] for fault in json.loads((tmp_path / "found.json").read_text())] == ["the claim one", ""]
    assert (tmp_path / "claimed.py").read_text() == source
    assert "zero" not in verify("list").stdout
    assert "did you mean 'zero'" in verify("verify", "--mutants", "zer").stderr


def test_a_measure_holds_by_its_bound_and_not_by_its_mean():
    measure = Measure("m", [1.0, 2.0, 3.0], ">=", 0.3)  # t of 2 degrees of freedom: 2 - 2.920 / 3 ** .5 = .314
    assert measure.interval == pytest.approx((0.3141, 3.6859), abs=1e-4)
    assert measure.holds
    assert not Measure("m", [1.0, 2.0, 3.0], ">=", 0.4).holds
    assert Measure("m", [1.0, 2.0, 3.0], ">=", 2).reached
    assert Measure("m", [1.0, 2.0, 3.0], "<=", 0.3).fails
    assert not Measure("m", [1.0, 2.0, 3.0], "<=", 1).fails
    assert not Measure("m", [1.0, float("nan")], ">=", 0).holds


def test_one_seed_shows_nothing_unless_it_is_exact():
    assert not Measure("m", [1.0], ">=", 0).holds
    assert not Measure("m", [1.0], ">=", 2).fails
    assert Measure("m", [1.0], ">=", 0, exact=True).holds
    assert Measure("m", [1.0], ">=", 2, exact=True).fails


def test_shares_have_the_exact_bound_of_all_cases():
    assert Measure("m", [1.0, 1.0], ">=", 0.9, trials=20).interval[0] == pytest.approx(0.05 ** (1 / 40))
    assert Measure("m", [0.0], "<=", 0.2, trials=20).interval == pytest.approx((0.0, 1 - 0.05 ** (1 / 20)))
    assert Measure("m", [0.5], ">=", 0.3, trials=100).holds


def test_evidence_without_a_control_is_refused():
    with pytest.raises(ValueError, match="needs a measure and a control"):
        Evidence([Measure("m", [1.0], ">=", 0)], [])
