"""Three readers of KiTS23: how far they agree, and what their consensus is against the published one.

    python benchmarks/readers.py FOLDER       folder of `case_00038/instances/kidney_instance-1_annotation-1.nii.gz`, …

Every instance was drawn by three people; `segmentation.nii.gz` is what the challenge published. Prints one table of
pairs and one of consensus methods. A minute a case.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from voxledger.bundles.merge import Mask
from voxledger.bundles.votes import Votes, dice
from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metrics.hd95_mm import METRIC as HD95
from voxledger.evaluate.reader_measures import mean_surface_mm
from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.path_length import added_path_length
from voxledger.imaging.volume import Grid, read_grid, read_label
from voxledger.params import EvaluateParams
from voxledger.registry import CONSENSUS

READERS = (1, 2, 3)


def read_instances(folder: Path) -> dict[str, list[Mask]]:
    """The masks (z, y, x) of all readers, by instance."""
    names = sorted({path.name.partition("_annotation")[0] for path in (folder / "instances").iterdir()})
    return {n: [read_label(folder / f"instances/{n}_annotation-{a}.nii.gz") > 0 for a in READERS] for n in names}


def pairs(case: str, instances: dict[str, list[Mask]], grid: Grid) -> None:
    """A row for every two readers, of tumours alone and of kidneys with what lies in them."""
    for name in ("tumor", ""):
        masks = [
            np.logical_or.reduce([of_all[a - 1] for i, of_all in instances.items() if i.startswith(name)])
            for a in READERS
        ]
        for a, b in combinations(READERS, 2):
            one, other = masks[a - 1], masks[b - 1]
            both = compare(one, other, grid.spacing)
            path = added_path_length(one, other, grid.spacing, axis=acquisition_axis(grid)).mm / 10
            print(
                f"| {case} | {name or 'kidney with tumor'} | {a}, {b} | {dice(one, other):.4f} | "
                f"{mean_surface_mm(both):.2f} | {HD95.measure(both, EvaluateParams()):.2f} | {path:.0f} |"
            )


def consensus(case: str, instances: dict[str, list[Mask]], published: np.ndarray) -> None:
    """A row for every method that draws: voxels in which it differs from what was published, tumours over kidneys."""
    for name in ("majority", "staple"):
        made, seconds = np.zeros_like(published), time.process_time()
        for instance, masks in sorted(instances.items()):
            votes = Votes(3, 0, tuple(masks), (True, True, True), np.zeros_like(masks[0]))
            made[CONSENSUS.get(name).draw(votes)] = 2 if instance.startswith("tumor") else 1
        seconds = time.process_time() - seconds
        labelled = int(np.count_nonzero(published))
        print(f"| {case} | {name} | {int(np.count_nonzero(made != published))} of {labelled} | {seconds:.1f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folders = sorted(path.parent for path in parser.parse_args().folder.glob("*/segmentation.nii.gz"))
    read = {folder: read_instances(folder) for folder in folders}
    print("| case | class | readers | Dice | mean surface, mm | HD95, mm | added path, cm |\n" + "| --- " * 7 + "|")
    for folder, instances in read.items():
        pairs(folder.name, instances, read_grid(folder / "segmentation.nii.gz"))
    print("\n| case | consensus | voxels unlike the published | CPU seconds |\n" + "| --- " * 4 + "|")
    for folder, instances in read.items():
        consensus(folder.name, instances, read_label(folder / "segmentation.nii.gz"))


if __name__ == "__main__":
    main()
