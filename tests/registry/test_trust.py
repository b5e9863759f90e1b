"""Which strings of a run's config are said to be imported."""

import pytest

from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.trust import check_trust


def config(path, **options):
    return {"data": {"class_path": "dlplug_sequence.data.text_table.TextTable", "init_args": {"path": path, **options}}}


def test_files_that_are_called_as_packages_are_no_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "photos").mkdir()  # a namespace package, to Python
    monkeypatch.setenv("DLPLUG_TRUST", "plugins")
    for path in ("test.csv", "photos.csv"):
        check_trust(config(path, label=[path]), "runs/x", Registry.discover())
    assert capsys.readouterr().err == ""


def test_what_may_be_imported_is_said_once_and_where_from(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "photos").mkdir()
    theirs = {"class_path": "dlplug_vision.models.cnn.CNN", "init_args": {"unknown": "photos.x.Net"}}
    for _ in range(2):
        check_trust({"model": theirs}, "runs/x", Registry.discover())
    assert capsys.readouterr().err == f"runs/x imports photos.x.Net from {tmp_path / 'photos'}\n"
    monkeypatch.setenv("DLPLUG_TRUST", "plugins")
    with pytest.raises(InputError, match=r"names photos\.x\.Net, which no plugin offers"):
        check_trust({"model": theirs}, "runs/x", Registry.discover())
