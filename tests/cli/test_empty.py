"""Cases in which nothing is found, over two rounds: a healthy one that people accept, and one that they empty."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import Grid, read_label, write
from voxledger.records.ledger import read_ledger

GRID = Grid.plain((12, 14, 16), (3.0, 1.5, 1.5))
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
HEALTHY, EMPTIED, SOURCE_EMPTY = "case3", "case4", "case5"


@pytest.mark.slow
def test_empty_cases_are_closed_verified_and_carried_into_the_next_round(tmp_path: Path) -> None:
    for n in range(6):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 3 : 10 + n % 2, 4:12] = 1
        labels[5:7, 5:8, 6:9] = 2
        truth = labels if n < 3 else np.zeros_like(labels)
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(tmp_path / f"images/case{n}.nii.gz", (truth * 100 + noise).astype(np.int16), GRID)
        write(tmp_path / f"reference/case{n}.nii.gz", truth, GRID)
        write(tmp_path / f"model/case{n}.nii.gz", labels if f"case{n}" != HEALTHY else truth, GRID)
        if n < 3 or f"case{n}" == SOURCE_EMPTY:
            write(tmp_path / f"labels/case{n}.nii.gz", truth, GRID)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "two")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 5, "audit": 0}, export={"reviewers": ["ann"]}, cases={"calibration": 0.0, "test": 0.3}
        )
        run("voxledger", "cases", "add", str(tmp_path / "images"), "--labels", str(tmp_path / "labels"))
        declared = ("--id", "model-1", "--licence", "CC0-1.0", "--classes", "organ,lesion")
        run("voxledger", "models", "add", "m", "--predictions", str(tmp_path / "model"), *declared)
        for number in range(2):
            code = run_round(tmp_path / "reference")
            assert code == (3 if number == 0 else 0), number
            run("voxledger", "round", "close")
            run("voxledger", "verify", f"round-0{number}")
            ledger = read_ledger("data/release/ledger.csv")
            for case in (HEALTHY, EMPTIED, SOURCE_EMPTY):
                assert {n for c, n in ledger if c == case} == {"organ", "lesion"}
                assert not read_label(f"data/release/labels/{case}.nii.gz", GRID).any()
                assert {e.ml for (c, _), e in ledger.items() if c == case} == {0.0}
            if number == 0:
                run("voxledger", "round", "open")
                assert Path(f"data/base/labels/{HEALTHY}.nii.gz").is_file()
        changes = json.loads(output("voxledger", "diff", "round-00", "round-01", "--json"))
        assert [c for c in changes if c["case_id"] in (HEALTHY, EMPTIED, SOURCE_EMPTY)] == []


def run_round(reference: Path) -> int:
    """Run the round, with the emulated reader if it waits; returns how `round run` first ended."""
    said = run("voxledger", "round", "run", accept=(0, 3))
    waited = "waits for people" in said
    if waited:
        run("voxledger", "review", "emulate", "--reference", str(reference))
        run("voxledger", "round", "run")
    return 3 if waited else 0
