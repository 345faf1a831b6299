"""Whole cases: image, reference labels and facts of one phantom, and a folder of them."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger.errors import Misuse
from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid, write
from voxledger.phantom.anatomy import draw_patient
from voxledger.phantom.attenuation import Phase, paint
from voxledger.phantom.materials import CLASSES, LESIONS, labels_of
from voxledger.phantom.scanner import SITES, Site, Size, grid_of, scan
from voxledger.phantom.weak import recist, slice_mask
from voxledger.process import end_with
from voxledger.progress import progress
from voxledger.textfile import replace_text
from voxledger.weak.derive import DRAWN, derive, mark
from voxledger.weak.marks import Marks

MIX = {"pdac": 0.4, "cyst": 0.35, "pnet": 0.25}
"""Share of each kind among the cases that have a lesion."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Phantom:
    """One case: image in HU and labels (both z, y, x) on one grid, and what is known about it."""

    image: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    grid: Grid
    site: str
    phase: Phase
    lesion: str
    """`pdac`, `cyst`, `pnet` or empty."""
    lesion_count: int
    lesion_ml: float
    diameter_mm: float
    """Mean diameter of the largest lesion as drawn; 0 without one."""


def make_phantom(
    seed: int,
    index: int,
    site: Site,
    size: Size,
    lesion_share: float = 0.75,
    kinds: Collection[str] = LESIONS,
) -> Phantom:
    """Make case `index`; it depends on the arguments alone, not on how many cases are made.

    Lesion kinds and phases are spread evenly over successive indices (additive recurrence with the golden
    ratio), so that a handful of cases already has the stated mix.

    Parameters
    ----------
    seed, index
        Seed of the series and number of the case in it, both from 0.
    site
        One of `SITES`.
    size
        Preset of the grid.
    lesion_share
        Share of cases with a lesion, 0 to 1.
    kinds
        Of lesions, at least one.
    """
    series = np.random.default_rng([seed, site.number])
    kind_start, phase_start = series.random(2)
    kind = _kind((kind_start + index * GOLDEN) % 1.0, lesion_share, kinds)
    arterial = (phase_start + index * 2**0.5) % 1.0 < site.arterial_share
    phase = Phase.ARTERIAL if arterial else Phase.PORTAL
    place, anatomy, tissue, detector = (np.random.default_rng([seed, site.number, index, k]) for k in range(4))
    grid, axes = grid_of(site, size, place)
    canvas, lesions = draw_patient(axes, anatomy, kind)
    labels = labels_of(canvas.material)
    image = scan(paint(canvas.material, axes, phase, lesions, tissue), grid, site, size, detector)
    voxels = int((labels == CLASSES[kind]).sum()) if kind else 0
    return Phantom(
        image=image,
        labels=labels,
        grid=grid,
        site=site.name,
        phase=phase,
        lesion=kind,
        lesion_count=len(lesions),
        lesion_ml=voxels * grid.voxel_ml,
        diameter_mm=max((one.diameter_mm for one in lesions), default=0.0),
    )


def write_phantoms(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    site: str = "a",
    size: Size = Size.SMALL,
    labelled: int = 0,
    lesion_share: float = 0.75,
    kinds: Collection[str] = LESIONS,
    prefix: str | None = None,
    weak: str = "",
) -> list[dict[str, str]]:
    """Write `count` phantoms into a new or empty folder; returns the rows of `phantoms.csv`.

    `images/` and `reference/` hold every case, `labels/` the reference labels of the first `labelled` ones.
    Of the others one in three has a slice mask in `weak/` (`.nii.gz`), one in three a RECIST diameter (`.json`;
    a slice of the pancreas where there is no lesion), and one in three nothing; or all have weak labels of one sort:
    `weak` is one of `voxledger.weak.derive.WAYS`. Cases are made in as many processes as there are cores.

    Raises
    ------
    Misuse
        The folder is not empty, or a number is out of range, or ids would be no names of files.
    """
    if site not in SITES:
        raise Misuse(f"{site} is not a site", f"use one of {', '.join(SITES)}")
    if count < 1 or not 0 <= labelled <= count or not 0 <= lesion_share <= 1 or seed < 0:
        raise Misuse(
            f"{count} cases, {labelled} labelled, lesions in {lesion_share:g}, seed {seed}: out of range",
            "make at least one case, label at most all, and give a share from 0 to 1 and a seed from 0",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misuse(f"{folder} is not an empty folder", "name a new folder, or empty this one")
    prefix = f"phantom-{site}-" if prefix is None else prefix
    if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.-]*)?", prefix):
        raise Misuse(f"{prefix!r} cannot be the start of case ids", "use letters, digits, _, . and -")
    write_one = partial(_write_one, folder, seed, SITES[site], size, labelled, lesion_share, tuple(kinds), prefix, weak)
    rows = []
    bar = progress("phantoms", count)
    with ProcessPoolExecutor(initializer=end_with, initargs=(os.getpid(),)) as pool:
        for row in pool.map(write_one, range(count)):
            rows.append(row)
            bar.step(row["case_id"])
    bar.close()
    with open(folder / "phantoms.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _write_one(
    folder: Path,
    seed: int,
    site: Site,
    size: Size,
    labelled: int,
    lesion_share: float,
    kinds: Collection[str],
    prefix: str,
    how: str,
    index: int,
) -> dict[str, str]:
    case = f"{prefix}{index:03d}"
    phantom = make_phantom(seed, index, site, size, lesion_share, kinds)
    write(folder / "images" / f"{case}.nii.gz", phantom.image, phantom.grid)
    write(folder / "reference" / f"{case}.nii.gz", phantom.labels, phantom.grid)
    weak = ""
    if index < labelled:
        write(folder / "labels" / f"{case}.nii.gz", phantom.labels, phantom.grid)
    else:
        weak = (
            _write_weak(folder / "weak", case, index, phantom)
            if not how
            else _derive(folder / "weak", case, how, phantom)
        )
    return _row(case, index, seed, phantom, index < labelled, weak)


def _kind(place: float, share: float, kinds: Collection[str]) -> str:
    low, total = 0.0, sum(MIX[name] for name in kinds)
    for name in (n for n in LESIONS if n in kinds):
        low += MIX[name] / total * share
        if place < low:
            return name
    return ""


def _write_weak(folder: Path, case: str, index: int, phantom: Phantom) -> str:
    if index % 3 == 2:
        return ""
    if phantom.lesion and index % 3 == 1:
        found = recist(phantom.labels == CLASSES[phantom.lesion], phantom.grid, phantom.lesion)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"case": case, **found}, indent=2) + "\n"
        replace_text(folder / f"{case}.json", text)
        return f"recist:{phantom.lesion}"
    ids = [CLASSES[phantom.lesion]] if phantom.lesion else [CLASSES["pancreas"], CLASSES["pancreatic_duct"]]
    write(folder / f"{case}.nii.gz", slice_mask(phantom.labels, ids), phantom.grid)
    return f"slice:{phantom.lesion or 'pancreas'}"


def _derive(folder: Path, case: str, how: str, phantom: Phantom) -> str:
    """A weak label for every lesion, or for the pancreas where there is none."""
    name = phantom.lesion or "pancreas"
    ids = [CLASSES[name]] if phantom.lesion else [CLASSES["pancreas"], CLASSES["pancreatic_duct"]]
    pieces, count = connected_components(np.isin(phantom.labels, ids))
    objects = [pieces == number for number in range(1, count + 1)] if phantom.lesion else [pieces > 0]
    if how in DRAWN:
        labels = np.zeros_like(phantom.labels)
        for mask in objects:
            weak = derive(how, mask, case, name, phantom.grid)
            place = tuple((np.argwhere(weak.mask) + weak.start).T)
            labels[place] = phantom.labels[place]
        write(folder / f"{case}.nii.gz", labels, phantom.grid)
    else:
        marks = Marks(case=case, marks=tuple(mark(how, mask, name, phantom.grid) for mask in objects))
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / f"{case}.json", marks.to_json())
    return f"{how}:{name}"


def _row(case: str, index: int, seed: int, phantom: Phantom, labelled: bool, weak: str) -> dict[str, str]:
    z, y, x = phantom.grid.spacing
    return {
        "case_id": case,
        "site": phantom.site,
        "seed": str(seed),
        "index": str(index),
        "phase": phantom.phase.value,
        "lesion": phantom.lesion,
        "lesion_count": str(phantom.lesion_count),
        "lesion_ml": f"{phantom.lesion_ml:.3f}",
        "lesion_diameter_mm": f"{phantom.diameter_mm:.1f}",
        "spacing_x_mm": f"{x:g}",
        "spacing_y_mm": f"{y:g}",
        "spacing_z_mm": f"{z:g}",
        "slices": str(phantom.grid.shape[0]),
        "rows": str(phantom.grid.shape[1]),
        "columns": str(phantom.grid.shape[2]),
        "labelled": "yes" if labelled else "no",
        "weak_label": weak,
    }
