"""What is remembered is served only as it was: whoever writes into it, or into an output that is a link of it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxledger.casemap.hashes import JUST_NOW_NS
from voxledger.casemap.job import Job, content
from voxledger.casemap.memo import PARTIAL, compute, remembered
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.layout import MEMO
from voxledger.params import MachineParams

OUT = Path("out")
FILE, SOURCE = OUT / "sub/7.txt", Path("source.txt")


class Text(Job[int]):
    stage, algorithms = "test", ()
    number: int = content()
    source: Path | None = content(default=None)

    def compute(self, folder: Path) -> int:
        with open("calls.txt", "a") as stream:
            stream.write(f"{self.number}\n")
        (folder / "sub").mkdir()
        (folder / f"sub/{self.number}.txt").write_text("right")
        return self.number


class Both(Job[int]):
    """Of two that compute it at once, each gets its own result."""

    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> int:
        (folder / "pid.txt").write_text(str(os.getpid()))
        return os.getpid()


class Linked(Job[None]):
    stage, algorithms = "test", ()
    way: str = content()

    def compute(self, folder: Path) -> None:
        (os.link if self.way == "hard" else os.symlink)(SOURCE.absolute(), folder / "taken.txt")


JOB = Text(name="case", number=7)


def calls() -> int:
    path = Path("calls.txt")
    found = len(path.read_text().split()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return found


def run(recheck: float = 0.0) -> int:
    """Run a stage as DVC does, which empties its output first; returns how many jobs were computed."""
    shutil.rmtree(OUT, ignore_errors=True)
    casemap([JOB], OUT, MachineParams(workers=1, recheck=recheck))
    assert FILE.read_text() == "right"
    return calls()


def remembered_file() -> Path:
    return MEMO / "test" / JOB.key / "sub/7.txt"


def test_an_output_is_a_read_only_link_of_the_memo(folder: Path) -> None:
    run()
    assert FILE.samefile(remembered_file())
    assert stat.S_IMODE(FILE.stat().st_mode) & 0o222 == 0
    inode = FILE.stat().st_ino
    assert run() == 0
    assert FILE.stat().st_ino == inode
    assert FILE.stat().st_nlink == 2


def in_place(path: Path) -> None:
    """As an editor of root does, or of whoever gave themselves the right to write: it is the same inode."""
    inode = path.stat().st_ino
    path.chmod(0o644)
    with open(path, "r+") as stream:
        stream.write("wrong")
    assert path.stat().st_ino == inode


def replaced(path: Path) -> None:
    """Another inode, with the size and time of before."""
    before = path.stat()
    path.rename(path.with_name("kept"))
    path.write_text("wrong")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def longer(path: Path) -> None:
    before = path.stat()
    with open(path, "a") as stream:
        stream.write(" or not")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def later(path: Path) -> None:
    """Only the time is another, and the bytes."""
    before = path.stat()
    in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("alter", [in_place, replaced, longer, later, os.remove])
@pytest.mark.parametrize("by_output", [False, True])
def test_a_file_that_was_altered_is_computed_again(
    folder: Path, alter: Callable[[Path], None], by_output: bool
) -> None:
    """Right after it was made, too, when the clock has not moved on."""
    run()
    alter(FILE if by_output else remembered_file())
    # Unlinking an output, or putting another in its place, leaves the memo as it is.
    assert run() == (0 if by_output and alter in (replaced, os.remove) else 1)
    assert run() == 0


def unseen(path: Path) -> None:
    """Same size, time and inode."""
    before = path.stat()
    in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_recheck_finds_what_size_time_and_inode_do_not_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    unseen(FILE)
    casemap([JOB], OUT)
    assert FILE.read_text() == "wrong"
    capsys.readouterr()
    assert run(recheck=1.0) == 1
    assert f"{remembered_file()} was altered: case is computed again" in capsys.readouterr().err
    assert run() == 0


def test_no_memo_reads_and_computes_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    unseen(FILE)
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    assert run() == 1


@pytest.mark.parametrize("how", ["recheck", "no memo"])
@pytest.mark.parametrize("own", [False, True], ids=["link", "copy"])
def test_an_output_that_was_altered_unseen_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, own: bool
) -> None:
    """Also where it is no link of the memo, as DVC's copies."""
    run()
    if own:
        copy = FILE.with_suffix(".copy")
        shutil.copyfile(FILE, copy)
        os.utime(copy, ns=(1, FILE.stat().st_mtime_ns))
        copy.replace(FILE)
        casemap([JOB], OUT)
    unseen(FILE)
    if how == "no memo":
        monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    casemap([JOB], OUT, MachineParams(workers=1, recheck=1.0 if how == "recheck" else 0.0))
    assert FILE.read_text() == "right"


def test_an_output_that_leads_nowhere_is_replaced(folder: Path) -> None:
    run()
    for make in (lambda: FILE.symlink_to(FILE.name), lambda: FILE.symlink_to("gone.txt"), lambda: os.mkfifo(FILE)):
        FILE.unlink()
        make()
        casemap([JOB], OUT)
        assert FILE.samefile(remembered_file())


def test_a_folder_where_an_output_belongs_is_named(folder: Path) -> None:
    FILE.mkdir(parents=True)
    with pytest.raises(VoxledgerError, match=re.escape(f"{FILE} is a folder")):
        casemap([JOB], OUT)


def touched(folder: Path) -> None:
    os.utime(folder / "sub/7.txt", ns=(1, time.time_ns() - 2 * JUST_NOW_NS))


def copied(folder: Path) -> None:
    """As a repository that was moved to another disk."""
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def made_by_an_older_version(folder: Path) -> None:
    record = folder / "memo.json"
    files, facts = (json.loads(line) for line in record.read_text().splitlines())
    record.write_text(json.dumps({"facts": facts, "outputs": files["outputs"]}))
    (folder / "sub/7.txt").chmod(0o644)
    (folder.parent / "records.json").unlink()


def test_a_named_pipe_in_the_place_of_a_record_is_not_waited_for(folder: Path) -> None:
    run()
    record = MEMO / "test" / JOB.key / "memo.json"
    (MEMO / "test/records.json").unlink()
    record.parent.chmod(0o755)
    record.unlink()
    os.mkfifo(record)
    assert run() == 1
    assert FILE.read_text() == "right"


def test_a_table_of_records_that_somebody_wrote_into_is_not_believed(folder: Path) -> None:
    run()
    table = MEMO / "test/records.json"
    before = table.read_text()
    table.chmod(0o644)
    table.write_text(before.replace(f'"{JOB.number}"', '"8"'))
    assert table.read_text() != before
    assert casemap([JOB], OUT) == [7]
    assert calls() == 0
    assert table.read_text() == before
    for rows in ("{}", "[]", '{"' + JOB.key + '": []}', '{"' + JOB.key + '": [1, {}, "x"]}', "", "\0"):
        table.write_text(rows)
        assert casemap([JOB], OUT) == [7], rows
        assert calls() == 0, rows


def test_what_another_job_left_is_not_taken_for_this_one(folder: Path) -> None:
    """As after a person moved folders of the memo about."""
    other = Text(name="other", number=8)
    casemap([JOB, other], OUT)
    calls()
    for source, target in ((JOB.key, "third"), (other.key, JOB.key), ("third", other.key)):
        (MEMO / "test" / source).rename(MEMO / "test" / target)
    assert casemap([JOB, other], OUT) == [7, 8]
    assert (FILE.read_text(), (OUT / "sub/8.txt").read_text()) == ("right", "right")
    assert calls() == 2


@pytest.mark.parametrize("change", [touched, copied, made_by_an_older_version])
def test_what_only_looks_altered_is_read_once_and_sealed_anew(folder: Path, change: Callable[[Path], None]) -> None:
    run()
    change(MEMO / "test" / JOB.key)
    before = (MEMO / "test" / JOB.key / "memo.json").read_text()
    assert run() == 0
    sealed = (MEMO / "test" / JOB.key / "memo.json").read_text()
    assert sealed != before
    assert run() == 0
    assert (MEMO / "test" / JOB.key / "memo.json").read_text() == sealed
    assert remembered_file().stat().st_mode & 0o222 == 0


def test_what_was_touched_just_now_is_read_until_that_is_past(folder: Path) -> None:
    """Who writes in the same moment leaves the same time."""
    run()
    before = (MEMO / "test" / JOB.key / "memo.json").read_text()
    os.utime(remembered_file())
    assert run() == 0
    assert (MEMO / "test" / JOB.key / "memo.json").read_text() == before


def test_a_memo_that_goes_while_it_is_used_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxledger.casemap import place

    monkeypatch.setattr(place, "_SECONDS_UNTIL_SEEN", (0.0, 0.0))
    record = compute(JOB, keep=True)
    shutil.rmtree(MEMO)
    with pytest.raises(VoxledgerError, match="altered while a stage used it"):
        place.place_outputs(JOB, record, OUT)


def test_what_is_seen_late_is_waited_for(folder: Path) -> None:
    """As on NFS, where another machine has renamed it."""
    from voxledger.casemap import place

    record = compute(JOB, keep=True)
    final = MEMO / "test" / JOB.key
    final.rename("late")
    timer = threading.Timer(0.3, Path("late").rename, (final.absolute(),))
    timer.start()
    place.place_outputs(JOB, record, OUT)
    timer.join()
    assert FILE.read_text() == "right"


def test_the_time_of_a_remembered_file_is_past(folder: Path) -> None:
    """A write in the moment in which it was hashed would leave the same time otherwise."""
    run()
    record = MEMO / "test" / JOB.key / "memo.json"
    assert remembered_file().stat().st_mtime_ns <= record.stat().st_mtime_ns - JUST_NOW_NS


@pytest.mark.parametrize("way", ["hard", "symbolic"])
def test_what_a_job_links_is_not_touched(folder: Path, way: str) -> None:
    SOURCE.write_text("a file of somebody")
    before = SOURCE.stat()
    casemap([Linked(name="case", way=way)], OUT)
    after = SOURCE.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)
    assert (OUT / "taken.txt").read_text() == "a file of somebody"
    assert not (OUT / "taken.txt").is_symlink()


def test_an_output_that_is_there_is_unlinked_and_not_written_into(folder: Path) -> None:
    """It may be a link of DVC's cache."""
    cached, link = Path("cached.txt"), Path("link.txt")
    cached.write_text("of DVC")
    FILE.parent.mkdir(parents=True)
    os.link(cached, FILE)
    link.symlink_to(cached)
    casemap([JOB], OUT)
    FILE.unlink()
    FILE.symlink_to(cached.absolute())
    casemap([JOB], OUT)
    assert cached.read_text() == "of DVC"
    assert FILE.samefile(remembered_file())


@pytest.mark.parametrize("read", [True, False])
def test_what_dvc_put_there_stays(folder: Path, read: bool) -> None:
    """DVC, set to copy, puts a copy in the place of an output, and would hash and copy again what was linked anew."""
    out = Path("data/round/pseudo")
    casemap([JOB], out)
    file, past = out / "sub/7.txt", 1_700_000_000_123_456_789
    file.unlink()
    file.write_text("right")
    os.utime(file, ns=(past, past))
    copy = file.stat().st_ino
    if read:
        casemap([Text(name="reads it", number=8, source=file)], Path("data/other"))
    casemap([JOB], out)
    assert file.stat().st_ino == copy
    file.write_text("wrong")
    casemap([JOB], out)
    assert file.samefile(remembered_file())
    assert file.read_text() == "right"


def no_links(source: str, target: str) -> None:
    """As where the file system has none, or the memo is another person's."""
    raise FileExistsError(errno.EEXIST, "") if Path(target).exists() else OSError(errno.EPERM, "")


@pytest.mark.parametrize("refused", [False, True])
def test_where_links_are_refused_outputs_are_copies(
    folder: Path, small_disk: Path, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another disk, too. They are read-only, not copied again while nothing changes, and the memo is safe."""
    if refused:
        monkeypatch.setattr(os, "link", no_links)
    out = folder / "out" if refused else small_disk / "out"
    (out / "sub").mkdir(parents=True)
    for _ in range(2):
        casemap([JOB], out)
        file = out / "sub/7.txt"
        assert not file.samefile(remembered_file())
        assert file.stat().st_mode == remembered_file().stat().st_mode
        inode = file.stat().st_ino
        casemap([JOB], out)
        assert file.stat().st_ino == inode
        in_place(file)
    casemap([JOB], out)
    assert file.read_text() == "right"
    assert calls() == 1


def test_the_first_of_two_wins(folder: Path) -> None:
    job = Both(name="case")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from test_memo import Both\n"
        "from voxledger.casemap.memo import compute\n"
        "print(compute(Both(name='case'), keep=True).facts)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0].strip() for process in both}
    found = remembered(job)
    assert found is not None
    assert said == {found.facts}
    assert compute(job, keep=True) == found
    assert casemap([job], OUT) == [int(found.facts)]
    assert (OUT / "pid.txt").read_text() == found.facts
    assert not list((MEMO / "test").glob(f"{PARTIAL}*"))


def test_folders_in_the_memo_have_the_rights_of_others(folder: Path) -> None:
    """Those of who else works on a cluster: only the owner could look into them."""
    run()
    Path("plain").mkdir()
    assert (MEMO / "test" / JOB.key).stat().st_mode == Path("plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("{here}.{alive}.0123abcd", True),
        ("{here}.{dead}.0123abcd", False),
        ("elsewhere.example.org.{dead}.0123abcd", True),
        ("x1y2_z3k", False),
    ],
)
def test_only_what_nobody_works_on_is_cleared_away(folder: Path, name: str, stays: bool) -> None:
    """What another machine computes was deleted; the last name is one of an older version, which worked alone."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leftover = MEMO / "test" / (PARTIAL + name.format(here=os.uname().nodename, alive=os.getppid(), dead=dead.pid))
    leftover.mkdir(parents=True)
    run()
    assert leftover.exists() is stays


class Unsteady(Job[None]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> None:
        (folder / "a.txt").write_text("a" * len(list(Path().glob("again*"))))


def test_what_was_written_meanwhile_is_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the memo and the link."""
    from voxledger.casemap import run as module

    place: Any = module.place_outputs

    def late(job: Job[Any], record: Any, out: Path, anew: bool) -> None:
        in_place(remembered_file())
        place(job, record, out, anew)

    run()
    shutil.rmtree(OUT)
    monkeypatch.setattr(module, "place_outputs", late)
    with pytest.raises(VoxledgerError, match="was altered while a stage used it"):
        casemap([JOB], OUT)
    assert not FILE.exists()
    monkeypatch.undo()
    assert run() == 1
