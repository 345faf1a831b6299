from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from voxledger.casemap.job import Job, content
from voxledger.casemap.memo import remembered
from voxledger.casemap.run import casemap
from voxledger.errors import CasesFailed, VoxledgerError
from voxledger.layout import MEMO
from voxledger.params import MachineParams

AGAIN = MachineParams(workers=1, recheck=1.0)


class Square(Job[dict[str, int]]):
    stage, algorithms = "test", ()
    number: int = content()

    def compute(self, folder: Path) -> dict[str, int]:
        with open("calls.txt", "a") as stream:
            stream.write(f"{self.number}\n")
        if self.number < 0:
            raise VoxledgerError(f"{self.number} is negative", "give a positive number")
        (folder / f"{self.number}.txt").write_text(str(self.number**2))
        return {"square": self.number**2}


class UnsteadyFile(Job[None]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> None:
        (folder / "now.txt").write_text(str(time.monotonic_ns()))


class UnsteadyFact(Job[int]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> int:
        (folder / "now.txt").write_text("now")
        return time.monotonic_ns()


class LaterFailing(Job[int]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> int:
        if Path("later").exists():
            raise VoxledgerError("it is later", "go back")
        return 1


class Unordered(Job[dict[str, Any]]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> dict[str, Any]:
        return {"z": (float("inf"), 2), "a": {"y": 1, "b": 2}}


class Nan(Job[dict[str, float]]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> dict[str, float]:
        return {"dice": float("nan")}


class Deadly(Job[None]):
    stage, algorithms = "test", ()
    number: int = content()

    def compute(self, folder: Path) -> None:
        if self.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / f"{self.number}.txt").write_text("alive")


def squares(*numbers: int) -> list[Square]:
    return [Square(name=f"case{n}", number=n) for n in numbers]


def calls() -> list[str]:
    path = Path("calls.txt")
    found = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_a_fresh_result_looks_like_a_remembered_one(folder: Path) -> None:
    (fresh,) = casemap([Unordered(name="a")], folder / "out")
    (again,) = casemap([Unordered(name="a")], folder / "out")
    assert json.dumps(fresh) == json.dumps(again)
    assert list(fresh) == ["a", "z"]


def test_a_killed_process_does_not_take_the_other_cases_along(folder: Path) -> None:
    jobs = [Deadly(name=f"case{n}", number=n) for n in range(5)]
    with pytest.raises(CasesFailed, match=r"1 of 5 cases failed\n  case2: its process was killed"):
        casemap(jobs, folder / "out", MachineParams(workers=2))
    assert len(list((MEMO / "test").glob("[!.]*/memo.json"))) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_jobs(folder: Path, workers: int) -> None:
    found = casemap(squares(3, 1, 2), folder / "out", MachineParams(workers=workers), manifest=folder / "m.jsonl")
    assert found == [{"square": 9}, {"square": 1}, {"square": 4}]
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["1.txt", "2.txt", "3.txt"]
    lines = [json.loads(line) for line in (folder / "m.jsonl").read_text().splitlines()]
    assert [line["case"] for line in lines] == ["case3", "case1", "case2"]
    assert list(lines[0]["outputs"]) == ["3.txt"]


def test_only_new_cases_are_computed(folder: Path) -> None:
    casemap(squares(1, 2), folder / "a")
    assert calls() == ["1", "2"]
    casemap(squares(1, 2, 3), folder / "b")
    assert calls() == ["3"]
    assert (folder / "b" / "1.txt").read_text() == "1"


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"outputs": {}}', '{"outputs": null, "facts": 1}', '{"outputs": {}, "seals": {}}\n{']
)
def test_a_damaged_record_is_not_trusted(folder: Path, damage: str) -> None:
    (job,) = squares(5)
    casemap([job], folder / "a")
    (MEMO / "test" / job.key / "memo.json").write_text(damage)
    (MEMO / "test" / "records.json").unlink()
    calls()
    assert casemap([job], folder / "b") == [{"square": 25}]
    assert calls() == ["5"]


def test_a_damaged_file_is_not_trusted(folder: Path) -> None:
    (job,) = squares(5)
    casemap([job], folder / "a")
    remembered_file = MEMO / "test" / job.key / "5.txt"
    remembered_file.chmod(0o644)
    remembered_file.write_text("26")
    calls()
    casemap([job], folder / "b")
    assert calls() == ["5"]
    assert (folder / "b" / "5.txt").read_text() == "25"


def test_one_bad_case_does_not_hide_the_others(folder: Path) -> None:
    with pytest.raises(CasesFailed) as caught:
        casemap(squares(1, -2, 3, -4), folder / "out")
    assert "case-2: -2 is negative" in str(caught.value)
    assert "case-4" in str(caught.value)
    assert not (folder / "out").exists()
    calls()
    casemap(squares(1, 3), folder / "out")
    assert calls() == []


def test_no_memo_and_recheck_compute_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    casemap(squares(1, 2), folder / "out")
    calls()
    casemap(squares(1, 2), folder / "out", AGAIN)
    assert calls() == ["1", "2"]
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    casemap(squares(1, 2), folder / "out")
    assert calls() == ["1", "2"]


@pytest.mark.parametrize(
    ("job", "named"),
    [
        (UnsteadyFile(name="one"), "one came out differently when computed again: now.txt "),
        (UnsteadyFact(name="one"), "one came out differently when computed again: the facts that it returned "),
        (LaterFailing(name="one"), "one: it is later"),
    ],
)
def test_a_recheck_that_fails_replaces_nothing(folder: Path, job: Job[Any], named: str) -> None:
    casemap([job], folder / "out")
    before = remembered(job)
    Path("later").touch()
    with pytest.raises(CasesFailed, match=named):
        casemap([job], folder / "out", AGAIN)
    assert remembered(job) == before is not None
    assert not list((MEMO / "test").glob(".partial-*"))
    casemap([job], folder / "out")


def test_a_number_that_is_none_repeats(folder: Path) -> None:
    """NaN is not equal to itself."""
    casemap([Nan(name="a")], folder / "out")
    ((_, value),) = casemap([Nan(name="a")], folder / "out", AGAIN)[0].items()
    assert value != value


def test_nothing_to_do(folder: Path) -> None:
    assert casemap([], folder / "out", manifest=folder / "m.jsonl") == []
    assert list((folder / "out").iterdir()) == []
    assert (folder / "m.jsonl").read_text() == ""


SLOW = """
import time
from pathlib import Path
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap

class Slow(Job[None]):
    stage, algorithms = "slow", ()
    number: int = content()

    def compute(self, folder: Path) -> None:
        with open("calls.txt", "a") as stream:
            stream.write(f"{self.number}\\n")
        time.sleep(0.25)
        (folder / f"{self.number}.txt").write_text(str(self.number))

if __name__ == "__main__":
    casemap([Slow(name=f"c{n}", number=n) for n in range(8)], Path("out"))
"""


def test_a_killed_run_resumes(folder: Path) -> None:
    script = folder / "slow.py"
    script.write_text(SLOW)
    process = subprocess.Popen([sys.executable, str(script)])
    while len(Path("calls.txt").read_text().split() if Path("calls.txt").exists() else []) < 4:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(calls())
    subprocess.run([sys.executable, str(script)], check=True)
    again = calls()
    assert sorted(p.name for p in Path("out").iterdir()) == [f"{n}.txt" for n in range(8)]
    assert len(again) == 8 - before + 1
    assert not list((MEMO / "slow").glob(".partial-*"))


def test_nothing_else_stays_in_the_folder(folder: Path) -> None:
    """What earlier jobs left goes once all jobs are done, and not where one fails."""
    out = folder / "out"
    casemap(squares(1, 2, 3), out)
    (out / "stray").mkdir()
    (out / "stray/old.txt").write_text("old")
    with pytest.raises(CasesFailed):
        casemap(squares(1, -1), out, nothing_else=True)
    assert len(list(out.rglob("*.txt"))) == 4
    casemap(squares(1, 4), out, nothing_else=True)
    assert sorted(p.name for p in out.rglob("*.txt")) == ["1.txt", "4.txt"]
