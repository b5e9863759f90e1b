import textwrap

import pytest

from dlplug.registry.source import UNREAD, data_beside, defines, read_class

MODULE = '''
"""A module that must not be imported."""
import base_of_all as b
from base_of_all import Base, nothing_here
raise RuntimeError("imported")

class Own(Base):
    """One line.

    More.

    Args:
        width: Of the thing,
            in metres.
        kind: Which.
    """
    def __init__(self, width: int, kind: "str | None" = None, *, flag: bool = False, **kwargs) -> None: ...

class Both(Own, b.Base2):
    """Of two."""

class Plain(b.Base):
    def __init__(self, x=1): ...

class Inherits(Base):
    """Nothing of its own."""

class Lost(nothing_here.Base):
    def __init__(self, x: int, **kwargs): ...

def data(n: int = 3):
    """Data.

    Args:
        n: How many.
    """
'''
LIGHTNING = """
import lightning as L
from unimported_package.inner import Lost
class Net(L.LightningModule):
    train_dataloader = make_loader
    def test_dataloader(self): ...
class Further(Net): ...
class Unknown(Lost): ...
class Points(L.LightningDataModule): ...
"""
BASE = '''
class Base:
    """A base.

    Args:
        depth: How deep.
    """
    def __init__(self, depth: int = 3, width: float = 0.5): ...

class Base2:
    def __init__(self, width: str, height: int = 1): ...
'''


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    package = tmp_path / "unimported_package"
    package.mkdir()
    (package / "__init__.py").write_text("from unimported_package.inner import Own as Renamed\nraise RuntimeError\n")
    (package / "inner.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "base_of_all.py").write_text(textwrap.dedent(BASE))
    (package / "modules.py").write_text(LIGHTNING)
    monkeypatch.syspath_prepend(tmp_path)


def arguments(class_path):
    return [(a.name, a.type, a.default, a.help) for a in read_class(class_path).arguments]


def test_own_and_inherited_arguments():
    assert arguments("unimported_package.inner.Own") == [
        ("width", "int", None, "Of the thing, in metres."),
        ("kind", "'str | None'", "None", "Which."),
        ("flag", "bool", "False", ""),
        ("depth", "int", "3", "How deep."),
    ]
    assert arguments("unimported_package.inner.Plain") == [("x", "", "1", "")]
    assert [name for name, *_ in arguments("unimported_package.inner.Inherits")] == ["depth", "width"]
    both = [("width", "int"), ("kind", "'str | None'"), ("flag", "bool"), ("depth", "int"), ("height", "int")]
    assert sorted((name, kind) for name, kind, *_ in arguments("unimported_package.inner.Both")) == sorted(both)


def test_class_is_found_where_it_is_reexported():
    assert read_class("unimported_package.Renamed") == read_class("unimported_package.inner.Own")


def test_what_cannot_be_read():
    assert read_class("unimported_package.inner.Missing") is UNREAD
    assert read_class("no_such_module.Class") is UNREAD
    assert read_class("math.Class") is UNREAD
    assert not read_class("unimported_package.inner.Lost").complete


def test_functions_have_arguments_too():
    assert arguments("unimported_package.inner.data") == [("n", "int", "3", "How many.")]


def test_what_a_class_defines_besides_lightnings_own():
    module = "unimported_package.modules"
    found = {name: defines(f"{module}.Further", f"{name}_dataloader") for name in ("train", "val", "test")}
    assert found == {"train": True, "val": False, "test": True}
    assert defines(f"{module}.Unknown", "val_dataloader")  # as far as is known
    assert data_beside(f"{module}.Net") == [f"{module}.Points"]


def test_trainer_can_be_read():
    source = read_class("lightning.pytorch.trainer.trainer.Trainer")
    assert source.complete
    assert {"max_epochs", "precision", "strategy"} <= {argument.name for argument in source.arguments}
