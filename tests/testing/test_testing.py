import json
import subprocess
import sys

import pytest

from dlplug.panels import COMMON, Panel
from dlplug.testing import check_panels

PANELS = (
    Panel("Fit", "Loss", "How far off.", curves=("loss", "top/5")),
    Panel("Fit", "Test", "How far off in the end.", curves=("final",)),
    Panel("Pictures", "Samples", "What it draws.", media="sam/ples"),
)


@pytest.fixture
def run(tmp_path):
    """A run in which all panels but the common ones have something to show."""
    (tmp_path / "config.yaml").touch()
    (tmp_path / "about.json").write_text(json.dumps({"panels": [panel.to_dict() for panel in (*PANELS, *COMMON)]}))
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/top/5\n0,1,2.0,\n")
    (tmp_path / "test.csv").write_text("epoch,step,test/final\n0,0,2.0\n")
    (tmp_path / "media" / "sam%2Fples").mkdir(parents=True)
    (tmp_path / "media" / "sam%2Fples" / "00000001.png").touch()
    return tmp_path


def test_full_panels_pass(run):
    check_panels(run)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("metrics.csv", "'Loss' lacks loss, top/5$"),
        ("test.csv", "'Test' lacks final$"),
        ("media/sam%2Fples/00000001.png", "'Samples' lacks sam/ples$"),
    ],
)
def test_empty_panels_are_named(run, file, message):
    (run / file).unlink()
    with pytest.raises(AssertionError, match=message):
        check_panels(run)


def test_misspelt_curve_is_named(run):
    (run / "metrics.csv").write_text("epoch,step,train/los,val/top/5\n0,1,2.0,\n")
    with pytest.raises(AssertionError, match="'Loss' lacks loss$"):
        check_panels(run)


def test_torch_free():
    code = "import sys, dlplug.testing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
