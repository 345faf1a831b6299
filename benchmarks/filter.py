"""Time and memory of all rules on one large case: 512×512×600 voxels, 12 organs, 200 candidate components.

    python benchmarks/filter.py            measures in a process of its own and prints a table
    python benchmarks/filter.py --json     the same as JSON

The case is seeded: organs are ellipsoids at abdominal proportions with specks and holes, candidates of three lesion
classes lie in and around the pancreas. Files are written by the project's own writer and lie in the page cache. Time
is that of threshold, components, all rules and label map, from soft predictions on disk and an image in memory; peak
memory is the largest resident set of the process, interpreter, libraries and image included. Compilation is done
before and reported apart. Bounds: 5 s and 1.5 GB on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (600, 512, 512)
SPACING = (1.0, 0.8, 0.8)
CANDIDATES = 200
SECONDS, GIGABYTES = 5.0, 1.5

# name, centre (z, y, x) and radii (z, y, x) as shares of the volume
ORGANS = {
    "liver": ((0.58, 0.45, 0.33), (0.16, 0.18, 0.18)),
    "spleen": ((0.60, 0.58, 0.76), (0.08, 0.09, 0.06)),
    "kidney_right": ((0.42, 0.62, 0.34), (0.09, 0.065, 0.055)),
    "kidney_left": ((0.44, 0.62, 0.68), (0.09, 0.065, 0.055)),
    "stomach": ((0.62, 0.38, 0.62), (0.09, 0.10, 0.10)),
    "gallbladder": ((0.48, 0.36, 0.38), (0.04, 0.04, 0.03)),
    "pancreas": ((0.50, 0.48, 0.53), (0.05, 0.05, 0.13)),
    "pancreatic_duct": ((0.50, 0.48, 0.53), (0.006, 0.006, 0.10)),
    "aorta": ((0.50, 0.56, 0.53), (0.48, 0.025, 0.025)),
    "postcava": ((0.50, 0.54, 0.46), (0.40, 0.025, 0.03)),
    "duodenum": ((0.46, 0.47, 0.42), (0.06, 0.04, 0.04)),
    "spine": ((0.50, 0.68, 0.50), (0.49, 0.06, 0.05)),
}
LESIONS = ("pdac", "cyst", "pnet")
RULES: list[dict[str, Any]] = [
    {"rule": "paired_sides", "classes": ["kidney_left", "kidney_right"], "midline": ["spine"]},
    {"rule": "largest_component", "classes": [n for n in ORGANS if n not in ("pancreatic_duct", "duodenum")]},
    {"rule": "fill_holes", "classes": [n for n in ORGANS if n != "pancreatic_duct"], "maximum_ml": 5},
    {"rule": "distance", "classes": ["duodenum"], "structures": ["pancreas", "stomach"], "maximum_mm": 30},
    {"rule": "inside_organ", "classes": ["pancreatic_duct", *LESIONS]},
    {"rule": "volume_ratio", "classes": list(LESIONS)},
    {"rule": "touching", "classes": ["cyst", "pnet"], "tolerance_mm": 0.5},
    {"rule": "mean_hu", "classes": list(LESIONS)},
    {"rule": "minimum_volume", "classes": list(LESIONS), "ml": 0.02},
    {"rule": "minimum_slices", "classes": list(LESIONS), "slices": 2},
    {"rule": "elongation", "classes": list(LESIONS), "maximum": 4},
]


def ellipsoid(centre: Any, radii: Any) -> tuple[tuple[slice, slice, slice], Any]:
    """Logistic probability of an ellipsoid inside its box, centre and radii in voxels."""
    box = tuple(
        slice(max(int(c - r - 3), 0), min(int(c + r + 4), n)) for c, r, n in zip(centre, radii, SHAPE, strict=True)
    )
    z, y, x = np.ogrid[box]
    distance = sum(((g - c) / r) ** 2 for g, c, r in zip((z, y, x), centre, radii, strict=True))
    return box, (1 / (1 + np.exp((np.sqrt(distance) - 1) * min(radii)))).astype(np.float32)  # type: ignore[return-value]


def make(folder: Path) -> None:
    """Write the schema, the image and one soft prediction."""
    from voxledger.imaging.soft import write_soft
    from voxledger.imaging.volume import Grid

    rng = np.random.default_rng(7)
    image = rng.integers(-100, 150, (100, *SHAPE[1:]), dtype=np.int16)
    np.save(folder / "image.npy", np.concatenate([image] * 6))
    lesions = {name: [] for name in LESIONS}
    taken: list[Any] = []
    while len(taken) < CANDIDATES:
        centre = np.array([300, 246, 271]) + rng.uniform(-1, 1, 3) * (45, 45, 95)
        radius = rng.uniform(1.2, 4.5)
        if all(np.linalg.norm(centre - c) > r + radius + 4 for c, r in taken):
            lesions[LESIONS[len(taken) % 3]].append((centre, radius))
            taken.append((centre, radius))

    def classes() -> Any:
        for name, (centre, radii) in ORGANS.items():
            values = np.zeros(SHAPE, np.float32)
            box, p = ellipsoid(np.multiply(centre, SHAPE), np.multiply(radii, SHAPE))
            values[box] = p
            for speck in rng.integers([s.start for s in box], [s.stop for s in box], (40, 3)):
                z, y, x = speck
                values[z : z + 2, y : y + 2, x : x + 2] = 1 - values[z, y, x]
            yield name, values
        for name, spots in lesions.items():
            values = np.zeros(SHAPE, np.float32)
            for centre, radius in spots:
                box, p = ellipsoid(centre, (radius,) * 3)
                values[box] = np.maximum(values[box], p)
            yield name, values

    write_soft(folder / "model.b2nd", classes(), [*ORGANS, *LESIONS], Grid.plain(SHAPE, SPACING), "model", "image")


def measure(folder: Path) -> dict[str, Any]:
    """Filter the case once, after compiling on a small one."""
    from voxledger.filter.apply import apply_rules
    from voxledger.filter.chain import read_rules
    from voxledger.filter.proposal import Component, Outcome, Proposal, Region, label_components
    from voxledger.imaging.soft import open_soft
    from voxledger.schema import LabelSchema

    names = [*ORGANS, *LESIONS]
    inner = {"pancreatic_duct", *LESIONS}
    schema = LabelSchema.model_validate(
        {
            "name": "benchmark",
            "classes": [
                {"id": i + 1, "name": n, "inside": "pancreas" if n in inner else None, "lesion": n in LESIONS}
                for i, n in enumerate(names)
            ],
        }
    )
    rules = read_rules(RULES, schema)
    image = np.load(folder / "image.npy")
    started = time.perf_counter()
    small = np.ones((3, 3, 3), np.bool_)
    label_components(Region((slice(0, 3),) * 3, small), image[:3, :3, :3], small.astype(np.float32), True)
    compiled = time.perf_counter()
    proposal = Proposal([open_soft(folder / "model.b2nd")], image, True, schema, dict.fromkeys(names, 0.5))
    candidates: list[Component] = [c for name in LESIONS for c in proposal.components(name)]
    proposed = time.perf_counter()
    decisions, seconds = [], {}
    for rule in rules:
        before = time.perf_counter()
        decisions += apply_rules(proposal, [rule], "case")
        seconds[rule.rule] = round(time.perf_counter() - before, 3)
    applied = time.perf_counter()
    labels = proposal.label_map()
    done = time.perf_counter()
    return {
        "candidates": len(candidates),
        "classes": len(np.unique(labels)) - 1,
        "decisions": len(decisions),
        "not_kept": sum(d.outcome is not Outcome.KEPT for d in decisions),
        "compile_s": round(compiled - started, 3),
        "propose_s": round(proposed - compiled, 3),
        "rules_s": round(applied - proposed, 3),
        "label_map_s": round(done - applied, 3),
        "total_s": round(done - compiled, 3),
        "peak_gb": round(peak_gb(), 3),
        "by_rule_s": seconds,
    }


def peak_gb() -> float:
    """Largest resident set of this process; `ru_maxrss` would count the process that started it too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        command = [sys.executable, __file__, "--measure", folder]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result["within_bounds"] = result["total_s"] <= SECONDS and result["peak_gb"] <= GIGABYTES
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for key, value in result.items():
            print(f"{key:>14}  {value}")
    return 0 if result["within_bounds"] else 1


if __name__ == "__main__":
    sys.exit(main())
