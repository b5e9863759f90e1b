"""What `dlplug new` refuses; that what it writes works is tested in test_installation.py."""

import ast
import tomllib
from pathlib import Path

import pytest
import yaml

from dlplug.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "the following arguments are required: NAME"),
        (("My_Net",), "'My_Net' is not a name: lower-case letters, digits and single hyphens, such as my-net"),
        (("a--b",), "'a--b' is not a name"),
        (("a-",), "'a-' is not a name"),
        (("../up",), "'../up' is not a name"),
        (("class",), "'class' means something else in the files of a plugin"),
        (("plugin",), "'plugin' means something else in the files of a plugin"),
        (("gan",), "the model 'gan' is offered by dlplug-generative 0.2.0 already"),
        (("digits", "--kind=model"), "the data 'digits' is offered by dlplug-vision 0.2.0 already"),
        (("vision",), "a plugin 'vision' is installed already, by dlplug-vision 0.2.0"),
        (("core",), "a plugin 'core' is installed already, by dlplug 0.2.0"),
        (("report", "--kind=command"), "the command 'report' is offered by dlplug 0.2.0 already"),
        (("sketch", "--kind=pet"), "argument --kind: invalid choice: 'pet'"),
        (("sketch", "full"), "the folder full is not empty"),
        (("sketch", "full/file"), "cannot write to full/file: Not a directory"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], message: str) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    assert main(["new", *args]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "full"]


@pytest.mark.parametrize("kind", ["model", "data", "claim", "command"])
def test_every_file_is_what_its_name_says(folder: Path, kind: str) -> None:
    """In an empty repository too, and with a name of the template's own words."""
    (folder / "here" / ".git").mkdir(parents=True)
    assert main(["new", "my-gitignore2", "here", "--kind", kind]) == 0
    files = [path for path in (folder / "here").rglob("*") if path.is_file()]
    names = {str(path.relative_to(folder / "here")) for path in files}
    assert names >= {".gitignore", ".github/workflows/test.yml", "README.md", "pyproject.toml"}
    assert {f"src/dlplug_my_gitignore2/{name}.py" for name in ("plugin", "my_gitignore2")} <= names
    assert "tests/test_my_gitignore2.py" in names
    for path in files:
        text = path.read_text()
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), path
        match path.suffix:
            case ".py":
                ast.parse(text)
                assert all(len(line) <= 120 for line in text.splitlines()), path
            case ".toml":
                assert tomllib.loads(text)["project"]["name"] == "dlplug-my-gitignore2"
            case ".yml":
                assert yaml.safe_load(text)["jobs"]["test"]["strategy"]
        assert ("${{ matrix.python }}" in text) == (path.suffix == ".yml")
        assert path.suffix == ".yml" or "{{" not in text
