"""What a grade says: points, a line each, a page and Gradescope's JSON."""

import json

from dlplug import ModelSpec, MutantSpec
from dlplug.registry import Registry
from dlplug_classroom.exercise import planted, read_source, source_of
from dlplug_classroom.grade import Item, as_gradescope, as_page, find_fault
from dlplug_vision.models.cnn import CNN

SPEC = ModelSpec("cnn", "dlplug_vision.models.cnn:CNN", "Convolutions.")
FAULTS = [
    MutantSpec("elsewhere", "dlplug_vision.models.resnet:ResNet", "Freezes all.", models=("cnn",), old="a", new="b"),
    MutantSpec(
        "no-padding",
        SPEC.target,
        "Forgets the padding.",
        models=("cnn",),
        old="size + 2 * padding",
        new="size + padding",
    ),
]


def test_a_whole_file_gets_all_points(command, tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "my_cnn.py").write_text(source_of(CNN), encoding="utf-8")
    graded = command("grade", "ada/my_cnn.CNN", "--as", "cnn", "--claims", "layer-sizes", "--json", "results.json")
    assert graded.returncode == 0, graded.stdout + graded.stderr
    assert graded.stdout.splitlines()[-1] == "10.0 of 10 points; runs/grade/ada-my_cnn.CNN.html"
    found = json.loads((tmp_path / "results.json").read_text())
    assert (found["score"], len(found["tests"])) == (10, 1)
    page = (tmp_path / "runs" / "grade" / "ada-my_cnn.CNN.html").read_text()
    assert "layer-sizes" in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_cannot_be_graded_is_one_line(refused, tmp_path):
    assert "there is no file my_cnn.py; give FILE.Class" in refused("grade", "my_cnn.CNN", "--as", "cnn")
    (tmp_path / "my_cnn.py").write_text("class CNN\n")
    assert "my_cnn.py: " in refused("grade", "my_cnn.CNN", "--as", "cnn")
    (tmp_path / "my_cnn.py").write_text("class CNN: pass\n")
    assert "my_cnn.py has no class CMN; known: CNN" in refused("grade", "my_cnn.CMN", "--as", "cnn")
    assert "no claim about cnn is named 'layer-size'; did you mean 'layer-sizes'" in refused(
        "grade", "my_cnn.CNN", "--as", "cnn", "--claims", "layer-size"
    )
    assert "above 0" in refused("grade", "my_cnn.CNN", "--as", "cnn", "--minutes", "0")
    assert "--broken 99: cnn has " in refused("grade", "my_cnn.CNN", "--as", "cnn", "--broken", "99")
    assert "my_cnn.py is there already" in refused("exercise", "cnn", "my_cnn.py")
    assert "cannot be imported" in refused("exercise", "cnn", "my-cnn.py")


def test_a_page_that_cannot_be_written_is_one_line_after_the_points(command, tmp_path):
    (tmp_path / "my_cnn.py").write_text(planted(Registry.discover(), SPEC, 1)[0])
    graded = command("grade", "my_cnn.CNN", "--as", "cnn", "--broken", "1", "--page", tmp_path)
    assert (graded.returncode, graded.stderr) == (2, f"dlplug: cannot write {tmp_path}: Is a directory\n")
    assert "0.0 of 10 points" in graded.stdout


def test_a_fault_is_found_where_its_line_is_changed_and_little_else(tmp_path):
    text, fault = planted(FAULTS, SPEC, 1)  # the one in its own file
    assert fault.name == "no-padding"
    file = tmp_path / "my_cnn.py"

    def found(changed):
        file.write_text(changed, encoding="utf-8")
        return find_fault(FAULTS, SPEC, 1, file)

    assert (found(text).passed, found(text).score) == (False, 0)
    assert not found(text.replace("self.pool_every == 0", "self.pool_every == 1")).passed
    repaired = found(read_source(CNN))
    assert (repaired.passed, repaired.score) == (True, 10)
    assert "repaired as the course has it. Forgets the padding." in repaired.text
    other = found(text.replace("(size + padding", "(padding + size + padding"))
    assert other.passed
    assert "in another way" in other.text
    assert not found(read_source(CNN).replace("self.", "this.")).passed
    assert not found("").passed


def test_gradescope_gets_points_and_the_page_escapes():
    items = [Item("check trains", True, ""), Item("claim 3 x", False, "0.1 <b>should be</b> >= 0.5", 2.5)]
    found = as_gradescope(items, 3.4)
    assert found["score"] == 2.5
    assert found["tests"] == [
        {"number": "1", "name": "check trains", "status": "passed", "output": ""},
        {
            "number": "2",
            "name": "claim 3 x",
            "score": 2.5,
            "max_score": 10,
            "status": "failed",
            "output": "0.1 <b>should be</b> >= 0.5",
        },
    ]
    page = as_page("ada/<my>.CNN", "cnn", items)
    assert "ada/&lt;my&gt;.CNN" in page
    assert "&lt;b&gt;should" in page
    assert "2.5 of 10 points" in page
