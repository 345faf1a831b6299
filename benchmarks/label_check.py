"""Seconds and memory of reading and checking one returned label of 512×512×600 voxels with 25 classes.

    python benchmarks/label_check.py            of a corrected label; minutes, 1 GB in a temporary folder
    python benchmarks/label_check.py --unlike   of one that is unlike its proposal, so that the image is looked at, too

Ellipsoids at random places; every class is revised, its border moved by a voxel, or, if unlike, all of it by twenty.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from voxledger.bundles.appearance import Look
from voxledger.bundles.label_check import FILE, CheckAround, LabelCheck
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelClass, LabelSchema

SHAPE, SPACING = (600, 512, 512), (1.0, 0.8, 0.8)
SCHEMA = LabelSchema(name="many", classes=tuple(LabelClass(id=i, name=f"class_{i}") for i in range(1, 26)))
LOOKS = {c.name: Look(12, 10.0 * c.id, 5.0, 1.2, 0.1, "of the range of the image") for c in SCHEMA.classes}


def make(unlike: bool) -> None:
    """Write `proposal`, `returned` and `image` into the current folder."""
    rng, grid = np.random.default_rng(0), Grid.plain(SHAPE, SPACING)
    labels = np.zeros(SHAPE, np.uint8)
    for c in SCHEMA.classes:
        center, radii = rng.integers((80, 80, 80), (520, 430, 430)), rng.integers(20, 70, 3)
        z, y, x = (slice(max(0, int(m - r)), int(m + r)) for m, r in zip(center, radii, strict=True))
        part = labels[z, y, x]
        axes = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in part.shape)]
        part[(sum(a**2 for a in axes) <= 1) & (part == 0)] = c.id
    write("proposal.nii.gz", labels, grid)
    moved = np.roll(labels, 20 if unlike else 1, axis=2)
    write("returned.nii.gz", moved if unlike else np.where(labels == 0, moved, labels), grid)
    write("image.nii.gz", (labels.astype(np.int16) * 10 + rng.integers(-9, 9, SHAPE, np.int16)), grid)


def check(unlike: bool) -> None:
    """Check it, and print what it took of this process."""
    rows = tuple(Row("case", name, Decision.REVISE) for name in SCHEMA.names)
    returned, folder = Path("returned.nii.gz"), Path("checked")
    folder.mkdir()
    wall, cpu = time.perf_counter(), time.process_time()
    found = LabelCheck(
        name="case",
        folder=Path(),
        files=(returned.name,),
        sha256=(file_sha256(returned),),
        parts=(),
        outside="unchanged",
        resample=False,
        shown=Path("proposal.nii.gz"),
        shown_sha256="",
        most_bytes=2 << 30,
        label_schema=SCHEMA,
        rows=rows,
        asked=tuple(SCHEMA.names),
        trusted=(),
    ).compute(folder)
    if unlike:
        CheckAround(
            name="case",
            labels=folder / FILE,
            shown=Path("proposal.nii.gz"),
            image=Path("image.nii.gz"),
            others={"other": Path("proposal.nii.gz")},
            looks={
                n: Look(12, 10.0 * i, 5.0, 1.2, 0.1, "of the range of the image") for i, n in enumerate(SCHEMA.names, 1)
            },
            rows=rows,
            label_schema=SCHEMA,
        ).compute(folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{wall:.1f} s, {cpu:.1f} CPU s, {peak:.2f} GB, {len(found.found)} findings, unlike: {found.unlike}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unlike", action="store_true")
    unlike = parser.parse_args().unlike
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for step in (make, check):
            process = multiprocessing.get_context("spawn").Process(target=step, args=(unlike,))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
