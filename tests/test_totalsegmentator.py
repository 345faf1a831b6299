"""A real CT with a 117-class map, from registration to the bundles and back."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import mask_sha256, read, read_label, write
from voxledger.records.ledger import Origin, read_ledger
from voxledger.schema import read_schema


def write_schema(label_map: Path, target: Path) -> None:
    """The class names that TotalSegmentator keeps in the header of its label maps."""
    (extension,) = nibabel.load(label_map).header.extensions
    found = re.findall(r'Key="(\d+)".*?CDATA\[(\w+)\]', extension.get_content().decode())
    lines = [f"  - {{id: {number}, name: {name}}}" for number, name in sorted(found, key=lambda f: int(f[0]))]
    assert len(lines) == 117
    target.write_text("\n".join(["name: totalsegmentator", "classes:", *lines, ""]))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Path]:
    work = tmp_path_factory.mktemp("totalsegmentator")
    source = shared_data / "totalsegmentator"
    (work / "images").mkdir()
    shutil.copyfile(source / "example_ct.nii.gz", work / "images/ct.nii.gz")
    labels = source / "example_seg_fast_force_split.nii.gz"
    image = read(labels)
    for name, moved in (("one", image.array), ("two", np.roll(image.array, 1, axis=0))):
        write(work / name / "ct.nii.gz", moved, image.grid)
    corrected = np.where(image.array == 5, 0, image.array)
    write(work / "reference/ct.nii.gz", corrected, image.grid)
    before = Path.cwd()
    run("voxledger", "init", str(work / "repo"), "--name", "total")
    os.chdir(work / "repo")
    write_schema(labels, Path("labels.yaml"))
    parameters()
    run("voxledger", "cases", "add", str(work / "images"), "--source", "TotalSegmentator", "--licence", "Apache-2.0")
    for name in ("one", "two"):
        run("voxledger", "models", "add", name, "--predictions", str(work / name), "--id", name, "--licence", "CC0-1.0")
    yield work
    os.chdir(before)


def test_all_117_classes_go_out_and_come_back(work: Path) -> None:
    run("voxledger", "round", "run", accept=(3,))
    bundle = next(Path("data/round/bundles").iterdir())
    asked = list(csv.DictReader((bundle / "decisions.csv").open(encoding="utf-8-sig")))
    assert len(asked) == 117
    sent = read_label(bundle / "labels/ct.nii.gz", read(Path("data/images/ct.nii.gz")).grid)
    assert len(np.unique(sent)) > 50

    run("voxledger", "review", "emulate", "--reference", str(work / "reference"))
    run("voxledger", "round", "run")
    grid = read("data/images/ct.nii.gz").grid
    released = read_label("data/release/labels/ct.nii.gz", grid)
    assert released.dtype == np.uint8
    ledger = read_ledger("data/release/ledger.csv")
    assert len(ledger) == 117
    assert {e.origin for e in ledger.values()} == {Origin.ACCEPTED, Origin.REVISED}
    schema = read_schema("labels.yaml")
    for (_, name), entry in ledger.items():
        assert entry.mask_sha256 == mask_sha256(released == schema[name].id, grid), name
    chain = json.loads(output("voxledger", "trace", "ct", "--class", "liver", "--json"))
    assert chain["classes"][0]["model_ids"] == ["one", "two"]
