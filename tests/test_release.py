"""A release that could go out: one version, all plugins in the extra, bounds with reasons."""

import re
import tomllib

from distributions import LECTURES, ROOT

PROJECTS = {
    path.parent.name: tomllib.loads(path.read_text())["project"] for path in ROOT.glob("plugins/*/pyproject.toml")
}
CORE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_all_distributions_have_one_version():
    versions = {CORE["version"], *(project["version"] for project in PROJECTS.values())}
    cited = re.search("^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited
    assert versions == {cited[1]}
    newest = re.search(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == CORE["version"]


def test_the_extra_lectures_is_all_plugins_with_models_of_this_version():
    major, minor, _ = map(int, CORE["version"].split("."))
    bound = f">={major}.{minor},<{major}.{minor + 1}"
    assert sorted(CORE["optional-dependencies"]["lectures"]) == sorted(f"{name}{bound}" for name in LECTURES)
