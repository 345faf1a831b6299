"""`voxledger round watch` beside a real round: one page, which sees the round go on by itself.

The picture of `docs/curators.md`: `VOXLEDGER_PICTURES=docs pytest tests/page/test_watch.py` makes it anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import parameters, run

from voxledger.imaging.volume import Grid, write

GRID = Grid.plain((12, 24, 28), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: liver}\n"


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reference labels of five cases; the current folder is a repository that knows none of them."""
    for n in range(5):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 4 : 16 + n % 2, 5 : 19 + n] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(tmp_path / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(tmp_path / f"reference/case{n}.nii.gz", labels, GRID)
        write(tmp_path / f"model/case{n}.nii.gz", np.roll(labels, 2, axis=2), GRID)
        write(tmp_path / f"other/case{n}.nii.gz", np.roll(labels, -3, axis=1), GRID)
        if n < 3:
            write(tmp_path / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "atlas")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "reference"


@pytest.fixture
def address(reference: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "voxledger", "round", "watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/watch\.html#token=[\w-]{40,})\n", said)
        assert found, said
        yield found[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def _heeds_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def send_out(folder: Path) -> None:
    Path("labels.yaml").write_text(LABELS)
    parameters(
        score={"budget": 2, "audit": 0, "opening": 0},
        export={"reviewers": ["ann", "bob"]},
        cases={"calibration": 0.0, "test": 0.3},
    )
    run("voxledger", "cases", "add", str(folder / "images"), "--labels", str(folder / "labels"))
    for name in ("model", "other"):
        given = f"--predictions={folder / name}", f"--id={name}-1", "--licence=CC0-1.0"
        run("voxledger", "models", "add", name, *given)
    run("voxledger", "round", "run", accept=(3,))


def hashes() -> dict[str, str]:
    """All files but what git and voxledger remember for themselves."""
    paths = [p for p in Path().rglob("*") if p.is_file() and p.parts[0] not in (".git", ".memo")]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p.parts[:2] != (".dvc", "tmp")}


def shows(page: Any, *texts: str) -> None:
    """Wait until the page shows some texts; it is not loaded anew."""
    for text in texts:
        page.locator("#round", has_text=text).wait_for(timeout=90_000)


@pytest.mark.slow
def test_the_page_sees_the_round_go_on_by_itself(reference: Path, address: str, page: Any, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1100, "height": 900})
    page.goto(address)
    shows(page, "atlas, round 0: empty", "No bundles in this round.", "No worklist in this round.")
    assert page.is_hidden("#report")

    send_out(tmp_path)
    shows(page, "atlas, round 0: waiting", "2 bundles, 0 back; 0 of 2 decisions.", "away")
    widths = page.evaluate("[...document.querySelectorAll('figure img')].map((i) => i.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 100
    worklist = page.locator("table", has_text="Attention (ml)")
    assert worklist.locator("tbody tr").count() == 2
    assert {"ann", "bob"} <= set(worklist.locator("td").all_inner_texts())

    run("voxledger", "review", "emulate", "--reference", str(reference), "--reviewer", "ann")
    before = hashes()
    shows(page, "2 bundles, 1 back; 1 of 2 decisions.")
    row = page.locator("tbody tr", has_text="ann").first.locator("td").all_inner_texts()
    assert row[2:5] == ["complete", "1 of 1", "1"]
    assert re.fullmatch(r"[\d.]+ \(assumed\)", row[5]), "nobody took them"
    assert row[6].endswith("UTC")
    assert row[7].endswith("UTC")
    assert hashes() == before
    page.screenshot(path=Path(os.environ.get("VOXLEDGER_PICTURES", str(tmp_path))) / "round-watch.png")

    run("voxledger", "review", "emulate", "--reference", str(reference))
    run("voxledger", "round", "run")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "finished")
    run("voxledger", "round", "close")
    shows(page, "atlas, round 0: closed", "2 bundles, 2 back; 2 of 2 decisions.")
    page.click("#report summary")
    assert page.inner_text("#report summary") == "atlas · round 0"
    report = page.frame_locator("#report iframe")
    report.locator("h1").wait_for()
    assert "round 0" in report.locator("h1").inner_text()


@pytest.mark.slow
def test_firefox_says_where_the_address_lacks_the_token(reference: Path, address: str, firefox_page: Any) -> None:
    firefox_page.goto(address)
    shows(firefox_page, "atlas, round 0: empty")
    assert "looks again every" in firefox_page.inner_text("#when")
    firefox_page.goto("about:blank")
    firefox_page.goto(address.partition("#")[0])
    firefox_page.locator("#when", has_text="lacks the token").wait_for()
