"""A full disk, a read-only file system and missing rights: the real reason, the real remedy, nothing half-written.

The disks are small `tmpfs` mounts. Where they cannot be mounted (only root can), tests skip, but for those that limit
the size of files.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from commands import fill, run

from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.cli.main import cli
from voxledger.disk import disk_failure
from voxledger.errors import DiskFailed, UnreadableImage, VoxledgerError
from voxledger.imaging.attention_file import open_attention, write_attention
from voxledger.imaging.intact import intact
from voxledger.imaging.soft import open_soft, write_soft
from voxledger.imaging.volume import WRITTEN, Grid, read, write
from voxledger.layout import MEMO
from voxledger.params import MachineParams
from voxledger.repository import dvc_add, dvc_output, git
from voxledger.review.pack import pack
from voxledger.textfile import read_text, replace_text

PAGE = 4096
NOISE = np.random.default_rng(0).integers(0, 1 << 15, (60, 60, 60)).astype(np.int16)
GRID = Grid.plain(NOISE.shape)  # type: ignore[arg-type]


def held(disk: Path) -> list[str]:
    return sorted(p.relative_to(disk).as_posix() for p in disk.rglob("*") if p.name != "filler")


@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_image_that_finds_no_room_is_an_error_and_leaves_nothing(small_disk: Path, suffix: str) -> None:
    """ITK cuts NIfTI off without a word: a label that lost its last slices was hashed and remembered as it was."""
    path = small_disk / f"a{suffix}"
    write(path, NOISE[:2], Grid.plain((2, 60, 60)))
    before = path.read_bytes()
    fill(small_disk, 40 * PAGE)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(path, NOISE, GRID)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert held(small_disk) == [path.name]
    assert path.read_bytes() == before


def soft(path: Path) -> None:
    write_soft(path, iter([("organ", NOISE / np.float32(1 << 15))]), ["organ"], GRID, "m", "0" * 64)


def attention(path: Path) -> None:
    bits = (NOISE % 7).astype(np.uint8)
    write_attention(path, [("organ", (slice(0, 60),) * 3, bits)], ["organ"], GRID)


WRITERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "a.nii.gz": (lambda path: write(path, NOISE, GRID), lambda path: read(path).array),
    "a.b2nd": (soft, lambda path: open_soft(path).read("organ")),
    "t.b2nd": (attention, lambda path: open_attention(path).read("organ")),
    "t.csv": (lambda path: replace_text(path, "x" * 500_000), lambda path: np.frombuffer(path.read_bytes(), np.uint8)),
}


def attempt(writer: Callable[[Path], None], path: Path) -> OSError | None:
    try:
        writer(path)
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_room_there_is_a_file_is_whole_or_not_there(small_disk: Path, tmp_path: Path, name: str) -> None:
    writer, reader = WRITERS[name]
    writer(tmp_path / name)
    wanted, size = reader(tmp_path / name), (tmp_path / name).stat().st_size
    written = 0
    for room in sorted({*range(0, size + 3 * PAGE, 12 * PAGE), *range(size - 4 * PAGE, size + 4 * PAGE, PAGE)}):
        fill(small_disk, max(room, 0))
        failure = attempt(writer, small_disk / name)
        if failure is not None:
            assert (failure.errno, failure.filename) == (errno.ENOSPC, str(small_disk / name)), room
            assert held(small_disk) == [], room
        else:
            written += 1
            assert np.array_equal(reader(small_disk / name), wanted), room
            (small_disk / name).unlink()
    assert 0 < written < 20


class Big(Job[None]):
    stage, algorithms = "big", ()
    number: int = content()

    def compute(self, folder: Path) -> None:
        write(folder / f"{self.number}.nii.gz", NOISE + np.int16(self.number), GRID)


@pytest.mark.parametrize("workers", [1, 2])
def test_cases_that_find_no_room_are_not_to_be_mended_or_removed(small_disk: Path, workers: int) -> None:
    os.chdir(small_disk)
    jobs = [Big(name=f"c{n}", number=n) for n in range(5)]
    with pytest.raises(DiskFailed) as caught:
        casemap(jobs, Path("out"), MachineParams(workers=workers))
    assert "no space left on the disk" in caught.value.problem
    assert "free some" in caught.value.remedy
    assert "mend or remove" not in str(caught.value)
    assert not list(MEMO.glob("big/.partial-*"))
    kept = {int(path.name.partition(".")[0]) for path in MEMO.glob("big/*/*.nii.gz")}
    assert len(kept) in (1, 2)  # of several processes, whichever found room
    assert {n for n in range(5) if f"\n  c{n}: " in caught.value.problem} == set(range(5)) - kept


class Array(Job[None]):
    stage, algorithms = "array", ()

    def compute(self, folder: Path) -> None:
        np.save(folder / "a.npy", np.concatenate([NOISE] * 10))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_array_that_finds_no_room_is_told_from_a_case_to_mend(small_disk: Path, workers: int) -> None:
    """NumPy says how much it wrote, and not why not more."""
    os.chdir(small_disk)
    with pytest.raises(DiskFailed, match="there is probably no space left on the disk"):
        casemap([Array(name="c0"), Array(name="c1")], Path("out"), MachineParams(workers=workers))


def test_an_output_that_finds_no_room_is_not_left_half(small_disk: Path, folder: Path) -> None:
    """On another disk than the memo, where it is a copy."""
    job = Big(name="c0", number=0)
    casemap([job], small_disk / "out")
    shutil.rmtree(small_disk / "out")
    fill(small_disk, 20 * PAGE)
    with pytest.raises(OSError, match="No space left") as caught:
        casemap([job], small_disk / "out")
    found = disk_failure(caught.value)
    assert found is not None
    assert found.problem == f"{small_disk}/out/0.nii.gz: no space left on the disk"
    assert not list((small_disk / "out").iterdir())


def test_a_whole_file_is_not_called_damaged_because_the_disk_is_full(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was to be saved again, and sent once more."""
    write(tmp_path / "a.nii.gz", NOISE, GRID)
    fill(small_disk, 20 * PAGE)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(OSError, match="No space left") as caught, intact(tmp_path / "a.nii.gz", 1 << 30):
        pass
    assert disk_failure(caught.value) is not None
    assert held(small_disk) == []
    with pytest.raises(UnreadableImage, match="damaged"), intact(Path(__file__).with_suffix(".nii"), 1 << 30):
        pass


def test_a_zip_that_finds_no_room_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/a.bin").write_bytes(NOISE.tobytes() * 2)
    fill(small_disk, 20 * PAGE)
    with pytest.raises(OSError, match="No space left") as caught:
        pack(tmp_path / "bundle", small_disk / "b.zip")
    assert caught.value.filename == str(small_disk / "b.zip")
    assert held(small_disk) == []


def test_a_record_without_the_right_to_read_it_is_not_to_be_restored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    with pytest.raises(PermissionError) as caught:
        read_text("data/cases.csv")
    found = disk_failure(caught.value)
    assert found is not None
    assert found.problem == "data/cases.csv: permission denied"
    assert "`ls -ld data/cases.csv`" in found.remedy


def test_git_on_a_full_disk_says_so_and_names_the_lock_that_is_left(small_disk: Path) -> None:
    """round close left .git/index.lock behind, and the next command failed for it without saying what to do."""
    os.chdir(small_disk)
    run("git", "init", "-q")
    for n in range(300):
        Path(f"{n:04}.txt").write_text("")
    fill(small_disk, PAGE)
    with pytest.raises(DiskFailed) as caught:
        git("add", "--all")
    assert "no space left on the disk" in caught.value.problem
    assert "free some" in caught.value.remedy
    assert ("rm .git/index.lock" in caught.value.remedy) is Path(".git/index.lock").exists()
    Path("filler").unlink()
    Path(".git/index.lock").touch()
    with pytest.raises(VoxledgerError) as locked:
        git("add", "--all")
    assert locked.value.remedy == "`rm .git/index.lock` if no git command runs here, then run this again"
    Path(".git/index.lock").unlink()
    git("add", "--all")


@pytest.mark.slow
def test_dvc_on_a_full_disk_says_so(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chdir(small_disk)
    run("git", "init", "-q")
    run("dvc", "init", "-q")
    Path("data").mkdir()
    Path("data/a.bin").write_bytes(NOISE.tobytes())
    fill(small_disk, 30 * PAGE)
    with pytest.raises(DiskFailed, match="no space left on the disk"):
        dvc_add("data")


@pytest.mark.slow
def test_a_repository_that_finds_no_room_is_not_left_half_made(small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk, 60 * PAGE)
    result = CliRunner().invoke(cli, ["init", str(small_disk / "atlas")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "no space left on the disk" in result.output
    assert held(small_disk) == []
    (small_disk / "filler").unlink()


def test_a_read_only_file_system_is_named(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = CliRunner().invoke(cli, ["init", str(small_disk / "atlas")])
    assert result.exit_code == 1
    assert f"{small_disk}/atlas: the file system is read-only" in result.output
    assert "→" in result.output
    with pytest.raises(OSError, match="Read-only") as caught:
        write(small_disk / "a.nii.gz", NOISE, GRID)
    assert caught.value.errno == errno.EROFS


def test_a_file_larger_than_is_allowed_is_named(tmp_path: Path) -> None:
    """The same without a small disk: `ulimit -f`."""
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, sys, numpy as np\n"
        "from voxledger.disk import disk_failure\n"
        "from voxledger.imaging.volume import Grid, write\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({40 * PAGE}, {40 * PAGE}))\n"
        "noise = np.random.default_rng(0).integers(0, 1 << 15, (60, 60, 60)).astype(np.int16)\n"
        "try:\n"
        "    write(sys.argv[1], noise, Grid.plain(noise.shape))\n"
        "except OSError as error:\n"
        "    print(disk_failure(error))\n"
    )
    for suffix in WRITTEN:
        said = run(sys.executable, str(script), str(tmp_path / f"a{suffix}"))
        assert f"{tmp_path}/a{suffix}: larger than files may be here" in said
        assert "ulimit -f" in said
    assert [p.name for p in tmp_path.iterdir()] == ["limited.py"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a", None, "b"), "b: no space left on the disk"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a"), "a: your share of the disk is used up"),
        (OSError(errno.EIO, "Input/output error", "a"), "a: the disk reports an error"),
        (OSError(errno.EMFILE, "Too many open files", "a"), "a: too many files are open"),
        (RuntimeError("while serializing: I/O error: No space left on device (os error 28)"), "no space left on the"),
        (
            RuntimeError("fatal: sha1 file '.git/index.lock' write error. Out of diskspace"),
            "there is probably no space",
        ),
        (RuntimeError("error: couldn't write '.git/refs/heads/main.lock'"), "there is probably no space left on the"),
        (RuntimeError("fatal: Unable to create '.git/index.lock': File exists."), None),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), None),
        (ValueError("a"), None),
        (VoxledgerError("No space left on device", "x"), None),
    ],
)
def test_failures_of_the_machine_are_told_from_others(error: BaseException, said: str | None) -> None:
    found = disk_failure(error)
    assert (found is None) is (said is None)
    if found is not None:
        assert found.problem.startswith(str(said))
        assert found.exit_code == 1
        assert found.remedy


def test_what_dvc_says_is_told_without_its_tracebacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`round close` and `round open` on a full disk printed pages of a library's code inside the error."""
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc/__main__.py").write_text(
        "import sys\n"
        "class Half:\n"
        "    def __del__(self): raise ResourceWarning('not closed')\n"
        "half = Half(); del half\n"
        "sys.stderr.write('ERROR: unexpected error - [Errno 28] No space left on device\\n')\n"
        "raise OSError(28, 'No space left on device', 'x')\n"
    )
    (tmp_path / "dvc/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DiskFailed) as caught:
        dvc_output("status")
    for kept in (
        "ResourceWarning: not closed",
        "ERROR: unexpected error",
        "OSError: [Errno 28] No space left on device",
    ):
        assert kept in caught.value.problem
    for cut in ("Traceback", "__main__.py", "Exception ignored"):
        assert cut not in caught.value.problem
