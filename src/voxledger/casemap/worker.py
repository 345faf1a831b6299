"""A process that computes one thing after another; its death costs what it was computing, and nothing else.

As a program (`python -m voxledger.casemap.worker`) it is that process. Every executor computes in such processes, so
that a result does not depend on which one it was.
"""

from __future__ import annotations

import multiprocessing.spawn
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from voxledger.process import end_with

IDLE_SECONDS = 600.0
"""After which a process ends that nobody gives work."""


class WorkerDied(Exception):
    """The process ended before it gave an answer."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        """Exit code, or the negative number of the signal."""

    @property
    def told(self) -> str:
        """How it ended, in words."""
        if self.code < 0:
            return "was killed, as when memory runs out"
        return f"ended with exit code {self.code}, and what it said stands above"


class Worker:
    """The side that gives work.

    Parameters
    ----------
    environment
        All variables of the process.
    prepared
        What `multiprocessing.spawn.prepare` does there first: `dir` is the folder to work in.
    """

    def __init__(self, environment: Mapping[str, str], prepared: Mapping[str, Any]) -> None:
        self._environment, self._prepared = dict(environment), dict(prepared)
        self._start()

    def fits(self, environment: Mapping[str, str], prepared: Mapping[str, Any]) -> bool:
        """Whether another one made of these would be like it."""
        return self._environment == environment and self._prepared == prepared

    def _start(self) -> None:
        self.connection, its = Pipe()
        program = [sys.executable, "-P", "-m", __name__, str(its.fileno()), str(os.getpid())]
        with its:
            self._process = subprocess.Popen(
                program, env=self._environment, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL
            )
        self.connection.send(self._prepared)

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, work: Callable[[Any], Any], item: Any) -> None:
        """Let it call `work` with an item; `result` gives what came of it."""
        self.send(pickle.dumps((work, item)))

    def send(self, request: bytes) -> None:
        """The same of a work and an item as pickled together. A process that ended is started again."""
        if self._process.poll() is not None:
            self.restart()
        try:
            self.connection.send_bytes(request)
        except OSError:  # it ended between
            self.restart()
            self.connection.send_bytes(request)

    def result(self) -> Any:
        """What `work` returned, or the exception that it raised.

        Raises
        ------
        WorkerDied
            The process is gone.
        """
        return pickle.loads(self.receive())

    def receive(self) -> bytes:
        """The same, pickled."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):  # the latter where a message breaks off
            raise WorkerDied(self._process.wait()) from None

    def restart(self) -> None:
        """End the process, and start another."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


def like_this() -> dict[str, Any]:
    """What makes another process of this machine import what this one can, in the same folder."""
    prepared = multiprocessing.spawn.get_preparation_data("worker")
    return {name: value for name, value in prepared.items() if name.startswith(("sys_", "dir", "orig_", "init_main_"))}


def _answer(request: bytes) -> bytes:
    """What work makes of an item; the folder and the variables are those of before for the next one."""
    folder, variables = Path.cwd(), dict(os.environ)
    try:
        return _call(request)
    finally:
        os.chdir(folder)
        if os.environ != variables:
            os.environ.clear()
            os.environ.update(variables)


def _call(request: bytes) -> bytes:
    try:
        work, item = pickle.loads(request)
        return pickle.dumps(work(item))
    except BaseException as error:  # one bad item must not hide the others
        try:
            pickle.loads(told := pickle.dumps(error))
        except Exception:
            told = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
        return told


def main() -> None:
    """Answer one request after another, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side ends it
    handle, parent = map(int, sys.argv[1:])
    end_with(parent)
    connection: Connection[bytes, Any] = Connection(handle)
    try:
        multiprocessing.spawn.prepare(connection.recv())
        while connection.poll(IDLE_SECONDS):
            connection.send_bytes(_answer(connection.recv_bytes()))
    except (EOFError, ConnectionError):
        pass


if __name__ == "__main__":
    main()
