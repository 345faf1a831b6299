"""Seconds and memory of checking and of merging one returned label of 512×512×600 voxels with 25 classes.

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
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxledger.bundles.appearance import Look
from voxledger.bundles.case_return import CaseReturn
from voxledger.bundles.check import Found
from voxledger.bundles.label_check import FILE, CheckAround, Compared, LabelCheck
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.import_.merge_case import MergeCase
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelClass, LabelSchema

SHAPE, SPACING = (600, 512, 512), (1.0, 0.8, 0.8)
SCHEMA = LabelSchema(name="many", classes=tuple(LabelClass(id=i, name=f"class_{i}") for i in range(1, 26)))
LOOKS = {c.name: Look(12, 10.0 * c.id, 5.0, 1.2, 0.1, "of the range of the image") for c in SCHEMA.classes}
ROWS = tuple(Row("case", name, Decision.REVISE) for name in SCHEMA.names)
RETURNED, SHOWN, IMAGE = (Path(f"{name}.nii.gz") for name in ("returned", "proposal", "image"))


def make(unlike: bool) -> None:
    """Write `SHOWN`, `RETURNED` and `IMAGE` into the current folder."""
    rng, grid = np.random.default_rng(0), Grid.plain(SHAPE, SPACING)
    labels = np.zeros(SHAPE, np.uint8)
    for c in SCHEMA.classes:
        center, radii = rng.integers((80, 80, 80), (520, 430, 430)), rng.integers(20, 70, 3)
        z, y, x = (slice(max(0, int(m - r)), int(m + r)) for m, r in zip(center, radii, strict=True))
        part = labels[z, y, x]
        axes = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in part.shape)]
        part[(sum(a**2 for a in axes) <= 1) & (part == 0)] = c.id
    write(SHOWN, labels, grid)
    moved = np.roll(labels, 20 if unlike else 1, axis=2)
    write(RETURNED, moved if unlike else np.where(labels == 0, moved, labels), grid)
    write(IMAGE, (labels.astype(np.int16) * 10 + rng.integers(-9, 9, SHAPE, np.int16)), grid)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Print what it took of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {wall:.1f} s, {cpu:.1f} CPU s, {peak:.2f} GB")


def check(unlike: bool) -> None:
    """Compare it with what was sent, as the gate does."""
    folder = Path("checked")
    folder.mkdir()
    with told("checked"):
        found, around = _check(folder, unlike)
    print(f"{len(found.found) + len(around)} findings, unlike: {found.unlike}")


def _check(folder: Path, unlike: bool) -> tuple[Compared, tuple[Found, ...]]:
    found = LabelCheck(
        name="case",
        folder=Path(),
        files=(RETURNED.name,),
        sha256=(file_sha256(RETURNED),),
        parts=(),
        outside="unchanged",
        resample=False,
        shown=SHOWN,
        shown_sha256="",
        most_bytes=2 << 30,
        label_schema=SCHEMA,
        rows=ROWS,
        asked=tuple(SCHEMA.names),
        trusted=(),
    ).compute(folder)
    if not unlike:
        return found, ()
    around = CheckAround(
        name="case",
        labels=folder / FILE,
        shown=SHOWN,
        image=IMAGE,
        others={"other": SHOWN},
        looks=LOOKS,
        rows=ROWS,
        label_schema=SCHEMA,
    )
    return found, around.compute(folder)


def merge(unlike: bool) -> None:
    """Merge it into the next version, as the import does."""
    asked = tuple(SCHEMA.names)
    job = MergeCase(
        name="case",
        version=1,
        changed_in=1,
        image=IMAGE,
        image_sha256="",
        base=None,
        pseudo=SHOWN,
        predicted=dict.fromkeys(asked, ("model",)),
        weak={},
        entries=(),
        returns=(CaseReturn("alice", "0" * 64, Path("checked") / FILE, SHOWN, ROWS, False, asked, False),),
        panel=None,
        label_schema=SCHEMA,
    )
    with told("merged"):
        job.compute(Path("merged"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unlike", action="store_true")
    unlike = parser.parse_args().unlike
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for step in (make, check, merge):
            process = multiprocessing.get_context("spawn").Process(target=step, args=(unlike,))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
