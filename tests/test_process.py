"""Who ends with whom: a stage with DVC, DVC with voxledger, workers with their stage, a person's command with nobody.

And who waits for whom is said: by process, command and since when.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from commands import run

from voxledger.algorithms import text
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.process import lock
from voxledger.repository import dvc, dvc_add, dvc_output, require_nobody_runs

WORK = """
import os, sys, time
from pathlib import Path
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.params import MachineParams

JOBS = int(os.environ.get("JOBS", "6"))

class Slow(Job[None]):
    stage, algorithms = "slow", ()
    number: int = content()

    def compute(self, folder: Path) -> None:
        Path(f"worker-{os.getpid()}").touch()
        time.sleep(0.4)
        (folder / f"{self.number}.txt").write_text(str(self.number))

def work(workers=1):
    Path("started").write_text(str(os.getpid()))
    jobs = [Slow(name=f"c{n}", number=n) for n in range(JOBS)]
    casemap(jobs, Path("out"), MachineParams(workers=workers))
    Path("finished").touch()
"""


def script(name: str, text: str) -> str:
    Path("work.py").write_text(WORK)
    Path(name).write_text(textwrap.dedent(text))
    return name


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ends(pid: int) -> bool:
    """Whether a process ends within a few seconds."""
    for _ in range(250):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def started(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to end after the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_a_command_of_a_person_goes_on_when_its_shell_ends(folder: Path) -> None:
    """As with nohup, disown or a closed terminal: it ended half a second after its shell."""
    script("command.py", 'from work import work\nif __name__ == "__main__":\n    work()\n')
    # The shell ends while the command is at work.
    shell = f"nohup {sys.executable} command.py > log.txt 2>&1 & while [ ! -s started ]; do sleep 0.1; done; sleep 0.5"
    subprocess.run(["sh", "-c", shell], check=True)
    wait_for(lambda: Path("finished").exists(), 60)
    assert sorted(p.name for p in Path("out").iterdir()) == [f"{n}.txt" for n in range(6)]


class Nothing(Job[None]):
    stage, algorithms = "nothing", ()
    number: int = content()

    def compute(self, folder: Path) -> None:
        pass


def test_casemap_leaves_no_thread_behind(folder: Path) -> None:
    before = threading.active_count()
    for n in range(3):
        casemap([Nothing(name="c", number=n)], folder / "out")
    assert threading.active_count() == before


def test_workers_end_with_their_process(folder: Path, started: list[subprocess.Popen[bytes]]) -> None:
    script("command.py", 'from work import work\nif __name__ == "__main__":\n    work(workers=2)\n')
    process = subprocess.Popen([sys.executable, "command.py"])
    started.append(process)
    wait_for(lambda: len(list(Path().glob("worker-*"))) == 2)
    workers = [int(p.name.removeprefix("worker-")) for p in Path().glob("worker-*")]
    assert process.pid not in workers
    process.kill()
    process.wait()
    assert all(ends(pid) for pid in workers)


STAGE = """
    from work import work
    from voxledger.stage import PIPELINE, stage

    @stage(PIPELINE)
    def main(params):
        work()

    if __name__ == "__main__":
        main()
"""


@pytest.mark.parametrize(("by_dvc", "survives"), [(True, False), (False, True)])
def test_a_stage_ends_with_dvc_alone(
    folder: Path, started: list[subprocess.Popen[bytes]], by_dvc: bool, survives: bool
) -> None:
    """One that a person runs by hand goes on."""
    Path("params.yaml").write_text("round: 0\n")
    Path("algorithms.yaml").write_text(text())
    script("stage.py", STAGE)
    environment = {k: v for k, v in os.environ.items() if k != "DVC_STAGE"} | ({"DVC_STAGE": "slow"} if by_dvc else {})
    code = "import subprocess, sys; subprocess.run([sys.executable, 'stage.py'])"
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    started.append(parent)
    wait_for(lambda: Path("started").exists() and bool(Path("started").read_text()))
    pid = int(Path("started").read_text())
    parent.kill()
    parent.wait()
    assert ends(pid)
    assert Path("finished").exists() is survives


@pytest.fixture
def repository(folder: Path) -> Path:
    """A git and DVC repository with a pipeline of one stage that takes its time."""
    run("git", "init", "-q")
    run("dvc", "init", "-q")
    Path("params.yaml").write_text("round: 0\n")
    Path("algorithms.yaml").write_text(text())
    script("stage.py", STAGE)
    Path("dvc.yaml").write_text("stages:\n  slow:\n    cmd: python stage.py\n    deps: [stage.py]\n    outs: [out]\n")
    return folder


def running(command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a run, wait until its stage is at work; returns it and the stage's process id."""
    Path("started").unlink(missing_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: Path("started").exists() and bool(Path("started").read_text()), 60)
    return process, int(Path("started").read_text())


@pytest.mark.slow
def test_dvc_repro_ends_with_the_voxledger_that_started_it(
    repository: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """It went on after `kill -9` of `voxledger round run`, and the next run found everything busy."""
    code = "from voxledger.repository import dvc; dvc('repro')"
    process, stage = running([sys.executable, "-c", code])
    started.append(process)
    (repro,) = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert ends(repro.pid)
    assert ends(stage)
    assert not Path("finished").exists()
    assert dvc("repro") == 0
    assert Path("finished").exists()


@pytest.mark.slow
def test_what_blocks_a_run_is_named_with_its_command_and_since_when(
    repository: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", "60")
    process, _ = running(["dvc", "repro"])
    started.append(process)
    with pytest.raises(VoxledgerError) as caught:
        dvc("repro")
    assert f"process {process.pid} (`" in caught.value.problem
    assert "dvc repro`), since " in caught.value.problem
    assert caught.value.remedy == f"wait for it, or `kill {process.pid}`; then run this again"
    Path("inbox").mkdir()
    dvc_add("inbox")  # a return may come in meanwhile


def test_a_lock_file_that_is_just_being_written_is_read_again(repository: Path) -> None:
    """DVC empties it before it writes: a second run said that it was damaged, and to remove it."""
    lock = Path(".dvc/tmp/rwlock")
    lock.write_text("")
    written = threading.Timer(0.3, lock.write_text, ["{}"])
    written.start()
    require_nobody_runs()
    written.join()


@pytest.mark.slow
def test_a_lock_whose_process_id_now_belongs_to_another_program_is_named(repository: Path) -> None:
    """DVC would wait for whoever has the number now."""
    Path(".dvc/tmp/rwlock").write_text(
        f'{{"write": {{"{repository}/out": {{"pid": {os.getpid()}, "cmd": "repro"}}}}, "read": {{}}}}'
    )
    with pytest.raises(VoxledgerError, match=f"process {os.getpid()} .*, which does not look like DVC") as caught:
        dvc("repro")
    assert "`rm .dvc/tmp/rwlock`" in caught.value.remedy


def test_a_dvc_that_outlived_a_killed_command_is_waited_for(
    repository: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """It wrote dvc.lock, while the next command read half of it and said that bundles did not fit."""
    holder = hold(Path(".dvc/tmp/lock"), 1)
    started.append(holder)
    began = time.monotonic()
    require_nobody_runs()
    assert time.monotonic() - began > 0.5
    holder = hold(Path(".dvc/tmp/lock"), 30)
    started.append(holder)
    with pytest.raises(VoxledgerError, match=f"process {holder.pid}"):
        require_nobody_runs()


@pytest.mark.slow
def test_what_holds_the_lock_of_dvc_is_named(repository: Path, started: list[subprocess.Popen[bytes]]) -> None:
    holder = hold(Path(".dvc/tmp/lock"), 30)
    started.append(holder)
    with pytest.raises(VoxledgerError, match=f"process {holder.pid}"):
        dvc_output("status", "--json")


def hold(path: Path, seconds: float) -> subprocess.Popen[bytes]:
    """A process that holds the lock of a file or folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import fcntl, os, sys, time\n"
        "handle = os.open(sys.argv[1], os.O_RDONLY if os.path.isdir(sys.argv[1]) else os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_waiting_for_the_lock_of_a_folder_is_said(
    folder: Path, started: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    """As for another `review receive`."""
    Path("inbox").mkdir()
    holder = hold(Path("inbox"), 1.5)
    started.append(holder)
    handle = os.open("inbox", os.O_RDONLY)
    lock(handle, "inbox")
    os.close(handle)
    said = capsys.readouterr().err
    assert f"inbox: waiting for process {holder.pid} (`{sys.executable} -c import fcntl" in said
    assert ", since " in said


def test_waiting_for_another_process_is_said(
    folder: Path, started: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that waits for a stage that a killed one left behind stood still without a word."""
    holder = hold(Path(".memo/nothing/.lock"), 1.5)
    started.append(holder)
    casemap([Nothing(name="c", number=0)], folder / "out")
    assert f"nothing: waiting for process {holder.pid} (`" in capsys.readouterr().err
    casemap([Nothing(name="c", number=0)], folder / "out")
    assert "waiting" not in capsys.readouterr().err
