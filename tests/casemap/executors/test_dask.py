"""Workers of a real dask cluster on this machine."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import distributed
import pytest
from deadly import Slow, dying, gpu, losing_the_worker, told

from voxledger.casemap import cluster as module
from voxledger.casemap import remote
from voxledger.casemap.executors import dask as executor
from voxledger.casemap.executors.dask import execute
from voxledger.casemap.run import casemap
from voxledger.errors import CasesFailed, ClusterFailed, Misuse, VoxledgerError
from voxledger.params import MachineParams, SlurmParams
from voxledger.software import Software, software

TESTS = Path(__file__).parents[2]


PATHS = f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}{TESTS}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """Two workers, which find the modules of the tests, and have threads and variables that nobody wants."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        env={"PYTHONPATH": PATHS, "OMP_NUM_THREADS": "7", "VOXLEDGER_OF_THE_WORKER": "1"},
    ) as made:
        yield made


@pytest.fixture
def machine(cluster: distributed.LocalCluster, folder: Path) -> MachineParams:
    return MachineParams(executor="dask", scheduler=cluster.scheduler_address, wait_minutes=0.5)


def test_jobs_leave_what_they_leave_here(machine: MachineParams, folder: Path) -> None:
    jobs = [Slow(name=f"case{n}", number=n, seconds=0.0) for n in range(6)]
    left = []
    for name, used in (("there", machine), ("here", MachineParams(workers=2))):
        facts = casemap(jobs, folder / name, used, manifest=folder / f"{name}.jsonl")
        files = {p.name: p.read_bytes() for p in Path(name).iterdir()}
        left.append((facts, files, Path(f"{name}.jsonl").read_bytes(), {p.name for p in Path(".memo/slow").iterdir()}))
        assert not [p for p in Path(".memo").iterdir() if "session" in p.name]
        Path(".memo").rename(f"memo of {name}")
    assert left[0] == left[1]
    assert len(left[0][1]) == 6


def test_one_bad_case_does_not_hide_the_others(machine: MachineParams, folder: Path) -> None:
    jobs = [Slow(name=f"case{n}", number=n, seconds=0.0) for n in (1, -2, 3)]
    with pytest.raises(CasesFailed, match=r"1 of 3 cases failed\n  case-2: ValueError: -2 is negative"):
        casemap(jobs, folder / "out", machine)


def test_a_process_that_dies_costs_its_own_case(machine: MachineParams) -> None:
    times = {1: 1, 2: 2, 3: 99}
    found = dict(execute(dying, [(n, times.get(n, 0)) for n in range(6)], machine))
    assert "its process was killed, as when memory runs out" in str(found.pop(3))
    assert found == {n: n**2 for n in range(6) if n != 3}
    calls = {str(n): {1: 2, 2: 3, 3: 3}.get(n, 1) for n in range(6)}
    assert Counter(Path("calls.txt").read_text().split()) == calls


def test_a_worker_that_dies_loses_nothing(machine: MachineParams) -> None:
    found = dict(execute(losing_the_worker, [(n, 1 if n == 2 else 0) for n in range(6)], machine))
    assert found == {n: n**2 for n in range(6)}
    assert Path("died-2-0").exists()


def test_who_has_finished_leaves_the_processes_of_others_alone(folder: Path) -> None:
    """Several repositories may share a cluster."""
    Path(".memo").mkdir()
    Path(".memo/.session-mine").touch()
    mine = session(folder, ".memo/.session-mine")
    answer = remote.compute(mine, pickle.dumps((len, "abc")))
    assert isinstance(answer, remote.Answer)
    assert pickle.loads(answer.content) == 3
    remote.close(".memo/.session-of-others")
    assert [token for token, _, _ in remote._processes.values()] == [mine.token]
    remote.close(mine.token)
    assert not remote._processes


def test_processes_work_here_and_with_the_variables_of_this_one(
    machine: MachineParams, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of the worker, whose libraries may have other threads and instructions."""
    monkeypatch.setenv("VOXLEDGER_DEVICE", "cpu")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = ("VOXLEDGER_DEVICE", "MKL_CBWR", "OMP_NUM_THREADS", "VOXLEDGER_OF_THE_WORKER")
    ((_, found),) = execute(told, [names], machine)
    assert found == (str(folder), dict.fromkeys(names) | {"VOXLEDGER_DEVICE": "cpu", "MKL_CBWR": "COMPATIBLE"})


def other_software(**versions: str) -> Software:
    here = software()
    return Software(here.versions | versions, here.cpu)


def test_a_worker_with_other_software_gets_nothing(machine: MachineParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "software", lambda: other_software(voxledger="9.9", torch="0.1"))
    with pytest.raises(ClusterFailed, match=r"other results: torch .* \(here 0.1\), voxledger .* \(here 9.9\)"):
        list(execute(dying, [(1, 0)], machine))
    assert not Path("calls.txt").exists()


def test_another_kind_of_processor_is_said(
    machine: MachineParams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "software", lambda: Software(software().versions, ("X87",)))
    monkeypatch.setattr(module, "_noted", set())
    assert len(list(execute(dying, [(1, 0), (2, 0)], machine))) == 2
    assert capsys.readouterr().err.count("has another kind of processor than this machine") == 1


def session(folder: Path, token: str) -> remote.Session:
    return remote.Session(str(folder), token, {}, software(), gpu=False)


def test_a_worker_without_the_folder_gets_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for in this process: another machine has other files."""
    monkeypatch.setattr(remote, "SHARED_SECONDS", 0.1)
    with pytest.raises(VoxledgerError, match=r"has no folder /nowhere\n.*file system that the repository lies on"):
        remote.compute(session(Path("/nowhere"), ".memo/.session-1"), b"")
    with pytest.raises(VoxledgerError, match=r"is another folder than the repository here: .*session-1 is not in it"):
        remote.compute(session(folder, ".memo/.session-1"), b"")


def worker(address: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    variables = {**os.environ, "PYTHONPATH": PATHS, **environment}
    return subprocess.Popen([*command, *arguments], env=variables, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_networks_go_to_workers_with_a_gpu_of_their_own(machine: MachineParams, folder: Path) -> None:
    networks = machine.model_copy(update={"device": "cuda", "wait_minutes": 0.02}).for_networks
    with pytest.raises(ClusterFailed, match="no worker that offers a GPU has come"):
        list(execute(gpu, [1], networks))
    networks = networks.model_copy(update={"wait_minutes": 0.5})
    started = [worker(machine.scheduler, "--resources", "GPU=1", CUDA_VISIBLE_DEVICES=name) for name in ("0", "GPU-b")]
    try:
        found = {value for _, value in execute(gpu, range(12), networks)}
        assert {name for _, name in found} == {"0", "GPU-b"}
        assert len(found) == 2
    finally:
        for process in started:
            process.terminate()
            process.wait()
    shares = worker(machine.scheduler, "--resources", "GPU=1", CUDA_VISIBLE_DEVICES="0,1")
    try:
        with pytest.raises(ClusterFailed, match="has no GPU of its own: CUDA_VISIBLE_DEVICES is “0,1”"):
            list(execute(gpu, [1], networks))
    finally:
        shares.terminate()
        shares.wait()


def test_tls_takes_the_certificates_of_dask_s_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    security = distributed.Security.temporary()
    client = security.get_tls_config_for_role("client")
    certificates = {"ca-file": client["ca_file"], "client.cert": client["cert"], "client.key": client["key"]}
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        security=security,
        host="tls://127.0.0.1",
        dashboard_address="127.0.0.1:0",
        env={"PYTHONPATH": PATHS},
    ) as secured:
        machine = MachineParams(executor="dask", scheduler=secured.scheduler_address)
        assert machine.scheduler.startswith("tls://")
        with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in certificates.items()}):
            assert dict(execute(dying, [(2, 0), (3, 0)], machine)) == {0: 4, 1: 9}
        monkeypatch.setattr(executor, "CONNECT_SECONDS", 1.0)
        plain = machine.model_copy(update={"scheduler": machine.scheduler.replace("tls", "tcp")})
        for other in (machine, plain):
            with pytest.raises(ClusterFailed, match="certificates of dask's configuration"):
                list(execute(dying, [(4, 0)], other))


@pytest.mark.slow
def test_a_scheduler_that_is_started_again_loses_nothing(folder: Path) -> None:
    """What is finished is kept, nothing half is left, and the same command goes on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
    machine = MachineParams(executor="dask", scheduler=address, wait_minutes=0.5)
    jobs = [Slow(name=f"case{n}", number=n, seconds=0.5) for n in range(12)]
    found: list[list[int]] = []
    for number in range(2):
        processes = [scheduler(address), worker(address), worker(address)]
        if number == 0:
            killer = threading.Thread(target=kill_when_some_are_done, args=(processes[0],))
            killer.start()
            with pytest.raises(ClusterFailed, match=r"was lost(.|\n)*run the same command again"):
                casemap(jobs, folder / "out", machine)
            killer.join()
            done = {path.parent for path in Path(".memo/slow").glob("*/memo.json")}
            assert 2 <= len(done) < 12
        else:
            found.append(casemap(jobs, folder / "out", machine))
        for process in processes:
            process.kill()
            process.wait()
    assert found == [[n**2 for n in range(12)]]
    assert {path.parent for path in Path(".memo/slow").glob("*/memo.json")} > done
    assert sorted(p.read_text() for p in Path("out").iterdir()) == sorted(str(n**2) for n in range(12))


def kill_when_some_are_done(process: subprocess.Popen[bytes]) -> None:
    while len(list(Path(".memo/slow").glob("*/memo.json"))) < 2:
        time.sleep(0.05)
    process.kill()


def scheduler(address: str) -> subprocess.Popen[bytes]:
    host, port = address.removeprefix("tcp://").split(":")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host, "--port", port]
    return subprocess.Popen([*command, "--dashboard-address", "127.0.0.1:0"], stderr=subprocess.DEVNULL)


def test_a_cluster_without_workers_is_waited_for(folder: Path) -> None:
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        machine = MachineParams(executor="dask", scheduler=empty.scheduler_address, wait_minutes=0.005)
        with pytest.raises(ClusterFailed, match=r"no worker has come to .* within 0.005 minutes(.|\n)*dask worker tcp"):
            list(execute(dying, [(1, 0)], machine))


@pytest.mark.parametrize("address", ["", "10.0.0.7:8786", "http://10.0.0.7:8786"])
def test_only_an_address_that_was_given_is_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    with pytest.raises(Misuse, match="write the address that `dask scheduler` prints"):
        list(execute(len, ["a"], MachineParams(executor="dask", scheduler=address)))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tls://127.0.0.1:1"])
def test_a_scheduler_that_is_not_there_is_named(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterFailed, match=f"the dask scheduler at {address} cannot be reached"):
        list(execute(len, ["a"], MachineParams(executor="dask", scheduler=address)))


@pytest.mark.parametrize("name", ["dask", "slurm"])
def test_a_package_that_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxledger.registry import EXECUTORS

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(Misuse, match=r"distributed, which is not installed\n.*`pip install 'voxledger\[hpc\]'`"):
        list(EXECUTORS.get(name)(len, ["a"], MachineParams(executor=name, scheduler="tcp://127.0.0.1:1")))


def test_parameters_may_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxledger.params import read_params

    Path("params.yaml").write_text("machine: {slurm: {queue: gpu, memory: 16GB}}\n")
    monkeypatch.setenv("VOXLEDGER_EXECUTOR", "dask")
    monkeypatch.setenv("VOXLEDGER_SCHEDULER", "tls://10.0.0.7:8786")
    machine: Any = read_params().machine
    assert (machine.executor, machine.scheduler) == ("dask", "tls://10.0.0.7:8786")
    assert machine.slurm == SlurmParams(queue="gpu", memory="16GB")
