"""`voxledger memo`: what stages used last stays, the rest goes when it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from voxledger.casemap import contents
from voxledger.cli.main import cli
from voxledger.layout import MEMO

STAGE = """
import sys
from pathlib import Path
from voxledger import process
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap

class Square(Job[int]):
    stage, algorithms = "squares", ()
    number: int = content()

    def compute(self, folder: Path) -> int:
        print(self.number, end=" ")
        if self.number < 0:
            raise ValueError("negative")
        (folder / f"{self.number}.txt").write_text("x" * 1000)
        return self.number ** 2

process.at_work = True
for numbers in sys.argv[1:]:
    if numbers == "stop":
        sys.exit(1)
    casemap([Square(name=n, number=int(n)) for n in numbers.split(",")], Path("data/round/pseudo"), nothing_else=True)
process.at_work = False
"""

NESTED = """
import time
from pathlib import Path
from voxledger import process
from voxledger.casemap.job import Job
from voxledger.casemap.once import files_of, once
from voxledger.casemap.run import casemap

class Part(Job[None]):
    stage, algorithms = "parts", ()

    def compute(self, folder: Path) -> None:
        (folder / "part.txt").write_text("x")

class Whole(Job[str]):
    stage, algorithms = "wholes", ()

    def compute(self, folder: Path) -> str:
        part = Part(name="a")
        once(part)
        folder = files_of(part)
        Path("at-work").touch()
        while not Path("pruned").exists():
            time.sleep(0.05)
        return (folder / "part.txt").read_text()

process.at_work = True
casemap([Whole(name="a")], Path("data/round/pseudo"))
process.at_work = False
"""


@pytest.fixture
def repository(folder: Path) -> Path:
    """What `require_root` asks for."""
    for name in (".git", ".dvc"):
        Path(name).mkdir()
    for name in ("dvc.yaml", "params.yaml"):
        Path(name).touch()
    Path("stage.py").write_text(STAGE)
    return folder


def run(stage: str, *numbers: str) -> list[int]:
    """Run a stage as DVC does; returns what was computed."""
    command = [sys.executable, "stage.py", *numbers]
    done = subprocess.run(command, env={**os.environ, "DVC_STAGE": stage}, stdout=subprocess.PIPE, text=True)
    assert (done.returncode == 0) is not bool({"-1", "stop"} & set(",".join(numbers).split(",")))
    return [int(n) for n in done.stdout.split()]


def command(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["memo", *arguments])
    assert result.exit_code == 0, result.output
    return result


def squares(*arguments: str) -> dict[str, Any]:
    """What is said of the entries."""
    (stage,) = (s for s in json.loads(command(*arguments, "--json").output)["stages"] if s["stage"] == "squares")
    return dict(stage)


def test_what_a_stage_used_last_stays_and_the_rest_goes(repository: Path) -> None:
    assert run("one", "1,2,3") == [1, 2, 3]
    assert run("two", "3,4") == [4]
    assert squares()["unneeded"] == 0
    assert run("one", "2", "3") == []
    found = squares()
    assert (found["entries"], found["unneeded"]) == (4, 1)
    assert 4000 < found["bytes"] < 8000
    assert found["shared_bytes"] == 1000  # only 3 is an output now
    assert found["freed_bytes"] == found["unneeded_bytes"] > 1000
    before = sorted(MEMO.rglob("*"))
    assert "would remove 1 entries" in command("prune", "--dry-run").output
    assert sorted(MEMO.rglob("*")) == before
    assert "removed 1 entries" in command("prune").output
    assert squares()["entries"] == 3
    assert "removed 0 entries" in command("prune").output
    assert Path("data/round/pseudo/3.txt").is_file()
    assert run("two", "1,2,3,4") == [1]


def test_a_run_that_failed_takes_nothing_away(repository: Path) -> None:
    """Nor does one that was killed; what it used before is needed by the next."""
    run("one", "1,2", "3")
    run("one", "1,-1", "3")
    assert squares()["unneeded"] == 0
    run("one", "1", "stop", "3")
    assert squares()["unneeded"] == 0
    run("one", "1", "3")
    assert squares()["unneeded"] == 1


def test_what_a_stage_at_work_has_computed_on_the_way_stays(repository: Path) -> None:
    Path("nested.py").write_text(NESTED)
    used = MEMO / "used/one.json"
    used.parent.mkdir(parents=True)
    used.write_text('{"parts": []}')  # it ran before
    stage = subprocess.Popen([sys.executable, "nested.py"], env={**os.environ, "DVC_STAGE": "one"})
    while not Path("at-work").exists():
        assert stage.poll() is None
        time.sleep(0.05)
    prune = subprocess.Popen([sys.executable, "-m", "voxledger", "memo", "prune"], stderr=subprocess.PIPE, text=True)
    assert prune.stderr is not None
    said = prune.stderr.readline()  # that it waits, or the end
    Path("pruned").touch()
    prune.communicate()
    assert (stage.wait(), prune.returncode) == (0, 0)
    assert said.startswith("wholes: waiting for")
    assert set(json.loads(used.read_text())) == {"parts", "wholes"}


def test_where_no_stage_has_said_what_it_uses_all_stays(repository: Path) -> None:
    """As in a memo that an older version made."""
    run("one", "1")
    older = MEMO / "older" / ("0" * 64)
    older.mkdir(parents=True)
    (older / "memo.json").write_text('{"facts": 1, "outputs": {}}')
    command("prune")
    assert older.is_dir()


def test_what_was_never_finished_goes_after_a_week(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine somebody may be at work."""
    run("one", "1")
    partial, links = MEMO / "squares/.partial-elsewhere.17.0123abcd", MEMO / ".evaluate-killed"
    for path in (partial, links):
        path.mkdir()
        (path / "a.txt").write_text("a")
    command("prune")
    assert partial.is_dir()
    assert links.is_dir()
    monkeypatch.setattr(contents, "ABANDONED_SECONDS", -10)
    assert "unfinished" in command().output
    assert "removed 2 entries" in command("prune").output
    assert not partial.exists()
    assert not links.exists()
    assert squares()["entries"] == 1


def test_an_empty_memo_is_shown(repository: Path) -> None:
    assert command().output.splitlines()[-1].split()[:2] == ["all", "0"]
    assert json.loads(command("--json").output)["stages"] == []


def test_hashes_of_files_that_are_gone_are_forgotten(repository: Path) -> None:
    run("one", "1,2")
    first, second = json.loads((MEMO / "hashes.json").read_text())
    assert (first, second) == ("data/round/pseudo/1.txt", "data/round/pseudo/2.txt")
    Path(first).unlink()
    command("prune")
    assert list(json.loads((MEMO / "hashes.json").read_text())) == [second]
