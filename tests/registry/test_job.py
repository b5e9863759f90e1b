import pytest
import yaml

from dlplug import DataSpec, InputError, ModelSpec
from dlplug.registry import Plugin, Registry
from dlplug.registry.job import expand, model_of, parse_config
from dlplug.runs import Run

SPECS = (
    ModelSpec(
        "gan",
        "m.gan:GAN",
        "Draws.",
        takes="images",
        data="small",
        recipe={"trainer.max_epochs": 30, "model.betas": [0.5, 0.9]},
        recipes={"large": {"trainer.max_epochs": 3}, "large:red": {"trainer.max_epochs": 5}},
    ),
    ModelSpec("counter", "m.counter:Counter", "Counts.", takes="text"),
    DataSpec("small", "m.data:Small", "Few.", gives="images"),
    DataSpec("large", "m.data:Large", "Many.", gives="images", recipe_key="colour"),
    DataSpec("tweets", "m.data:Tweets", "Short.", gives="text"),
)


@pytest.fixture
def registry():
    registry = Registry()
    registry.plugins.append(Plugin("a", "dlplug-a 1.0", SPECS))
    return registry


SMALL = ["--model=m.gan.GAN", "--data=m.data.Small", "--trainer.max_epochs=30", "--model.betas=[0.5, 0.9]"]
LARGE = ["--model=m.gan.GAN", "--data=m.data.Large", "--trainer.max_epochs=3", "--model.betas=[0.5, 0.9]"]


@pytest.mark.parametrize(
    ("args", "expanded"),
    [
        (["--model", "gan"], [*SMALL, "--model=m.gan.GAN"]),
        (["--model=a:gan", "--data=large"], [*LARGE, "--model=m.gan.GAN", "--data=m.data.Large"]),
        (["--model.help", "gan", "--model", "gan"], [*SMALL, "--model.help=m.gan.GAN", "--model=m.gan.GAN"]),
        (["--model", "my.Own", "--model.depth", "3"], ["--model=my.Own", "--model.depth=3"]),
        (["--model", "{class_path: gan, init_args: {lr: 1}}"], [*SMALL, "--model=m.gan.GAN", "--model.lr=1"]),
    ],
)
def test_recipe_comes_first_and_names_become_class_paths(registry, args, expanded):
    assert expand("fit", args, registry).args == expanded


@pytest.mark.parametrize(
    ("args", "epochs"),
    [
        (["--data.colour", "red"], 5),
        (["--data.init_args.colour=red"], 5),
        (["-c", "red.yaml"], 5),
        (["-c", "red.yaml", "--data.colour=blue"], 3),
        ([], 3),
    ],
)
def test_recipe_is_refined_by_a_variant_of_the_data(registry, tmp_path, monkeypatch, args, epochs):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.yaml").write_text("data: {class_path: large, init_args: {colour: red}}")
    job = expand("fit", ["--model", "gan", "--data", "large", *args], registry)
    assert f"--trainer.max_epochs={epochs}" in job.args


def test_model_from_a_config_brings_its_data_and_recipe(registry, tmp_path):
    config = tmp_path / "exp.yaml"
    config.write_text("model: gan\ndata: {class_path: large}")
    job = expand("fit", ["--trainer.max_steps=1", "-c", str(config)], registry)
    assert job.args == [*LARGE, f"--config={config}", "--trainer.max_steps=1"]
    assert (job.model, job.chosen) == ("gan", {"model": "m.gan.GAN", "data": "m.data.Large"})


def test_later_config_wins_and_the_command_line_over_all(registry, tmp_path):
    for name, data in {"a": "small", "b": "tweets"}.items():
        (tmp_path / name).write_text(f"data: {data}")
    args = ["--model", "gan", "--data", "large", "-c", str(tmp_path / "a"), "-c", str(tmp_path / "b")]
    assert expand("fit", args, registry).chosen["data"] == "m.data.Large"
    with pytest.raises(InputError, match="gan takes images, but tweets gives text; data that fits: large, small"):
        expand("fit", args[:2] + args[4:], registry)


def test_a_run_folder_named_as_the_home_folder_is_itself(registry, tmp_path, monkeypatch):
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "config.yaml").write_text("model: {class_path: m.gan.GAN}")
    monkeypatch.chdir(tmp_path)
    assert expand("fit", ["~"], registry).args == [f"--config={tmp_path / '~' / 'config.yaml'}"]


@pytest.mark.parametrize("content", ["", "model: {init_args: {lr: 1}}", "model: 3"])
def test_a_run_whose_config_names_no_model_is_refused(registry, tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    for work in (lambda: expand("test", [str(tmp_path)], registry), lambda: model_of(Run(tmp_path), registry)):
        with pytest.raises(InputError, match=r"config\.yaml names no model"):
            work()


def test_run_folder_is_its_own_recipe(registry, tmp_path):
    (tmp_path / "config.yaml").write_text("model: {class_path: m.gan.GAN}\ndata: {class_path: m.data.Large}")
    job = expand("fit", [str(tmp_path), "--trainer.max_epochs=9"], registry)
    assert job.args == [f"--config={tmp_path / 'config.yaml'}", "--trainer.max_epochs=9"]
    assert not job.changed
    assert expand("fit", [str(tmp_path), "--model.lr=9"], registry).changed
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        expand("test", [str(tmp_path)], registry)
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    for name in ("last", "best"):
        (checkpoints / f"{name}.ckpt").touch()
    assert f"--ckpt_path={checkpoints / 'last.ckpt'}" in expand("fit", [str(tmp_path)], registry).args
    assert f"--ckpt_path={checkpoints / 'best.ckpt'}" in expand("test", [str(tmp_path)], registry).args


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: gna", "there is no model 'gna'; did you mean 'gan'"),
        ("model: [", "is not YAML, line 1"),
        ("model: gan\nday: 2020-13-45", "is not YAML: ValueError: month must be in 1..12"),
        ("model: gan\nn: " + "9" * 5000, "is not YAML: ValueError: Exceeds the limit"),
        ("when: !!timestamp x", "is not YAML: AttributeError"),
        ("- gan", "holds no options"),
        (b"\xff\xfe\x00", "cannot read the config"),
    ],
)
def test_bad_config_is_refused(registry, tmp_path, content, message):
    config = tmp_path / "exp.yaml"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        expand("fit", ["-c", str(config)], registry)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "needs a run folder or --model NAME"),
        (["--model"], "--model needs a value"),
        (["--model=gan", "--model.lr"], "--model.lr needs a value"),
        (["--model=gan", "--model.lr", "--trainer.max_epochs=1"], "--model.lr needs a value"),
        (["- a"], "- a is not a run folder: there is no such folder"),
        (["--model=gan", "-c", "nowhere.yaml"], "cannot read the config nowhere.yaml: No such file"),
        (["nowhere"], "nowhere is not a run folder: there is no such folder"),
        (["."], r"\. is not a run folder: it holds no config.yaml"),
        (["--model", "{class_path: 3}"], "--model takes a name, a class path, or .*; not {class_path: 3}"),
        (["--model", "{class_path: [gan"], "--model takes a name"),
        (["--model", "dlplug.model.Model", "--model.x=1"], "model Model has no option 'x'"),
        (["--model", "gan", "--trainer.max_epoch=1"], "trainer has no option 'max_epoch'; did you mean 'max_epochs'"),
    ],
)
def test_what_cannot_work_is_refused(registry, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        expand("fit", args, registry)


def test_parse_config(registry):
    def parsed(text):
        return parse_config(text, yaml.safe_load, registry)

    assert parsed("model: {class_path: gan, init_args: {z: 1}}\ndata: null") == {
        "model": {"class_path": "m.gan.GAN", "init_args": {"z": 1}},
        "data": None,
    }
    assert parsed("model: conf/gan.yaml") == {"model": "conf/gan.yaml"}
    assert parsed("gan") == "gan"


def test_relative_paths_of_a_run_count_from_where_it_was_made(registry, tmp_path, monkeypatch, capsys):
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "pictures").mkdir(parents=True)
    (here / "own").mkdir(parents=True)
    (here / "mine.py").touch()
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)
    options = {"root": "pictures", "other": "own", "lost": "nowhere", "size": 3}
    config = {"model": {"class_path": "mine.Model"}, "data": {"class_path": "mine.Data", "init_args": options}}
    run = Run.create(tmp_path / "runs", yaml.safe_dump(config), {"cwd": str(there)})
    (run.checkpoints).mkdir()
    (run.checkpoints / "last.ckpt").touch()
    args = expand("test", [str(run.path)], registry).args
    assert [arg for arg in args if arg.startswith("--data")] == [f"--data.root={there}/pictures"]
    assert f"relative paths count from {there}, where the run was made: --data.root" in capsys.readouterr().err
    config["model"]["class_path"] = "not_here.Model"
    run = Run.create(tmp_path / "runs", yaml.safe_dump(config), {"cwd": str(there)})
    with pytest.raises(InputError, match=f"no model not_here.Model: the run was made in {there}"):
        expand("test", [str(run.path)], registry)
