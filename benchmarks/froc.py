"""The free-response ROC at all thresholds from one pass, against labelling or filtering at 100 thresholds.

    python benchmarks/froc.py             256×256×128 voxels, a lesion map and two harder ones
    python benchmarks/froc.py --json      the same as JSON

Maps are seeded and stored as soft predictions are (float16, below 2⁻¹² zero). *lesion map*: what a tumour model gives
for a pancreas, five lesions, false alarms all over the volume, and low noise in the organ. *noisy* and *dense*: smooth
noise above zero in about a tenth and in all of the volume, harder than a trained model. Both ways get the same arrays
in memory and count components, true components and lesions hit; the thresholds are spread evenly over the distinct
values of the map. Compilation is done before; times are CPU time of the one thread that both use. Bound, on the
lesion map: 20× faster, and equal at the 100 thresholds.

*With the rules* of `params.yaml`: the same maps as the probability of a PDAC, beside a pancreas with stray pieces, its
duct and a cyst, and the curve after the rules from `calibrate.floor` up, against the filter at 100 thresholds. Hits are
those of `calibrate.overlap`. Both begin with the soft predictions in memory. Bound: 5× faster on the lesion map, equal
at the 100 thresholds in components, true components, hits, and whether the patient is positive.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import cc3d
import numpy as np
from scipy import ndimage

from voxledger.filter.chain import read_rules
from voxledger.filter.curves import curve_by_filtering, lesion_curve
from voxledger.filter.proposal import Proposal
from voxledger.imaging.boxes import bounding_box, whole
from voxledger.imaging.detection import label_lesions
from voxledger.imaging.froc import case_curve
from voxledger.imaging.soft import SoftPrediction
from voxledger.imaging.volume import Grid
from voxledger.params import CalibrateParams
from voxledger.schema import LabelClass, LabelSchema

SHAPE = (128, 256, 256)
THRESHOLDS = 100
SPEEDUP, SPEEDUP_WITH_RULES = 20.0, 5.0
SPACING = (2.0, 1.0, 1.0)
SCHEMA = LabelSchema(
    name="benchmark",
    classes=(
        LabelClass(id=1, name="pancreas"),
        LabelClass(id=2, name="pancreatic_duct", inside="pancreas"),
        LabelClass(id=3, name="pdac", inside="pancreas", lesion=True),
        LabelClass(id=4, name="cyst", inside="pancreas", lesion=True),
    ),
)
LESIONS = ["pdac", "cyst"]
RULES: list[dict[str, Any]] = [
    {"rule": "largest_component", "classes": ["pancreas"]},
    {"rule": "inside_organ", "classes": LESIONS},
    {"rule": "volume_ratio", "classes": LESIONS},
    {"rule": "touching", "classes": ["cyst"]},
    {"rule": "mean_hu", "classes": LESIONS},
    {"rule": "minimum_volume", "classes": LESIONS, "ml": 0.05},
]
FLOOR = 2.0**-12


def make() -> tuple[Any, dict[str, Any]]:
    """True lesions (z, y, x) and the maps."""
    rng = np.random.default_rng(11)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    noise = ndimage.gaussian_filter(rng.standard_normal(SHAPE, np.float32), 2)
    noise /= noise.std()
    organ = ((z - 64) / 20) ** 2 + ((y - 120) / 26) ** 2 + ((x - 135) / 52) ** 2 < 1
    spots = [*rng.uniform((50, 105, 95), (78, 135, 175), (5, 3)), *rng.uniform(10, np.array(SHAPE) - 10, (60, 3))]
    truth, logit = np.zeros(SHAPE, np.bool_), np.full(SHAPE, -20, np.float32)
    for k, (spot, radius) in enumerate(zip(spots, rng.uniform(3, 8, len(spots)), strict=True)):
        distance = np.sqrt((z - spot[0]) ** 2 + (y - spot[1]) ** 2 + (x - spot[2]) ** 2)
        np.maximum(logit, rng.uniform(-4, 4) + 2 * (radius - distance), out=logit)
        if k < 5:
            truth |= distance < radius
    maps = {
        "lesion map": np.maximum(logit + noise, np.where(organ, 1.5 * noise - 6, -20)),
        "noisy": np.maximum(logit + noise, 2.5 * noise - 11.5),
        "dense": np.maximum(logit + noise, noise - 2),
    }
    stored = {}
    for name, values in maps.items():
        p = (1 / (1 + np.exp(-values))).astype(np.float32)
        stored[name] = np.where(p >= FLOOR, p, 0).astype(np.float16).astype(np.float32)
    return label_lesions(truth), stored


def by_labelling(p: Any, lesions: Any, thresholds: Any) -> Any:
    """Counts at each threshold by labelling; any voxel decides."""
    found = []
    inside = lesions > 0
    numbers = lesions[inside]
    for threshold in thresholds:
        mask = p > threshold
        labels, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
        here = labels[inside]
        true = np.unique(here[here > 0]).size
        hits = np.unique(numbers[here > 0]).size
        found.append((count, true, hits))
    return np.array(found)


def measure(p: Any, lesions: Any, voxels: list[int]) -> dict[str, Any]:
    """One map, one run each way."""
    values = np.unique(p)
    thresholds = values[np.linspace(0, values.size - 1, THRESHOLDS).round().astype(int)]
    started = time.process_time()
    curve = case_curve(p, lesions, voxels)
    passed = time.process_time()
    expected = by_labelling(p, lesions, thresholds)
    labelled = time.process_time()
    one, many = passed - started, labelled - passed
    return {
        "nonzero_percent": round(100 * float(np.mean(p > 0)), 2),
        "distinct_values": int(values.size),
        "curve_points": int(curve.values.size),
        "one_pass_s": round(one, 4),
        "labelling_s": round(many, 3),
        "speedup": round(many / one, 1),
        "equal": bool(np.array_equal(np.stack(curve.at(thresholds), axis=1), expected)),
    }


def corner_of(p: Any) -> Any:
    """Voxels of a part of a map, to compile on."""
    return np.arange(p.shape[0])[:, None, None] < p.shape[0] // 2


def scene(p: Any) -> Proposal:
    """A case in which a map is that of a PDAC."""
    rng = np.random.default_rng(5)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]

    def blob(centre: Any, radii: Any) -> Any:
        distance = sum(((g - c) / r) ** 2 for g, c, r in zip((z, y, x), centre, radii, strict=True))
        return (1 / (1 + np.exp(np.clip(4 * (np.sqrt(distance) - 1), -20, 20)))).astype(np.float32)

    pancreas = np.maximum(blob((64, 120, 135), (20, 26, 52)), p)
    for spot in rng.uniform((45, 90, 70), (85, 150, 200), (8, 3)):
        np.maximum(pancreas, blob(spot, (4, 6, 6)), out=pancreas)
    duct, cyst = blob((64, 120, 135), (2, 3, 45)), blob((60, 110, 165), (6, 8, 8))
    maps = {"pancreas": pancreas, "pancreatic_duct": duct, "pdac": p, "cyst": cyst}
    stored = np.stack([np.where(m >= FLOOR, m, 0).astype(np.float16) for m in maps.values()])
    boxes = {name: bounding_box(values) for name, values in zip(maps, stored, strict=True)}
    soft = SoftPrediction(tuple(maps), boxes, Grid.plain(SHAPE, SPACING), "benchmark", "", whole(SHAPE), stored)
    image = rng.integers(-100, 180, SHAPE).astype(np.int16)
    return Proposal([soft], image, True, SCHEMA, dict.fromkeys(maps, 0.5))


def measure_with_rules(p: Any, lesions: Any) -> dict[str, Any]:
    """One map, one run each way."""
    rules, params = read_rules(RULES, SCHEMA), CalibrateParams()
    truth = np.where(lesions > 0, SCHEMA["pdac"].id, 0).astype(np.uint8)
    proposal = scene(p)
    values = np.unique(p[(p > params.floor) & (p < proposal.thresholds["pdac"])])[::-1]
    thresholds = values[np.linspace(0, values.size - 1, THRESHOLDS).round().astype(int)].astype(float).tolist()
    known = (truth, ["pdac"], rules, params.overlap)
    started = time.process_time()
    curve = lesion_curve(proposal.at(["pdac"], 0.5), *known, params.floor)
    passed = time.process_time()
    expected = curve_by_filtering(proposal, *known, thresholds, "")
    filtered = time.process_time()
    one, many = passed - started, filtered - passed
    found, wanted = (np.stack(c.at(np.array(thresholds, np.float32)), axis=1) for c in (curve, expected))
    return {
        "candidates": int(expected.components.max()),
        "exact": not curve.tried,
        "curve_points": int(curve.values.size),
        "one_pass_s": round(one, 3),
        "filtering_s": round(many, 2),
        "speedup": round(many / one, 1),
        "equal": bool(np.array_equal(found, wanted)) and bool(np.array_equal(found[:, 0] > 0, wanted[:, 0] > 0)),
    }


def table(results: dict[str, dict[str, Any]]) -> None:
    columns = list(next(iter(results.values())))
    print(f"{'':>12}" + "".join(f"{c:>17}" for c in columns))
    for name, result in results.items():
        print(f"{name:>12}" + "".join(f"{result[c]!s:>17}" for c in columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    (lesions, voxels), maps = make()
    lesions = lesions.astype(np.uint8)
    corner = np.ascontiguousarray(maps["dense"][:8, :8, :8])
    case_curve(corner, np.ones(corner.shape, lesions.dtype), voxels)
    results = {name: measure(p, lesions, voxels) for name, p in maps.items()}
    measure_with_rules(np.where(corner_of(maps["lesion map"]), maps["lesion map"], 0), lesions)  # compiles
    with_rules = {name: measure_with_rules(maps[name], lesions) for name in ("lesion map", "noisy")}
    within = results["lesion map"]["speedup"] >= SPEEDUP and with_rules["lesion map"]["speedup"] >= SPEEDUP_WITH_RULES
    within = within and all(r["equal"] for r in (*results.values(), *with_rules.values()))
    if arguments.json:
        print(json.dumps({**results, "with_rules": with_rules, "within_bounds": within}, indent=2))
    else:
        table(results)
        print("with the rules")
        table(with_rules)
        print(f"within bounds: {within}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
