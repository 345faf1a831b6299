"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, beside the project; tests that need them skip where they are missing."""
    if not SHARED.is_dir():
        pytest.skip(f"real images are not at {SHARED}")
    return SHARED


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty current folder."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """This Python first on the path for stages, and a git identity of its own."""
    kept = dict(os.environ)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"] = "test"
        os.environ[f"GIT_{role}_EMAIL"] = "test@example.org"
    os.environ["VOXLEDGER_WORKERS"] = "1"
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    os.chdir(tmp_path)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


LONGEST = ("test_rounds.py", "test_verify.py")
"""Files that begin first, so that no process is left with one at the end."""


@pytest.hookimpl(tryfirst=True)  # before that of xdist, which takes the groups down
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes, one makes what the tests of a file share, or all that use the same two versions."""
    for item in items:
        shared = "released" if "released" in getattr(item, "fixturenames", ()) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(shared))
    items.sort(key=lambda item: item.path.name not in LONGEST)
