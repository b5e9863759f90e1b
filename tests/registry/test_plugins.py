import subprocess
import sys
import types

import pytest

from dlplug import DataSpec, InputError, ModelSpec, hookimpl
from dlplug.registry import Registry
from dlplug.registry.installed import Distribution, EntryPoint

GAN = ModelSpec("gan", "m:GAN", "Draws.", takes="images")


class FakeDistribution(Distribution):
    def __init__(self, name, requires):
        super().__init__("")
        lines = [f"Requires-Dist: {line}" for line in requires]
        self.metadata_text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, "", ""])

    def read_text(self, name):
        return self.metadata_text if name == "METADATA" else ""


@pytest.fixture
def install(monkeypatch):
    """Return a function that installs a plugin with the given hooks."""
    installed = []
    monkeypatch.setattr("dlplug.registry.plugins.entry_points", lambda found: installed)

    def install(name, *requires, **hooks):
        module = types.ModuleType(f"{name}_plugin")
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        installed.append(EntryPoint(name, module.__name__, FakeDistribution(f"dlplug-{name}", requires)))

    return install


def half_an_answer():
    yield GAN
    raise KeyError("oops")


@pytest.mark.parametrize(
    ("requires", "hooks", "reason"),
    [
        ([], {"dlplug_specs": half_an_answer}, "KeyError: 'oops'"),
        ([], {"dlplug_specs": lambda: ["gan"]}, "gave 'gan', which is not a Spec"),
        ([], {"dlplug_specs": lambda: None}, "TypeError"),
        ([], {"dlplug_specs": lambda: [GAN, GAN]}, "gave the model 'gan' twice"),
        ([], {"dlplug_specs": lambda: sys.exit(3)}, "SystemExit: 3"),
        ([], {"dlplug_specz": lambda: [GAN]}, "unknown hook 'dlplug_specz'"),
        ([], {"dlplug_add_arguments": lambda parsr: None}, "can not be found in the hookspec"),
        (["dlplug>=99"], {}, "requires dlplug>=99, but dlplug is"),
        (["no-such-thing>=2"], {}, "requires no-such-thing>=2, which is not installed"),
    ],
)
def test_broken_plugin_is_set_aside(install, requires, hooks, reason):
    install("bad", *requires, **hooks)
    install("good", dlplug_specs=lambda: [GAN])
    registry = Registry.discover()
    assert list(registry) == [GAN]
    [problem] = registry.problems
    assert (problem.name, problem.origin) == ("bad", "dlplug-bad 1.0")
    assert reason in problem.problem
    assert "\n" not in problem.problem


def test_requirements_of_other_platforms_and_extras_do_not_count(install):
    install("good", "nothing; python_version < '3'", "nothing; extra == 'x'", "pluggy", dlplug_specs=lambda: [GAN])
    assert not Registry.discover().problems


def test_name_from_two_plugins_must_be_told_apart(install):
    install("a", dlplug_specs=lambda: [GAN])
    install("b", dlplug_specs=lambda: [ModelSpec("gan", "other:GAN", "Draws too."), DataSpec("gan", "m:D", "Drawn.")])
    registry = Registry.discover()
    with pytest.raises(InputError, match=r"a:gan \(m.GAN\) or b:gan \(other.GAN\)"):
        registry.find("model", "gan")
    assert registry.find("model", "b:gan").target == "other:GAN"
    assert registry.find("data", "gan").target == "m:D"


def test_unknown_name_gets_a_hint(install):
    install("a", dlplug_specs=lambda: [GAN])
    registry = Registry.discover()
    with pytest.raises(InputError, match="did you mean 'gan'"):
        registry.find("model", "GNA")
    with pytest.raises(InputError, match="gan is a model, not a data set"):
        registry.find("data", "gan")


def test_disabled_plugin_is_not_loaded(install, monkeypatch):
    install("a", dlplug_specs=lambda: [GAN])
    install("b", dlplug_specs=lambda: sys.exit())
    monkeypatch.setenv("DLPLUG_DISABLE", "a,b")
    assert not Registry.discover().plugins


def test_only_those_named_are_loaded_and_the_core(install, monkeypatch):
    for name in ("a", "b", "core"):
        install(name, dlplug_specs=lambda: [])
    install("c", dlplug_specs=lambda: sys.exit())
    monkeypatch.setenv("DLPLUG_ONLY", "a, b")
    monkeypatch.setenv("DLPLUG_DISABLE", "b")
    assert [plugin.name for plugin in Registry.discover().plugins] == ["a", "core"]


def test_fitting_data(install):
    images, text = DataSpec("d", "m:D", "Images.", gives="images"), DataSpec("t", "m:T", "Text.", gives="text")
    install("a", dlplug_specs=lambda: [GAN, images, text])
    assert Registry.discover().fitting(GAN) == ["d"]


def test_second_plugin_of_a_name_leaves_the_first_its_hooks(install):
    install("a", dlplug_specs=lambda: [GAN], dlplug_callbacks=lambda: [])
    install("a", dlplug_specs=lambda: [GAN], dlplug_callbacks=lambda: [])
    registry = Registry.discover()
    assert [plugin.problem for plugin in registry.plugins] == ["", "another plugin has this name"]
    assert [name for name, _ in registry.hooks("dlplug_callbacks")] == ["a"]


def test_our_own_requirements_are_read_without_the_slow_parser():
    code = "import sys; from dlplug.registry import Registry; Registry.discover(); sys.exit('packaging' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_class_stands_in_the_place_of_a_model(install, monkeypatch):
    install("a", dlplug_specs=lambda: [GAN, DataSpec("d", "m:D", "Images.", gives="images")])
    monkeypatch.setenv("DLPLUG_WITH", "gan=my_file.Net")
    registry = Registry.discover()
    placed = registry.find("model", "gan")
    assert (placed.class_path, placed.takes, registry.owner(placed).name) == ("my_file.Net", "images", "a")
    for wrong, said in (("gna=my_file.Net", "did you mean 'gan'"), ("gan=Net", "such as gan=my_file.Net")):
        monkeypatch.setenv("DLPLUG_WITH", wrong)
        with pytest.raises(InputError, match=said):
            Registry.discover()
