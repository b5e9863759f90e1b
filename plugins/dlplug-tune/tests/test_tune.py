"""``dlplug tune``: what it searches and leaves, and that nothing which ends it loses anything."""

import json
import os
import re
import signal
import time
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from dlplug.__main__ import main
from dlplug.loggers.csv import read_metrics
from dlplug.processes import start_fit
from dlplug.runs import Run
from dlplug.runs_index import read_entries
from dlplug.testing.commands import start_command
from dlplug_tune.study import open_storage

LINE = ["tune", "--model=bowl.Bowl", "--data=bowl.Points", "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
LINE += ["--trainer.num_sanity_val_steps=0", "--study=st"]
X = ["--space", "model.x=float:0:1"]


def trials(place: Path, storage: str = "") -> list[optuna.trial.FrozenTrial]:
    storage = storage or str(place / "runs" / "st" / "journal.log")
    return optuna.load_study(study_name="st", storage=open_storage(storage)).trials


def states(place: Path) -> list[str]:
    return sorted(trial.state.name for trial in trials(place))


def test_what_it_leaves_and_that_it_goes_on(place, capfd):
    line = [*LINE, *X, "model.n=[1,3]", "--seeds=0-1", "--jobs=2"]
    assert main([*line, "--trials=3"]) == 0
    out = capfd.readouterr().out
    folder = place / "runs" / "st"
    assert {path.name for path in (folder / "bowl").iterdir() if path.is_dir()} == {
        f"trial{number}-seed{seed}" for number in range(3) for seed in (0, 1)
    }
    first, *others = trials(place)
    assert first.params == {"model.x": 0.5, "model.n": "3"}  # the recipe's, here the defaults
    assert first.value == pytest.approx(0.2 + 0.005)
    best = min([first, *others], key=lambda trial: trial.value)
    assert f"best of 3: val/loss {best.value:.4g} in trial {best.number}" in out
    text = (folder / "best.yaml").read_text()
    assert "# data: bowl.Points: what is chosen is chosen on its validation data\n# by: val/loss (min)\n" in text
    assert re.search(r"^# trials: 3 complete\n# time: \d+ s", text, re.MULTILINE)
    assert yaml.safe_load(text)["model"]["init_args"]["x"] == pytest.approx(best.params["model.x"], rel=1e-3)
    page = (folder / "report.html").read_text()
    assert page.count('<div class="chart"') >= 3
    outside = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall('(?:src|href)="(?!#|bowl/)', outside)

    assert main([*line, "--trials=3"]) == 0
    assert len(trials(place)) == 3
    assert main([*line, "--trials=4"]) == 0
    assert len(trials(place)) == 4
    assert len(re.findall(r"^trial ", capfd.readouterr().err, re.MULTILINE)) == 1
    assert main(["runs", "--by=study"]) == 0
    assert re.search(r"^trial\d-seed\d .* st .* 8$", capfd.readouterr().out, re.MULTILINE)

    assert main(["fit", "-c", str(folder / "best.yaml"), "--run=again"]) == 0
    [again] = place.glob("runs/bowl/again/metrics.csv")
    assert "dlplug-tune" not in again.with_name("config.yaml").read_text()
    losses = [float(row["val/loss"]) for row in read_metrics(again) if row.get("val/loss")]
    assert min(losses) == pytest.approx(min(trial.value for trial in trials(place)))


def test_one_worker_alone_searches_the_same_again(place):
    for study in ("one", "two"):
        assert main([*LINE[:-1], *X, f"--study={study}", "--trials=3"]) == 0
    found = [
        optuna.load_study(study_name=study, storage=open_storage(f"runs/{study}/journal.log")).trials
        for study in ("one", "two")
    ]
    assert [trial.params for trial in found[0]] == [trial.params for trial in found[1]]
    assert len({trial.params["model.x"] for trial in found[0]}) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_ends_it_loses_nothing(place, number):
    line = [*LINE, *X, "--jobs=2", "--trials=3", "--model.slow=0.15", "--trainer.max_epochs=30"]
    process = start_command(*line, folder=place)
    while len([path for path in place.glob("runs/st/bowl/*/timing.csv") if path.read_text().count("\n") > 3]) < 2:
        time.sleep(0.05)
        assert process.is_alive()
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    while any(Run(path.parent).is_trained() for path in place.glob("runs/st/bowl/*/config.yaml")):
        time.sleep(0.1)
    done = {path: path.read_text() for path in place.glob("runs/st/bowl/*/timing.csv")}
    assert len(done) == 2
    with open(place / "runs" / "st" / "journal.log", "a") as journal:
        journal.write('{"op_code":')  # as where the disk is full

    assert main(line) == 0
    assert all(path.read_text().startswith(text.rpartition("\n")[0]) for path, text in done.items())
    numbers = (0, 1, 4)  # 2 and 3 are those by which 0 and 1 went on
    names = {f"trial{number}-seed0" for number in numbers}
    assert {(entry.name, entry.state) for entry in read_entries(place / "runs")} == {(name, "done") for name in names}
    for name in names:
        rows = read_metrics(place / "runs" / "st" / "bowl" / name / "metrics.csv")
        assert [row["epoch"] for row in rows if row.get("val/loss")] == [*map(str, range(30))]
    assert states(place) == ["COMPLETE"] * 3 + ["FAIL"] * 2
    values = {trial.user_attrs.get("run", trial.number): trial.values for trial in trials(place) if trial.values}
    assert sorted(values) == [*numbers]


def test_two_processes_share_a_journal(place):
    line = [*LINE, *X, "--trials=6"]
    folders = [place, place.with_name(f"{place.name}.second")]
    folders[1].symlink_to(place)
    workers = [start_command(*line, folder=folder) for folder in folders]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert states(place) == ["COMPLETE"] * 6
    assert len({trial.params["model.x"] for trial in trials(place)}) == 6
    said = [folder.with_name(f"{folder.name}.err").read_text() for folder in folders]
    assert [text.count("\ntrial ") for text in said] == [3, 3] or all("\ntrial " in text for text in said)


def test_a_trial_that_fails_is_a_line_and_the_study_goes_on(place, capfd):
    line = [*LINE, "--space", "model.kind=[sound,broken,endless]", "model.x=[0.3,0.5]", "--sampler=grid"]
    assert main([*line, "--trials=5"]) == 0
    out, said = capfd.readouterr()
    assert states(place) == ["COMPLETE"] * 2 + ["FAIL"] * 3 + ["WAITING"]
    failed = [text for text in said.splitlines() if "failed" in text]
    assert len(failed) == 3
    assert "trial 4: failed: val/loss is no finite number where val/loss is best; see runs/st/bowl/trial4" in failed[2]
    assert re.fullmatch(
        r"trial \d: failed: RuntimeError: it is broken; see runs/st/trial\d-seed0.log \(kind broken, x 0.\d\)",
        failed[0],
    )
    assert "it is broken" in (place / "runs" / "st" / "report.html").read_text()
    assert "best of 2: val/loss 0.005 in trial 0" in out


def test_where_every_trial_fails_it_ends(place, capfd):
    assert main([*LINE, *X, "--model.kind=broken"]) == 2
    assert "dlplug: 3 trials failed and none was completed" in capfd.readouterr().err
    assert len(trials(place)) == 3


def test_a_full_disk_ends_it_and_it_goes_on(place, capfd):
    line = [*LINE, *X, "--trials=1"]
    model = place / "bowl.py"
    model.write_text(model.read_text().replace('== "full"', '!= "full"'))
    assert main(line) == 2
    assert "trial 0: No space left on device" in capfd.readouterr().err
    model.write_text(model.read_text().replace('!= "full"', '== "full"'))
    assert main(line) == 0
    assert states(place) == ["COMPLETE", "FAIL"]


def test_trials_that_fall_behind_are_ended(place, capfd):
    line = [*LINE, "--space", f"model.x={json.dumps([0.3 + 0.01 * n for n in range(5)] + [0.9])}", "--sampler=grid"]
    assert main([*line, "--prune=median", "--trainer.max_epochs=6"]) == 0
    last = trials(place)[-1]
    assert last.state == TrialState.PRUNED
    assert last.user_attrs["pruned"] == 1
    assert "trial 5: pruned after epoch 1" in capfd.readouterr().err
    entries = {entry.name: (entry.state, entry.epochs) for entry in read_entries(place / "runs")}
    assert entries["trial5-seed0"] == ("pruned", 1)
    assert entries["trial4-seed0"] == ("done", 6)


@pytest.mark.slow("imports torch once more: Lightning's launcher starts a second process; one alone is pruned by day")
def test_two_devices_are_pruned_together(place):
    storage = str(place / "journal.log")
    study = optuna.create_study(storage=open_storage(storage), study_name="st")
    for _ in range(5):
        study.add_trial(optuna.create_trial(value=0.1, intermediate_values={epoch: 0.1 for epoch in range(6)}))
    told = {"storage": storage, "study": "st", "trial": study.ask()._trial_id, "metric": "val/loss"}
    line = [*LINE[1:-1], "--model.x=0.9", "--trainer.max_epochs=6", "--trainer.devices=2", "--trainer.strategy=ddp"]
    process = start_fit([*line, "--run=two"], place / "two.log", DLPLUG_TRIAL=json.dumps(told))
    process.join()
    assert process.exitcode == 0, (place / "two.log").read_text()
    assert open_storage(storage).get_all_trials(0)[-1].user_attrs == {"pruned": 1}
    assert (place / "runs" / "bowl" / "two" / "timing.csv").read_text().count("\n") == 2


def test_several_objectives(place, capfd):
    line = [*LINE, "--space", "model.n=[1,2]", "model.x=[0.3,0.5]", "--sampler=grid"]
    assert main([*line, "--objective", "val/loss", "val/size:min", "seconds"]) == 0
    out, _ = capfd.readouterr()
    assert re.search(r"best of 4: val/loss 0.005, val/size 1, seconds [\d.e-]+ in trial 0", out)
    assert all(trial.values[1] == int(trial.params["model.n"]) and trial.values[2] > 0 for trial in trials(place))
    assert "Trade-off" in (place / "runs" / "st" / "report.html").read_text()


REFUSED = [
    ([], "bowl names no options to search: --space"),
    ([*X, "--model.x=0.2"], "--model.x is given, and so is a range of it"),
    (["--space", "model.xx=float:0:1"], "has no option 'xx'; did you mean 'x'?"),
    (["--space", "model.x=flaot:0:1"], "'flaot:0:1' is no range, such as"),
    (["--space", "x=float:0:1"], "'x' is no option to search"),
    (["--space", "model.n=float:1:4.5"], "model.n"),
    (["--space", "model.n=int:0:4"], "n must be at least 1, not 0"),
    (["--space", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
    (["--space", "trainer.default_root_dir=[a,b]"], "--trainer.default_root_dir is given"),
    ([*X, "--trainer.default_root_dir=bowl.py"], "bowl.py/st cannot be written to: Not a directory"),
    ([*X, "--sampler=grid"], "--sampler grid takes choices alone"),
    ([*X, "--objective", "test/loss:min"], "chosen on validation data"),
    ([*X, "--objective", "val/size"], "say which are better, val/size:min or val/size:max"),
    ([*X, "--objective", "val/loss", "val/size:min", "--prune=median"], "by one objective"),
    ([*X, "--trials=0"], "--trials must be above 0"),
    ([*X, "--jobs=0"], "--jobs must be above 0"),
    ([*X, "--minutes=-1"], "--minutes must be above 0"),
    ([*X, "--seeds=a"], "takes numbers and ranges"),
    ([*X, "--seed_everything=3"], "--seed_everything is for `dlplug fit`"),
    ([*X, "--study=../st"], "'../st' is not a name"),
    ([*X, "--trainer.max_epoch=3"], "did you mean 'max_epochs'"),
    ([*X, "--model=bowl.Nameless"], "nameless names no monitor: --objective NAME:min"),
    ([*X, "--storage=nowhere://x"], "--storage"),
]


@pytest.mark.parametrize(("more", "message"), REFUSED, ids=[" ".join(more)[-40:] for more, _ in REFUSED])
def test_bad_input_is_refused_in_a_line_before_anything_is_made(place, capfd, more, message):
    assert main([*LINE, *more]) == 2
    out, said = capfd.readouterr()
    assert message in said
    assert (out, said.count("\n")) == ("", 1)
    assert not list(place.glob("runs/*/*"))


def test_without_a_validation_it_ends_after_one_trial(place, capfd):
    line = [arg.replace("Bowl", "Silent") for arg in LINE]
    assert main([*line, *X]) == 2
    assert "logs no val/loss to search by; it logs no val/…" in capfd.readouterr().err


def test_another_search_is_another_study(place, capfd):
    assert main([*LINE, *X, "--trials=1"]) == 0
    capfd.readouterr()
    assert main([*LINE, "--space", "model.x=float:0:2", "--trials=2"]) == 2
    assert "the study st is of another space" in capfd.readouterr().err
    journal = place / "runs" / "st" / "journal.log"
    journal.unlink()
    assert main([*LINE, *X, "--trials=1"]) == 2
    assert "runs/st holds the runs of another study st" in capfd.readouterr().err
    (place / "runs" / "bowl" / "notes").mkdir(parents=True)
    assert main([*LINE, *X, "--study=bowl"]) == 2
    assert "runs/bowl is no study's folder" in capfd.readouterr().err


def test_a_models_own_space_less_what_is_typed(place, capfd):
    (place / "space.yaml").write_text("model.n: [1, 2]\nmodel.x: float:0:1\n")
    assert main([*LINE, "--space", "space.yaml", "--trials=1"]) == 0
    assert set(trials(place)[0].params) == {"model.n", "model.x"}
    short = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1", "--trainer.max_epochs=1"]
    line = ["tune", "--model=cnn", "--data=digits", "--model.lr=0.001", "--model.hidden=16", *short, "--trials=1"]
    assert main(line) == 0
    found = optuna.load_study(study_name="cnn-digits", storage=open_storage("runs/cnn-digits/journal.log")).trials
    assert found[0].params == {"model.dropout": 0.0, "model.weight_decay": 0.01}
