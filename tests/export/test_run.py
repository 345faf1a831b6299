from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.bundles.checks.volume import FACTOR, LESION_FACTOR
from voxledger.bundles.untouched import touched
from voxledger.errors import Misuse, VoxledgerError
from voxledger.export.run import export_round
from voxledger.imaging.volume import file_sha256, read, read_label
from voxledger.records.cases import Split
from voxledger.records.ledger import read_ledger
from voxledger.records.mask_quality import Quality
from voxledger.records.predicted import ensembles
from voxledger.records.worklist import WorkItem


def test_what_is_in_a_bundle(repo: Any) -> None:
    repo.cases = [replace(c, weak_label="data/weak/case_2.nii.gz") if c.case_id == "case_2" else c for c in repo.cases]
    Path("data/weak").mkdir()
    Path("data/weak/case_2.nii.gz").write_bytes(b"weak")
    repo.export(("case_2", "liver", "alice"), ("case_1", "lesion", "alice"), ("case_1", "pancreas", "alice"))
    folder = repo.bundle("alice")
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert files == [
        "README.md",
        "attention/case_1_attention.nii.gz",
        "attention/case_1_heat.nii.gz",
        "attention/case_2_attention.nii.gz",
        "attention/case_2_heat.nii.gz",
        "attention/heat.ctbl",
        "bundle.json",
        "colors_itksnap.txt",
        "colors_slicer.ctbl",
        "decisions.csv",
        "images/case_1.nii.gz",
        "images/case_2.nii.gz",
        "labels/case_1.nii.gz",
        "labels/case_2.nii.gz",
        "review.html",
        "review.json",
        "weak/case_2.nii.gz",
    ]
    manifest = json.loads((folder / "bundle.json").read_text())
    assert {p: file_sha256(folder / p) for p in files if p != "bundle.json"} == {
        p: f["sha256"] for p, f in manifest["files"].items()
    }
    assert manifest["base_version"] == file_sha256("data/base/ledger.csv")
    assert manifest["model_ids"] == ["a" * 64, "b" * 64]
    assert (folder / "decisions.csv").read_text() == (
        "case_id,class_name,decision,minutes,error_type,confirmed,comment,difficulty\n"
        "case_1,pancreas,,,,,,\ncase_1,lesion,,,,,,\ncase_2,liver,,,,,,\n"
    )
    assert "3 lesion 177 242 85 255" in (folder / "colors_slicer.ctbl").read_text()
    assert '1 180 60 40 1 1 1 "liver"' in (folder / "colors_itksnap.txt").read_text()
    page = (folder / "README.md").read_text()
    assert "3 = lesion, lies inside pancreas" in page
    assert f"an organ more than {FACTOR:g} times as large" in page
    assert f"a lesion more than {LESION_FACTOR:g} times" in page
    hint = read_label(folder / "attention/case_1_attention.nii.gz")
    assert set(np.unique(hint)) == {0, 2, 3}


def test_a_bundle_names_the_model_that_points(repo: Any) -> None:
    Path("data/round/attention/learned.json").write_text(json.dumps({"by": "learned", "model": "c" * 64}))
    repo.export(("case_1", "lesion", "ann"))
    assert repo.manifest("ann").model_ids == ("a" * 64, "b" * 64, "c" * 64)


def test_the_proposal_is_trusted_classes_and_the_pseudo_label_for_the_rest(repo: Any) -> None:
    repo.export(("case_1", "lesion", "alice"))
    shown = read(repo.bundle("alice") / "labels/case_1.nii.gz")
    base, pseudo = read_label("data/base/labels/case_1.nii.gz"), read_label("data/round/pseudo/case_1.nii.gz")
    assert np.array_equal(shown.array == 1, base == 1)
    rest = pseudo.copy()
    rest[(pseudo == 1) | (base == 1)] = 0
    assert np.array_equal(np.where(shown.array == 1, 0, shown.array), rest)
    assert shown.array.dtype == np.uint8


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a b", "ä", "x" * 41, ".hidden", "-o", "con:"])
def test_unsafe_reviewers_are_refused(repo: Any, name: str) -> None:
    with pytest.raises(Misuse, match="cannot be part of a file name"):
        repo.export(("case_1", "lesion", name))


def test_reviewers_that_collide_are_refused(repo: Any) -> None:
    with pytest.raises(Misuse, match="capitals alone"):
        repo.export(("case_1", "lesion", "Ann"), ("case_2", "lesion", "ann"))


def test_one_class_to_two_reviewers_and_cases_outside_the_pool_are_refused(repo: Any) -> None:
    with pytest.raises(Misuse, match="given to two reviewers"):
        repo.export(("case_1", "lesion", "ann"), ("case_1", "lesion", "ben"))
    with pytest.raises(VoxledgerError, match="not in the pool"):
        repo.export(("test_1", "lesion", "ann"))
    with pytest.raises(Misuse, match="is not a class"):
        repo.export(("case_1", "spleen", "ann"))
    repo.cases = [replace(c, split=Split.POOL, sha256="0" * 64) for c in repo.cases]
    with pytest.raises(VoxledgerError, match="is not the registered image"):
        repo.export(("case_1", "lesion", "ann"))


def test_a_case_without_models_and_labels_is_sent_empty(repo: Any) -> None:
    import shutil

    for folder in ("pseudo", "predictions", "attention"):
        shutil.rmtree(f"data/round/{folder}")
    repo.predicted.clear()
    repo.export(("case_2", "lesion", "ann"))
    assert not repo.shown("ann", "case_2").any()
    assert repo.manifest("ann").model_ids == ()


def test_an_export_that_stops_halfway_leaves_no_half_bundle(repo: Any) -> None:
    """What it had written by then was taken for a bundle that somebody changed, and kept the next export out."""
    work = [("case_1", "liver", "alice"), ("case_2", "liver", "alice"), ("case_3", "liver", "bob")]
    image = Path("data/images/case_3.nii.gz")
    whole = image.read_bytes()
    image.write_bytes(whole[:-1])
    with pytest.raises(VoxledgerError, match="not the registered image"):
        repo.export(*work)
    assert not list(Path("data/round/bundles").glob("*"))
    image.write_bytes(whole)
    assert repo.export(*work) == [repo.bundle("alice"), repo.bundle("bob")]
    assert touched(Path("data/round/bundles"), every_byte=True) == []
    assert not list(Path("data/round").glob(".*"))


def test_a_bundle_says_what_is_predicted_of_its_masks(repo: Any) -> None:
    plain = [WorkItem(1, "case_1", name, 0.0, 0.0, "attention", "alice", 0.0) for name in ("liver", "lesion")]
    quality = Quality(0.91234, 0.8, 0.95, 1.0, 0.5, 2.0, 0.1)
    found = {}
    for items in (plain, [replace(plain[0], quality=quality), plain[1]]):
        shutil.rmtree("data/round/bundles", ignore_errors=True)
        asked = (repo.cases, repo.schema, read_ledger("data/base/ledger.csv"), ensembles(repo.predicted))
        (folder,) = export_round(items, *asked, "atlas", 1)
        found[items[0].quality] = json.loads((folder / "review.json").read_text())
    said = {"modality": "CT", "known": repo.names()}
    assert found[None] == {"format": 2, "cases": {"case_1": said}}
    shown = {"predicted_dice": 0.9123, "predicted_dice_low": 0.8, "predicted_dice_high": 0.95}
    assert found[quality]["cases"] == {"case_1": {**said, "classes": {"liver": shown}}}
