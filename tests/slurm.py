"""A real Slurm of one node on this machine, from Debian's packages: `apt-get install slurm-wlm munge`.

`python tests/slurm.py` starts it for a person, and ends it with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
SchedulerParameters=bf_interval=1,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory}
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here; empty where there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_paths()) is None]
    if absent:
        return f"{', '.join(absent)} not installed: `apt-get install --no-install-recommends slurm-wlm munge`"
    return "" if os.geteuid() == 0 else "only root can start Slurm"


@contextlib.contextmanager
def slurm() -> Iterator[Path]:
    """Start Slurm on the loopback of this machine; gives its configuration, which SLURM_CONF names meanwhile."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))  # munge enters it, too
        stack.callback(os.environ.update, {"PATH": os.environ["PATH"]})
        os.environ["PATH"] = _paths()
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        stack.callback(os.environ.pop, "SLURM_CONF", None)
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        stack.callback(_end, _start_munge(folder))
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        text = CONFIGURATION.format(
            host=socket.gethostname(), ports=_free_ports(2), folder=folder, cores=os.cpu_count(), memory=memory // 2
        )
        (folder / "slurm.conf").write_text(text)
        for program in ("slurmctld", "slurmd"):
            stack.callback(_end, _start(program, "-D", "-f", str(folder / "slurm.conf")))
        _wait_for_node(folder)
        yield folder / "slurm.conf"
        subprocess.run(["scancel", "--user", "root"], check=False)


def _start_munge(folder: Path) -> subprocess.Popen[bytes]:
    """munged with a key of its own, as the user whom it insists on."""
    private = folder / "munge"
    private.mkdir()
    (private / "key").write_bytes(os.urandom(1024))
    (private / "key").chmod(0o600)
    for path in (private, private / "key"):
        shutil.chown(path, "munge", "munge")
    private.chmod(0o700)
    shutil.chown(folder, "munge", "munge")
    names = {"socket": folder / "munge.socket", "key-file": private / "key", "pid-file": private / "pid"}
    names |= {"log-file": private / "log", "seed-file": private / "seed"}
    return _start("runuser", "-u", "munge", "--", "munged", "--foreground", *(f"--{k}={v}" for k, v in names.items()))


def _start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_node(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        told = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False)
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
    raise RuntimeError(f"the node of Slurm did not come up: {told.stdout}{told.stderr}\n{logs}")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _paths() -> str:
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


if __name__ == "__main__":
    if problem := missing():
        sys.exit(problem)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    with slurm() as configuration:
        print(f"export SLURM_CONF={configuration}", flush=True)
        while True:
            time.sleep(1)
