"""The commands of docs/auditors.md that check a version without voxledger, as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import output, run

from .conftest import Released, make_key

PAGE = Path(__file__).parents[2] / "docs/auditors.md"
LABEL = Path("data/release/labels/case1.nii.gz")
MANIFEST = Path("data/release/manifest.json")


@pytest.fixture
def clone(released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shallow clone of round-01, as the current folder."""
    run("cp", "-a", str(released.clone), str(tmp_path / "copy"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def check(signers: Path, tag: str = "round-01") -> subprocess.CompletedProcess[str]:
    """Run the page's commands with its first three lines filled in, where voxledger and DVC cannot be found."""
    commands = PAGE.read_text().split("### The same without voxledger")[1].split("```sh\n")[1].split("```")[0]
    for name, value in (("TAG", tag), ("SIGNERS", str(signers)), ("WHO", "curator")):
        commands, count = re.subn(f"^{name}=.*$", f"{name}={value}", commands, flags=re.MULTILINE)
        assert count == 1
    programs = {"cat", "cut", "diff", "find", "git", "grep", "mktemp", "sed", "sha256sum", "sort", "ssh-keygen"}
    path = signers.parent / "programs"
    path.mkdir(exist_ok=True)
    for program in programs:
        if not (path / program).exists():
            (path / program).symlink_to(str(shutil.which(program)))
    shell = str(shutil.which("sh"))
    return subprocess.run([shell, "-c", commands], capture_output=True, text=True, check=False, env={"PATH": str(path)})


def test_the_page_passes_an_intact_version(clone: Path, released: Released) -> None:
    for tag in ("round-01", "two@v1.0.0"):
        done = check(released.signers, tag)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("intact\n")
    names = json.loads(MANIFEST.read_text())["files"]
    assert len(names) > 80


def one_byte(path: Path) -> Callable[[], None]:
    def alter() -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)

    return alter


def a_link_to_the_same() -> None:
    LABEL.rename("../same.nii.gz")
    LABEL.symlink_to(Path("../same.nii.gz").resolve())


def a_link_more() -> None:
    Path("stages/json.py").symlink_to("gate.py")


def code_for_python() -> None:
    Path("stages/__pycache__").mkdir()
    Path("stages/__pycache__/gate.cpython-311.pyc").write_bytes(b"x")


def a_label_less() -> None:
    LABEL.unlink()


def hidden_from_git() -> None:
    run("git", "update-index", "--assume-unchanged", "stages/gate.py")
    one_byte(Path("stages/gate.py"))()


def an_unsigned_tag() -> None:
    run("git", "tag", "--force", "--annotate", "round-01", "--message", "two v1.0.0")


def a_commit_on_top() -> None:
    run("git", "commit", "--quiet", "--allow-empty", "--message", "more")


def the_other_tag() -> None:
    run("git", "update-ref", "refs/tags/round-01", output("git", "rev-parse", "refs/tags/two@v1.0.0").strip())


ALTERED: list[tuple[Callable[[], None], str]] = [
    (one_byte(LABEL), f"{LABEL}: FAILED"),
    (one_byte(Path("models/base.json")), "models/base.json: FAILED"),
    (one_byte(Path("data/round/bundles/bundle-r01-ann/bundle.json")), "bundle-r01-ann/bundle.json: FAILED"),
    (one_byte(MANIFEST), "Could not verify signature"),
    (a_link_to_the_same, f"> l {LABEL}"),
    (a_link_more, "> l stages/json.py"),
    (code_for_python, "> f stages/__pycache__/gate.cpython-311.pyc"),
    (a_label_less, str(LABEL)),
    (hidden_from_git, "stages/gate.py: FAILED"),
    (one_byte(Path("data/release/manifest.intoto.json")), ""),
    (Path("data/release/manifest.intoto.json").unlink, ""),
    (an_unsigned_tag, ""),
    (a_commit_on_top, "tag round-01"),
    (the_other_tag, 'Good "git" signature'),
]


@pytest.mark.parametrize(("alter", "said"), ALTERED, ids=[f"{n}-{said}" for n, (_, said) in enumerate(ALTERED)])
def test_the_page_stops_at_an_alteration(clone: Path, released: Released, alter: Callable[[], None], said: str) -> None:
    alter()
    done = check(released.signers)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "intact" not in done.stdout


def test_the_page_trusts_no_stranger(clone: Path, released: Released, tmp_path: Path) -> None:
    make_key(tmp_path, "other", "curator")
    done = check(tmp_path / "other.signers")
    assert done.returncode != 0
    assert "intact" not in done.stdout
