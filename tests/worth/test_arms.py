"""What models learn from in each arm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_cases import GRID, SCHEMA, Small, draw

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import mask_sha256, read_label, write
from voxledger.knowledge import Knowledge
from voxledger.models.start import Start
from voxledger.models.training import Training, TrainingCase
from voxledger.params import ModelParams
from voxledger.records.ledger import Origin
from voxledger.worth.arms import Arm, learned_from, sha256_of

TRUSTED, PREDICTED, UNKNOWN = Knowledge.TRUSTED, Knowledge.PREDICTED, Knowledge.UNKNOWN


@pytest.fixture
def two_sites(small: Small) -> Small:
    """c0 is of the site `here`; c1 and c2 of `there`: of c1 models drew the spleen, of c2 they drew everything."""
    cases = [replace(c, source="there") if c.case_id in ("c1", "c2") else c for c in small.cases]
    small = replace(small, cases=cases).with_origin("c1", "spleen", Origin.PREDICTED)
    small = small.with_origin("c1", "organ", Origin.ACCEPTED).with_origin("c1", "lesion", Origin.REVISED)
    for name in SCHEMA.names:
        small = small.with_origin("c2", name, Origin.PREDICTED)
    return small


def arm(small: Small, which: Arm, references: Path | None = None) -> dict[str, dict[str, Knowledge]]:
    found = learned_from(which, "there", small.cases, small.ledger, SCHEMA, small.labels, references)
    return {case.case_id: case.knowledge for case in found}


def test_arms(two_sites: Small) -> None:
    every = dict.fromkeys(SCHEMA.names, TRUSTED)
    assert arm(two_sites, Arm.WITHOUT) == {"c0": every}
    assert arm(two_sites, Arm.REVIEWED) == {"c0": every, "c1": {**every, "spleen": PREDICTED}}
    assert arm(two_sites, Arm.PREDICTED) == {"c0": every, "c1": every, "c2": every}


def test_what_people_rejected_is_not_taught(two_sites: Small) -> None:
    small = two_sites.with_origin("c2", "spleen", Origin.REJECTED).with_origin("c2", "lesion", None)
    assert arm(small, Arm.PREDICTED)["c2"] == {"organ": TRUSTED, "lesion": UNKNOWN, "spleen": UNKNOWN}


def test_a_cohort_that_nobody_drew_is_left_out(two_sites: Small) -> None:
    small = two_sites
    for name in SCHEMA.names:
        small = small.with_origin("c2", name, None)
    assert set(arm(small, Arm.PREDICTED)) == {"c0", "c1"}


def test_references_are_the_ceiling(two_sites: Small, tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"c{number}.nii.gz", np.flip(draw(number)[1], 2).copy(), GRID)
    found = learned_from(Arm.REFERENCE, "there", two_sites.cases, two_sites.ledger, SCHEMA, two_sites.labels, tmp_path)
    assert [case.case_id for case in found] == ["c0", "c1", "c2"]
    one = found[2]
    assert one.masks["organ"] == mask_sha256(SCHEMA.mask(np.flip(draw(2)[1], 2), "organ"), GRID)
    model = ModelParams(backend="monai", network="unet")
    training = Training(
        name="m", model=model, start=Start("full", 1), cases=found, schema=SCHEMA, labels=SCHEMA, seed=0, device="cpu"
    )
    _, learned = training.load(one)
    np.testing.assert_array_equal(learned > 0, read_label(tmp_path / "c2.nii.gz") > 0)


def test_what_is_learned_tells_arms_apart(two_sites: Small) -> None:
    hashes = {
        sha256_of(learned_from(a, "there", two_sites.cases, two_sites.ledger, SCHEMA, two_sites.labels))
        for a in (Arm.WITHOUT, Arm.PREDICTED, Arm.REVIEWED)
    }
    assert len(hashes) == 3


def test_no_such_cohort(two_sites: Small) -> None:
    with pytest.raises(Misuse, match="no case of the pool has the source nowhere") as error:
        learned_from(Arm.WITHOUT, "nowhere", two_sites.cases, two_sites.ledger, SCHEMA, two_sites.labels)
    assert "here, there" in error.value.remedy


def test_a_cohort_that_is_all_there_is(small: Small) -> None:
    with pytest.raises(VoxledgerError, match="without here no case of the pool has a label"):
        learned_from(Arm.WITHOUT, "here", small.cases, small.ledger, SCHEMA, small.labels)


def test_a_reference_that_is_missing_is_named(two_sites: Small, tmp_path: Path) -> None:
    write(tmp_path / "c1.nii.gz", draw(1)[1], GRID)
    with pytest.raises(Misuse, match="case c2 has no reference label"):
        arm(two_sites, Arm.REFERENCE, tmp_path)


def test_a_label_that_is_not_the_ledgers_is_refused(two_sites: Small) -> None:
    found = learned_from(Arm.PREDICTED, "there", two_sites.cases, two_sites.ledger, SCHEMA, two_sites.labels)
    write(two_sites.labels / "c2.nii.gz", np.flip(draw(2)[1], 2).copy(), GRID)
    model = ModelParams(backend="monai", network="unet")
    training = Training(
        name="m", model=model, start=Start("full", 1), cases=found, schema=SCHEMA, labels=SCHEMA, seed=0, device="cpu"
    )
    with pytest.raises(VoxledgerError, match="is not the mask that the ledger names"):
        list(map(training.load, found))


def test_masks_of_predicted_classes_are_hashed_too(two_sites: Small) -> None:
    found = learned_from(Arm.PREDICTED, "there", two_sites.cases, two_sites.ledger, SCHEMA, two_sites.labels)
    assert all(isinstance(case, TrainingCase) and set(case.masks) == set(SCHEMA.names) for case in found)
