from __future__ import annotations

import pytest

from voxledger.records.case_files import case_of

CASES = {"p1", "p10", "p1_heat", "p1.x", "bundle", "labels"}


@pytest.mark.parametrize(
    ("path", "case"),
    [
        ("data/images/p1.nii.gz", "p1"),
        ("data/images/p10.nii.gz", "p10"),
        ("data/images/p1_heat.nii.gz", "p1_heat"),
        ("data/images/p1_other.nii.gz", None),
        ("data/images/P1.nii.gz", None),
        ("data/weak/p1.json", "p1"),
        ("data/weak/p1.x.json", "p1.x"),
        ("data/round/pseudo/p1.nii.gz", "p1"),
        ("data/round/attention/p1.b2nd", "p1"),
        ("data/round/attention/p1_heat.nii.gz", "p1"),
        ("data/round/attention/p1_heat_heat.nii.gz", "p1_heat"),
        ("data/round/attention/heat.ctbl", None),
        ("data/round/predictions/labels/p1.b2nd", "p1"),
        ("data/round/predictions/p1/p10.b2nd", "p10"),
        ("models/base/m/predictions/p1.nii.gz", "p1"),
        ("models/base/m/model.json", None),
        ("data/round/bundles/bundle-r01-p1/bundle.json", None),
        ("data/round/bundles/bundle-r01-ann/attention/p1_attention.nii.gz", "p1"),
        ("data/inbox/bundle-r01-ann/labels/p1.seg.nrrd", "p1"),
        ("data/inbox/bundle-r01-ann/labels/p1.raw", "p1"),
        ("data/inbox/bundle-r01-ann/labels/p1/organ.nii.gz", "p1"),
        ("data/inbox/bundle-r01-ann/labels/labels/p1.nii.gz", "p1"),
        ("data/inbox/bundle-r01-ann/decisions.csv", None),
        ("data/release/revisions/0a/signed-parts/0/labels/p1.nii.gz", "p1"),
        ("models/attention/judged/r00-p1.safetensors", "p1"),
        ("models/attention_next/judged/r00-p10.safetensors", "p10"),
        ("models/attention/judged/r100-p1.x.safetensors", "p1.x"),
        ("models/attention/judged/r00-p2.safetensors", None),
        ("models/attention/judged/p1.safetensors", None),
        ("models/attention/errors/weights.safetensors", None),
        ("p1.nii.gz", None),
        ("", None),
    ],
)
def test_whose_a_file_is(path: str, case: str | None) -> None:
    assert case_of(path, CASES) == case
