"""Workers of a running dask cluster, at the address that `machine.scheduler` gives.

A scheduler of dask runs what it is sent by whoever reaches it: keep it on a network where only the curator does, or
use an address that begins with `tls://`; the certificates are those of dask's own configuration,
`distributed.comm.tls`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from voxledger.casemap.cluster import Cluster, require_dask
from voxledger.errors import ClusterFailed, Misuse
from voxledger.params import MachineParams

CONNECT_SECONDS = 15.0


def execute(work: Callable[[Any], Any], items: Sequence[Any], machine: MachineParams) -> Iterator[tuple[int, Any]]:
    """Call `work` for every item; gives the index of each with its result, or with what it raised, as they finish.

    Raises
    ------
    Misuse
        dask is not installed, or `machine.scheduler` is no address.
    ClusterFailed
        The scheduler cannot be reached, or see `voxledger.casemap.cluster`.

    Examples
    --------
    >>> list(execute(len, [], MachineParams(executor="dask")))
    []
    """
    if not items:
        return
    require_dask()
    address = machine.scheduler
    if not address.startswith(("tcp://", "tls://")):
        raise Misuse(
            f"machine.executor is dask, and machine.scheduler is “{address}”",
            "write the address that `dask scheduler` prints, such as tls://10.0.0.7:8786, or set VOXLEDGER_SCHEDULER",
        )
    with closing(_connected(address)) as client:
        called = f"the dask cluster at {address}"
        yield from Cluster(client, called, f"start workers: `dask worker {address}`", machine).execute(work, items)


def _connected(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # dask raises what the network, TLS or an older scheduler gives
        raise ClusterFailed(
            f"the dask scheduler at {address} cannot be reached: {type(error).__name__}: {error}",
            "is `dask scheduler` running there, reachable from here, and of the same version? For tls:// both need the "
            "certificates of dask's configuration, distributed.comm.tls; then run the same command again",
        ) from None
