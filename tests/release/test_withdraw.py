"""Withdrawing in small repositories: whom there is not, who is the only one, and who is asked for otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import output, run

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.imaging.volume import Grid, write
from voxledger.records.cases import Case, read_cases
from voxledger.records.pseudonyms import Pseudonyms, open_pseudonyms
from voxledger.records.withdrawn import read_withdrawn
from voxledger.release.withdraw import withdraw

pytestmark = pytest.mark.slow
GRID = Grid.plain((4, 6, 5), (3.0, 1.5, 1.5))


@pytest.fixture
def key(tmp_path: Path) -> Iterator[Pseudonyms]:
    """Of a repository with one patient, in the test split, who has two cases; it is the current folder."""
    for number, name in enumerate(("scan1", "scan1_2")):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1, 2:4, 1 + number] = 1
        write(tmp_path / f"images/{name}.nii.gz", (labels * 100).astype(np.int16) + number, GRID)
        write(tmp_path / f"labels/{name}.nii.gz", labels, GRID)
    (tmp_path / "patients.csv").write_text("case_id,patient\nscan1,pat1\nscan1_2,pat1\n")
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        given = ("--labels", "../labels", "--patients", "../patients.csv", "--split", "test", "--keys", "../keys")
        run("voxledger", "cases", "add", "../images", *given)
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "Cases")
        yield open_pseudonyms(tmp_path / "keys", Path.cwd())


def test_who_is_not_there_is_not_withdrawn(key: Pseudonyms) -> None:
    before: list[Case] = read_cases()
    for name, said in (
        ("pat", "no case of a patient pat is in"),
        ("pat10", "no case of a patient pat10 is in"),
        ("scan1", "scan1 is a case, and its patient is pat1, whose scan1_2 would go, too"),
    ):
        with pytest.raises(Misuse, match=said):
            withdraw(name, "asked", key)
    with pytest.raises(Misuse, match="it needs a reason"):
        withdraw("pat1", " ", key)
    assert read_cases() == before
    assert not layout.WITHDRAWN.exists()


def test_the_only_patient_may_go(key: Pseudonyms) -> None:
    Path("notes.txt").write_text("of scan1_2")
    done = withdraw("pat1", "asked", key)
    assert done.named == [Path("notes.txt")]
    assert not read_cases()
    assert not list(Path("data").rglob("*.nii.gz"))
    (row,) = read_withdrawn()
    assert (len(row.cases), row.models, row.returns) == (2, (), ())
    assert output("git", "status", "--porcelain") == "?? notes.txt\n"
    with pytest.raises(Misuse, match="was withdrawn on"):
        withdraw("pat1", "asked", key)
