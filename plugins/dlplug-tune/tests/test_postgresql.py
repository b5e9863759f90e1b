"""A study in a real PostgreSQL, by four workers of which one is killed; `make postgres` runs this alone."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import launched
import optuna
import pytest
from optuna.trial import TrialState

from dlplug.testing.commands import run_command, start_command
from dlplug_tune.study import LOST, is_lost, open_storage

LINE = ["tune", "--model=bowl.Bowl", "--data=bowl.Points", "--trainer.max_epochs=3", "--trainer.accelerator=cpu"]
LINE += ["--study=st", "--space", "model.x=float:0:1", "--model.slow=0.2"]
BIN = max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


@pytest.fixture
def url() -> Iterator[str]:
    """Start a server on the loopback, of which nothing is left; the address of its database."""
    found = shutil.which("initdb")
    programs = Path(found).parent if found else BIN
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    pytest.importorskip("psycopg", reason="the extra postgresql")
    folder = Path(tempfile.mkdtemp(prefix="dlplug-postgresql-"))
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to be root's
    if user:
        shutil.chown(folder, user)

    def run(program: str, *args: str) -> None:
        line = [programs / program, "-D", folder / "data", *args]
        with open(folder.with_suffix(".log"), "ab") as log:  # a server keeps what it inherits open
            subprocess.run(line, check=True, stdout=log, stderr=log, user=user, group=user, cwd="/")

    port = launched.free_port()
    try:
        run("initdb", "--auth=trust", "--username=dlplug", "--no-sync")
        run("pg_ctl", "start", "-w", f"-o-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off")
        yield f"postgresql://dlplug@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()


@pytest.mark.slow("starts a PostgreSQL and five commands; by day two processes share a journal")
def test_four_workers_of_which_one_is_killed(place, url):
    line = [*LINE, f"--storage={url}", "--trials=10"]
    hosts = [place / f"host{number}" for number in range(4)]
    for host in hosts:  # each with a disk of its own
        host.mkdir()
        shutil.copy(place / "bowl.py", host)
    workers = [start_command(*line, folder=host) for host in hosts]
    while not (begun := [*hosts[0].glob("runs/st/bowl/*/timing.csv")]):
        time.sleep(0.05)
        assert workers[0].is_alive()
    killed = int(begun[-1].parent.name.removeprefix("trial").removesuffix("-seed0"))
    workers[0].kill()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [-9, 0, 0, 0], [
        host.with_name(f"{host.name}.err").read_text() for host in hosts
    ]

    def trials() -> list[optuna.trial.FrozenTrial]:
        storage = open_storage(url)
        found = optuna.load_study(study_name="st", storage=storage).trials
        storage.remove_session()
        storage.engine.dispose()  # which Optuna leaves open
        return found

    found = trials()
    [lost] = [trial for trial in found if trial.state == TrialState.FAIL]
    [again] = [trial for trial in found if "again" in trial.user_attrs]
    assert (lost.number, again.user_attrs["run"], again.params) == (killed, killed, lost.params)
    done = [trial.state for trial in found].count(TrialState.COMPLETE)
    assert 10 <= done <= 12  # without a lock each of three may begin one more
    assert len({trial.params["model.x"] for trial in found}) == len(found) - 1

    another = run_command(*line, folder=place)  # a machine that has none of the runs
    assert another.returncode == 0, another.stderr
    assert f"best of {done}:" in another.stdout
    assert len(trials()) == len(found)
    assert "model:" in (place / "runs" / "st" / "best.yaml").read_text()


def test_a_worker_is_lost_where_it_is_no_more():
    def trial(*worker):
        return optuna.create_trial(state=TrialState.RUNNING, user_attrs={"worker": list(worker)} if worker else {})

    now = time.time()
    here = os.uname().nodename
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not is_lost(trial(here, os.getpid(), now))
    assert is_lost(trial(here, gone.pid, now))
    assert not is_lost(trial("elsewhere", gone.pid, now - LOST / 2))
    assert is_lost(trial("elsewhere", 1, now - 2 * LOST))
    assert not is_lost(trial())  # it has just been asked for
