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

from voxledger.casemap import MEMO, Task, casemap, key_of
from voxledger.errors import CasesFailed, VoxledgerError


def square(payload: int, folder: Path) -> dict[str, Any]:
    with open("calls.txt", "a") as stream:
        stream.write(f"{payload}\n")
    if payload < 0:
        raise VoxledgerError(f"{payload} is negative", "give a positive number")
    (folder / f"{payload}.txt").write_text(str(payload**2))
    return {"square": payload**2}


def unsteady(payload: int, folder: Path) -> dict[str, Any]:
    (folder / "now.txt").write_text(str(time.monotonic_ns()))
    return {}


def unordered(payload: int, folder: Path) -> dict[str, Any]:
    return {"z": (payload, 2), "a": {"y": 1, "b": 2}}


def test_a_fresh_result_looks_like_a_remembered_one(folder: Path) -> None:
    (fresh,) = casemap("test", unordered, tasks(1), folder / "out")
    (remembered,) = casemap("test", unordered, tasks(1), folder / "out")
    assert json.dumps(fresh) == json.dumps(remembered) == '{"a": {"b": 2, "y": 1}, "z": [1, 2]}'


def deadly(payload: int, folder: Path) -> dict[str, Any]:
    if payload == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{payload}.txt").write_text("alive")
    return {}


def test_a_killed_process_does_not_take_the_other_cases_along(folder: Path) -> None:
    with pytest.raises(CasesFailed, match=r"1 of 5 cases failed\n  case2: its process was killed"):
        casemap("test", deadly, tasks(0, 1, 2, 3, 4), folder / "out", workers=2)
    assert len(list((MEMO / "test").glob("[!.]*/memo.json"))) == 4


def tasks(*numbers: int) -> list[Task]:
    return [Task(f"case{n}", key_of("test", 1, n=n), n) for n in numbers]


def calls() -> list[str]:
    path = Path("calls.txt")
    found = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_tasks(folder: Path, workers: int) -> None:
    infos = casemap("test", square, tasks(3, 1, 2), folder / "out", workers=workers, manifest=folder / "m.jsonl")
    assert infos == [{"square": 9}, {"square": 1}, {"square": 4}]
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["1.txt", "2.txt", "3.txt"]
    lines = [json.loads(line) for line in (folder / "m.jsonl").read_text().splitlines()]
    assert [line["case"] for line in lines] == ["case3", "case1", "case2"]
    assert list(lines[0]["outputs"]) == ["3.txt"]


def test_only_new_cases_are_computed(folder: Path) -> None:
    casemap("test", square, tasks(1, 2), folder / "a")
    assert calls() == ["1", "2"]
    casemap("test", square, tasks(1, 2, 3), folder / "b")
    assert calls() == ["3"]
    assert (folder / "b" / "1.txt").read_text() == "1"


def test_a_damaged_memo_is_not_trusted(folder: Path) -> None:
    (task,) = tasks(5)
    casemap("test", square, [task], folder / "a")
    (MEMO / "test" / task.key / "5.txt").write_text("26")
    calls()
    casemap("test", square, [task], folder / "b")
    assert calls() == ["5"]
    assert (folder / "b" / "5.txt").read_text() == "25"


def test_one_bad_case_does_not_hide_the_others(folder: Path) -> None:
    with pytest.raises(CasesFailed) as caught:
        casemap("test", square, tasks(1, -2, 3, -4), folder / "out")
    assert "case-2: -2 is negative" in str(caught.value)
    assert "case-4" in str(caught.value)
    assert not (folder / "out").exists()
    calls()
    casemap("test", square, tasks(1, 3), folder / "out")
    assert calls() == []


def test_no_memo_and_recheck_compute_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    casemap("test", square, tasks(1, 2), folder / "out")
    calls()
    casemap("test", square, tasks(1, 2), folder / "out", recheck=1.0)
    assert calls() == ["1", "2"]
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    casemap("test", square, tasks(1, 2), folder / "out")
    assert calls() == ["1", "2"]


def test_recheck_finds_what_does_not_repeat(folder: Path) -> None:
    casemap("test", unsteady, tasks(1), folder / "out")
    with pytest.raises(CasesFailed, match="came out differently"):
        casemap("test", unsteady, tasks(1), folder / "out", recheck=1.0)


def test_the_key_covers_every_part() -> None:
    keys = {key_of("a", 1, x=1), key_of("b", 1, x=1), key_of("a", 2, x=1), key_of("a", 1, x=2), key_of("a", 1, y=1)}
    assert len(keys) == 5
    assert key_of("a", 1, x=1, y=2) == key_of("a", 1, y=2, x=1)


def test_nothing_to_do(folder: Path) -> None:
    assert casemap("test", square, [], folder / "out") == []
    assert list((folder / "out").iterdir()) == []


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from voxledger.casemap import Task, casemap, key_of

def slow(payload, folder):
    with open("calls.txt", "a") as stream:
        stream.write(f"{{payload}}\\n")
    time.sleep(0.25)
    (folder / f"{{payload}}.txt").write_text(str(payload))
    return {{}}

if __name__ == "__main__":
    casemap("slow", slow, [Task(f"c{{n}}", key_of("slow", 1, n=n), n) for n in range(8)], Path("out"))
"""


def test_a_killed_run_resumes(folder: Path) -> None:
    script = folder / "slow.py"
    script.write_text(SLOW.format(here=str(folder)))
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
