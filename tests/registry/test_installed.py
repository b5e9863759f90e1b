"""What is found agrees with importlib.metadata, of whatever is installed here and of what installers write."""

import re
import sys
from importlib import metadata

import pytest

from dlplug.registry.installed import Distribution, distributions, entry_points, normalized


def test_it_agrees_with_importlib():
    found = distributions()
    known = {normalized(dist.name): dist for dist in reversed([*metadata.distributions()]) if dist.name}
    assert known.keys() <= found.keys()
    assert all(found[name].version == dist.version for name, dist in known.items())
    ours = {(entry_point.name, entry_point.value) for entry_point in entry_points(found)}
    assert ours == {(entry_point.name, entry_point.value) for entry_point in metadata.entry_points(group="dlplug")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[dlplug]\na = b\n", {"a": "b"}),
        ("[x]\na = b\n\n[ dlplug ]\r\n# no\n; no\na.b=c.d:e [extra]\n[y]\nf = g", {"a.b": "c.d:e"}),
        ("[dlplug]\nnothing\n", {"nothing": ""}),
        ("a = b\n", {}),
        ("", {}),
    ],
)
def test_entry_points(tmp_path, text, found):
    (tmp_path / "entry_points.txt").write_text(text, newline="")
    assert {entry.name: entry.value for entry in Distribution(str(tmp_path)).entry_points} == found


@pytest.mark.parametrize("folder", ["A_b-1.dist-info", "a.B-1.egg-info", "A_b.egg-info"])
def test_the_first_of_a_name_is_the_one(tmp_path, monkeypatch, folder):
    for place in (tmp_path / "1", tmp_path / "2"):
        (place / folder).mkdir(parents=True)
        (place / folder / "PKG-INFO").write_bytes(b"Name: A.b\nVersion: \xff" + place.name.encode())
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("1", "2", "nowhere")])
    [(name, dist)] = distributions().items()
    assert (name, dist.origin) == ("a_b", "A.b \ufffd1")
    assert re.fullmatch(".*1", dist.version)
