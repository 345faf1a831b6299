"""Processes of this machine: what a death costs, and which GPU each has."""

from __future__ import annotations

import os
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from deadly import dying, gpu

from voxledger.casemap.executors.local import DEATHS, environments, execute
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import MachineParams
from voxledger.process import alive

TWO = MachineParams(workers=2)


class Odd(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def exiting(number: int) -> int:
    if number == 1:
        os._exit(3)
    return number


def raising(number: int) -> int:
    if number == 1:
        raise Odd(1, 2)
    return number


@pytest.mark.parametrize("times", [0, 1, DEATHS])
def test_what_a_process_died_at_is_computed_again_and_nothing_else(folder: Path, times: int) -> None:
    items = [(n, times if n == 2 else 0) for n in range(12)]
    assert dict(execute(dying, items, TWO)) == {n: n**2 for n in range(12)}
    assert Counter(Path("calls.txt").read_text().split()) == {str(n): 1 + times * (n == 2) for n in range(12)}


def test_what_kills_every_process_fails_alone(folder: Path) -> None:
    items = [(n, 99 if n in (0, 5) else 0) for n in range(8)]
    found = dict(execute(dying, items, TWO))
    assert {n: v for n, v in found.items() if n not in (0, 5)} == {n: n**2 for n in range(8) if n not in (0, 5)}
    for n in (0, 5):
        assert isinstance(found[n], VoxledgerError)
        assert "its process was killed, as when memory runs out" in str(found[n])
    assert Counter(Path("calls.txt").read_text().split()) == {str(n): 1 + DEATHS * (n in (0, 5)) for n in range(8)}


def test_a_process_that_ends_by_itself_is_told_apart() -> None:
    assert "ended with exit code 3" in str(dict(execute(exiting, range(3), TWO))[1])


def breaking_off(number: int) -> int:
    """The process dies when a part of its answer is sent: first the length of it, then less."""
    if number == 1:
        os.write(int(sys.orig_argv[-2]), struct.pack("!i", 100) + b"abc")
        os._exit(4)
    return number


def test_an_answer_that_breaks_off_is_a_death() -> None:
    found = dict(execute(breaking_off, range(3), TWO))
    assert "ended with exit code 4" in str(found[1])
    assert (found[0], found[2]) == (0, 2)


class Stubborn:
    """Cannot be made again where it arrives."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("not a number",)


def stubborn(number: int) -> object:
    return Stubborn() if number == 1 else number


def test_what_cannot_be_made_again_here_fails_alone() -> None:
    found = dict(execute(stubborn, range(3), TWO))
    assert isinstance(found[1], ValueError)
    assert (found[0], found[2]) == (0, 2)


def wandering(number: int) -> tuple[str, str | None]:
    seen = str(Path.cwd()), os.environ.get("WANDERED")
    os.chdir("/")
    os.environ["WANDERED"] = str(number)
    return seen


def test_folder_and_variables_are_those_of_before_for_the_next_item(folder: Path) -> None:
    assert set(dict(execute(wandering, range(9), TWO)).values()) == {(str(folder), None)}


def leaving(number: int) -> int:
    if number == 1:
        raise SystemExit(3)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_wants_to_leave_fails_alone(workers: int) -> None:
    found = dict(execute(leaving, range(3), MachineParams(workers=workers)))
    assert isinstance(found[1], SystemExit)
    assert (found[0], found[2]) == (0, 2)


def process(_: int) -> int:
    return os.getpid()


def processes(count: int = 2) -> set[int]:
    return {pid for _, pid in execute(process, range(20), MachineParams(workers=count)) if isinstance(pid, int)}


def test_processes_go_on_with_the_next_items(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = processes()
    assert processes() <= first
    monkeypatch.setenv("VOXLEDGER_ANYTHING", "1")
    other = processes()
    assert not other & first
    assert not any(alive(pid) for pid in first)
    assert processes(3) >= other


def test_what_nobody_waits_for_any_more_ends(folder: Path) -> None:
    before = processes()
    results = execute(slow, [0.0, 600.0, 600.0], TWO)
    assert next(results) == (0, 0.0)
    results.close()
    assert sum(map(alive, before)) <= 1, "one is idle, and the other slept"
    assert processes()


def test_an_error_that_cannot_be_sent_is_told(folder: Path) -> None:
    found = dict(execute(raising, range(3), TWO))
    assert found[0] == 0
    assert str(found[1]) == "Odd: 1 and 2"


@pytest.mark.parametrize(
    ("machine", "visible", "expected"),
    [
        (MachineParams(device="cuda", gpus=3), None, {"0", "1", "2"}),
        (MachineParams(device="cuda", gpus=2), "4,7,9", {"4", "7"}),
        (MachineParams(device="cuda", gpus=2), "GPU-aa,GPU-bb", {"GPU-aa", "GPU-bb"}),
        (MachineParams(device="cpu", gpus=2, workers=2), None, {None}),
        (MachineParams(device="cpu", gpus=2, workers=2), "5", {"5"}),
    ],
)
def test_every_process_has_a_gpu_of_its_own(
    machine: MachineParams, visible: str | None, expected: set[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    told = {seen for _, seen in execute(gpu, range(9), machine.for_networks)}
    assert {name for _, name in told} == expected
    assert len(told) == machine.for_networks.worker_count


def test_a_gpu_that_is_not_there_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(Misuse, match=r"machine.gpus is 2, but CUDA_VISIBLE_DEVICES is “3”"):
        environments(MachineParams(device="cuda", gpus=2).for_networks, 2)


@pytest.mark.parametrize(("gpus", "workers"), [(0, 1), (1, 1), (4, 4)])
def test_networks_have_one_worker_a_gpu(gpus: int, workers: int) -> None:
    assert MachineParams(device="cuda", gpus=gpus, workers=8).for_networks.worker_count == workers
    assert MachineParams(device="cpu", gpus=gpus, workers=8).for_networks.worker_count == 8
