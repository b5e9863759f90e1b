"""What a dishonest file tries, and what comes of it."""

import textwrap
from pathlib import Path

import pytest
import torch

from dlplug.claims import Measure
from dlplug.data import ImageInfo
from dlplug.registry import Registry
from dlplug_classroom import sandbox
from dlplug_classroom.lab import GradingLab
from dlplug_classroom.sandbox import Limits, Ungraded, bubblewrap

SHORT = ("--data=digits", "--data.fold=0", "--model.channels=[4]", "--model.hidden=8", "--trainer.max_epochs=1")
HEAD = """
import os, socket, subprocess, sys
from pathlib import Path
import torch
import dlplug.claims
from dlplug_vision.models.cnn import CNN as Own

class CNN(Own):
"""
# Each line of it is an expression that gives a cheat what it wants, or raises.
ATTEMPTS = """
test_labels_of_the_data     self.trainer.datamodule.splits["test"][1]
labels_in_the_installation  __import__("sklearn.datasets").datasets.load_digits().target
memory_of_the_grader        open(f"/proc/{os.getppid()}/mem", "rb").read(1)
environment_of_the_grader   os.environ["SECRET"]
solution_beside_the_file    Path(FOLDER, "solution.py").read_text()
result_overwritten          Path(FOLDER, "grade.json").write_text("100 points")
lab_rewritten               open(dlplug.claims.__file__, "a").write("")
grader_killed               os.kill(GRADER, 9)
network                     socket.create_connection(("127.0.0.1", 9), timeout=1)
another_program             Path(FOLDER, subprocess.run(["cat", f"{FOLDER}/solution.py"], check=True).args[0]).name
"""


FORGERY = """
for fd in range(3, 30):
    try:
        os.write(fd, b'{"holds": true}' * 9)
    except OSError:
        pass
"""
WRONG = """
def network(self, info):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
"""
OTHER_OUTPUTS = """
def forward(self, inputs):
    return super().forward(inputs.flip(3))
"""


def submission(folder: Path, body: str, head: str = HEAD) -> Path:
    file = folder / "student.py"
    file.write_text(head + textwrap.indent(textwrap.dedent(body), "    "))
    return file


@pytest.fixture
def lab(tmp_path):
    """Return a function that makes a lab with a file's class in the place of ``cnn``."""
    made = []

    def make(body, head=HEAD, **limits):
        file = submission(tmp_path, body, head)
        made.append(GradingLab(Registry.discover(), tmp_path / "lab", [0], "cnn", file, "CNN", Limits(**limits)))
        made[0].folder.mkdir()
        return made[0]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("walls", ["bubblewrap", "nothing"])
def test_what_a_file_reaches_for_is_out_of_reach(walls, lab, tmp_path, monkeypatch):
    if walls == "bubblewrap" and not bubblewrap():
        pytest.skip("bubblewrap is not installed, or may not be used here")
    monkeypatch.setattr(sandbox, "bubblewrap", bubblewrap if walls == "bubblewrap" else lambda: "")
    monkeypatch.setenv("SECRET", "a key")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "solution.py").write_text("the solution")
    (tmp_path / "grade.json").write_text("0 points")
    source = Path(__import__("dlplug.claims").claims.__file__)
    before = source.read_bytes()
    attempts = [line.split(maxsplit=1) for line in ATTEMPTS.strip().splitlines()]
    tries = "".join(
        f"    try:\n        print('GOT', {name!r}, {code})\n    except BaseException as error:\n"
        f"        print('REFUSED', {name!r}, type(error).__name__)\n"
        for name, code in attempts
    )
    body = f"""
def on_fit_start(self):
    super().on_fit_start()
    dlplug.claims.Measure.holds = property(lambda self: True)  # the lab patched
    print('{{"holds": true, "score": 100}}')  # numbers printed
{tries}
def validation_step(self, batch, batch_idx):
    self.record(loss=torch.tensor(0.0), accuracy=torch.tensor(1.0))  # numbers logged

def on_validation_epoch_end(self):
    self.log("val/accuracy", 1.0)
"""
    head = f"FOLDER, GRADER = {str(tmp_path)!r}, {__import__('os').getpid()}\n{HEAD}"
    graded = lab(body, head).fit("cnn", *SHORT)

    said = (tmp_path / "lab" / "student.txt").read_text()
    assert "GOT" not in said
    assert said.count("REFUSED") == len(attempts)
    assert '"score": 100' in said  # a log, and nothing else
    assert (tmp_path / "grade.json").read_text() == "0 points"
    assert source.read_bytes() == before
    assert not Measure("no", [0.0], ">=", 1, exact=True).holds
    assert type(graded.model).__module__ == "dlplug_vision.models.cnn"
    assert graded.history("val/accuracy")[0] < 0.9
    images, labels = graded.data.prepare_batch(graded.data.splits["test"])
    with torch.no_grad():
        assert 0.2 < float((graded.model(images).argmax(1) == labels).float().mean()) < 0.9  # it was trained


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(0)", "nothing came back; its process ended with status 0"),
        (FORGERY, "came back|cannot be read"),
        (WRONG, "its weights are not those of CNN"),
        (OTHER_OUTPUTS, "with the same weights, its network computes other logits"),
    ],
    ids=["exits", "forges", "other-weights", "other-outputs"],
)
def test_nothing_comes_of_a_process_that_gives_no_weights(body, said, lab):
    with pytest.raises(Ungraded, match=said):
        lab(body).model("cnn", ImageInfo(1, 8, 8, 10))


@pytest.mark.slow("time has to pass; the others stay")
@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        ("while True:\n    pass", {"minutes": 0.3}, "status -"),
        ("kept = [torch.ones(2**27) for _ in range(64)]", {"memory": 2.0}, "memory|status -"),
    ],
    ids=["time", "memory"],
)
def test_time_and_memory_are_limited(body, limits, said, lab):
    with pytest.raises(Ungraded, match=said):
        lab(body, **limits).model("cnn", ImageInfo(1, 8, 8, 10))
