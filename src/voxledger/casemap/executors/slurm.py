"""Jobs of Slurm, each a worker with one core, or with one GPU where networks compute on it.

Scheduler and workers speak TLS with certificates that are made for the run and lie in `.memo` meanwhile. What
`machine.slurm` does not say is that of dask-jobqueue's own configuration (`jobqueue.slurm`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from voxledger.casemap.cluster import Cluster, require_dask
from voxledger.errors import ClusterFailed, Misuse
from voxledger.layout import MEMO
from voxledger.params import MachineParams, SlurmParams

LOOPBACK = "127.0.0.1:0"
"""Where dask serves its pages, which anybody who reaches them may read."""
LOGS = MEMO / ".slurm"
"""What jobs print."""


def execute(work: Callable[[Any], Any], items: Sequence[Any], machine: MachineParams) -> Iterator[tuple[int, Any]]:
    """Call `work` for every item; gives the index of each with its result, or with what it raised, as they finish.

    Raises
    ------
    Misuse
        dask-jobqueue is not installed, or `machine.workers` does not say how many jobs there shall be.
    ClusterFailed
        Slurm does not take the jobs, or see `voxledger.casemap.cluster`.

    Examples
    --------
    >>> list(execute(len, [], MachineParams(executor="slurm")))
    []
    """
    if not items:
        return
    require_dask()
    if not machine.workers:
        raise Misuse(
            "machine.executor is slurm, and machine.workers is 0",
            "say how many jobs there shall be at the same time, such as `workers: 20`",
        )
    cluster, client = _started(machine.slurm, machine.workers, machine.on_gpus)
    how = f"`squeue --me` shows its jobs, and {LOGS} what they say; machine.slurm has partition, memory and network"
    called = f"the dask cluster of Slurm at {cluster.scheduler_address}"
    yield from Cluster(client, called, how, machine).execute(work, items)


@cache
def _started(slurm: SlurmParams, jobs: int, gpus: bool) -> tuple[Any, Any]:
    """A cluster and its client, which end with this process."""
    from dask_jobqueue import SLURMCluster
    from distributed import Client, Security

    MEMO.mkdir(exist_ok=True)
    try:
        cluster = SLURMCluster(
            cores=1,
            processes=1,
            memory=slurm.memory,
            queue=slurm.queue,
            account=slurm.account,
            walltime=slurm.walltime,
            interface=slurm.interface,
            protocol="tls://",
            security=Security.temporary(),
            shared_temp_directory=str(MEMO.absolute()),
            scheduler_options={"dashboard_address": LOOPBACK, "dashboard": False},
            worker_extra_args=["--dashboard-address", LOOPBACK, *(["--resources", "GPU=1"] if gpus else [])],
            log_directory=str(LOGS.absolute()),
            job_name="voxledger",
            job_extra_directives=["--gres=gpu:1"] if gpus else [],
        )
        cluster.adapt(minimum=jobs, maximum=jobs)
        return cluster, Client(cluster, set_as_default=False)
    except Exception as error:  # dask-jobqueue raises what sbatch, the network or its configuration gives
        raise ClusterFailed(
            f"no dask cluster can be started on Slurm: {type(error).__name__}: {error}",
            "is this a machine on which `sbatch` works, and is machine.slurm.interface a network of it (`ip address`)?",
        ) from None
