"""What reading costs and what it leaves wrong: two emulated readers on the hippocampus MR, and three prices of a look.

    python benchmarks/minutes.py [--images ../shared/data/hippocampus] [--out TABLE.md] [--keep FOLDER]

Two small U-Nets (those of `benchmarks/acquisition.py`) are trained twice: briefly on 12 cases, and longer on 52. Each
pair proposes labels of 60 other cases, and attention is that of the score stage. One reader looks at everything, one
where attention points; both accept a class from Dice 0.9 on, and know the reference; both correct every voxel, or only
what they see, beyond 2 mm. No round of DVC is run.

Prints minutes and savings, what was left wrong, and whether attention was right, for errors that are visible from
several tolerances on and for any voxel. Minutes are assumptions: see `voxledger.minutes`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import acquisition
import numpy as np
from acquisition import CLASSES, PLANS, Sample

from voxledger.minutes import SAIM_SCRATCH_MINUTES, assumptions, looking_values, saving

FEW, MANY, READ = 12, 52, 60
"""Cases that the first and the second pair learn from, and cases that are read."""
STEPS = {FEW: 120, MANY: 320}
OPENINGS = (0, 1)
TOLERANCES = (0.0, 1.0, 1.5, 2.0, 3.0)
"""In mm; 0 is any voxel."""
BOUND = 0.9
SEES_MM = 2.0
"""How far an error reaches that is corrected by a reader who does not correct every voxel."""


@dataclass(frozen=True)
class Proposed:
    """What a reader is shown of a case."""

    sample: Sample
    labels: np.ndarray
    """Ids (z, y, x)."""
    attention: dict[int, np.ndarray]
    """Ids of the classes in question (z, y, x), by erosions of the opening."""


def schema() -> Any:
    from voxledger.schema import LabelClass, LabelSchema

    classes = tuple(LabelClass(id=i, name=n) for i, n in enumerate(CLASSES, start=1))
    return LabelSchema(name="hippocampus", classes=classes)


def train(cohort: list[Sample], steps: int) -> list[Any]:
    """The two networks."""
    import torch

    from voxledger.models.monai.network import build_network

    networks = []
    for i, plans in enumerate(PLANS):
        torch.manual_seed(i)
        network = build_network(plans, len(CLASSES) + 1)
        acquisition.fit(network, cohort, steps, i)
        networks.append(network)
    return networks


def propose(networks: list[Any], sample: Sample, folder: Path) -> Proposed:
    """Mean of the networks above 0.5, and where attention is, through the files of the contract."""
    from voxledger.imaging.soft import open_soft, write_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention

    predicted = [acquisition.predict(network, sample) for network in networks]
    labels = np.zeros(sample.image.shape, np.uint8)
    for i, name in enumerate(CLASSES, start=1):
        labels[np.mean([p[name] for p in predicted], axis=0) > 0.5] = i
    opened = []
    for i, model in enumerate(predicted):
        write_soft(folder / f"{i}.b2nd", model.items(), list(CLASSES), sample.grid, str(i), "")
        opened.append(open_soft(folder / f"{i}.b2nd"))
    pointed = {}
    for opening in OPENINGS:
        attention, shown = Attention(opened, schema(), ScoreParams(opening=opening)), np.zeros_like(labels)
        for i, name in enumerate(CLASSES, start=1):
            if (one := attention[name]).box is not None:
                shown[one.box][one.bits != 0] = i
        pointed[opening] = shown
    return Proposed(sample, labels, pointed)


def proposals(samples: list[Sample], count: int, steps: int, keep: Path | None) -> list[Proposed]:
    """What networks that learned from the first cases propose of the last ones."""
    asked, file = samples[MANY : MANY + READ], keep / f"{count}-{steps}.npz" if keep else None
    if file is not None and file.is_file():
        with np.load(file) as kept:
            return [Proposed(s, kept[s.case_id], {o: kept[f"{s.case_id}-{o}"] for o in OPENINGS}) for s in asked]
    networks = train(samples[:count], steps)
    with tempfile.TemporaryDirectory() as folder:
        cases = [propose(networks, sample, Path(folder)) for sample in asked]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {one.sample.case_id: one.labels for one in cases}
        arrays |= {f"{one.sample.case_id}-{o}": a for one in cases for o, a in one.attention.items()}
        np.savez_compressed(file, **arrays)
    return cases


def read(cases: Sequence[Proposed], looks: Any, opening: int, sees_mm: float) -> tuple[Any, list[Any]]:
    """What a reader notes of all cases, and the rows of the decisions."""
    from voxledger.imaging.volume import Volume
    from voxledger.params import Params
    from voxledger.review.by_reference import ByReference
    from voxledger.review.emulate import Shown

    params = Params.model_validate({"score": {"scratch_minutes": SAIM_SCRATCH_MINUTES}})
    reader, rows = ByReference(BOUND, looks=looks, sees_mm=sees_mm, params=params), []
    for one in cases:
        volume = Volume(one.labels, one.sample.grid)
        pointed = one.attention[opening]
        shown = Shown(one.sample.case_id, schema(), Path(), volume, one.sample.labels, pointed, CLASSES)
        rows += reader.read(shown).rows
    return reader.noted, rows


def mean_and_worst(dice: Sequence[float]) -> tuple[float, float]:
    """Mean Dice of all masks and of the worst tenth."""
    ranked = np.sort(dice)
    return float(ranked.mean()), float(ranked[: max(1, len(ranked) // 10)].mean())


def as_proposed(who: str, cases: Sequence[Proposed]) -> str:
    """The row of nobody: what the networks propose."""
    from voxledger.review.emulate import dice

    ids = range(1, len(CLASSES) + 1)
    mean, worst = mean_and_worst([dice(one.labels == i, one.sample.labels == i) for one in cases for i in ids])
    return f"| {who} | *as proposed* | | | | | | {mean:.3f} | {worst:.3f} | | |"


def minutes_table(who: str, cases: Sequence[Proposed]) -> list[str]:
    """A row a reader: decisions, minutes, savings, and what is left."""
    from voxledger.records.decisions import Decision
    from voxledger.records.emulated import Looks

    lines = [as_proposed(who, cases)]
    readers = [("everywhere", Looks.EVERYWHERE, 0)]
    readers += [(f"attention, opening {opening}", Looks.ATTENTION, opening) for opening in OPENINGS]
    for (name, looks, opening), sees_mm in product(readers, (0.0, SEES_MM)):
        noted, rows = read(cases, looks, opening, sees_mm)
        masks = noted.masks
        all_looks, nothing = sum(m.looks for m in masks), SAIM_SCRATCH_MINUTES * len(cases)
        prices = looking_values(noted.looking_minutes)
        saved = [saving(all_looks * price + noted.drawing, nothing) or 0.0 for price in prices]
        mean, worst = mean_and_worst([m.dice for m in masks])
        revised = sum(row.decision is Decision.REVISE for row in rows)
        corrects = f"beyond {sees_mm:g} mm" if sees_mm else "any voxel"
        lines.append(
            f"| {who} | {name} | {corrects} | {revised} of {len(masks)} | {all_looks:.0f} | {noted.drawing:.0f} | "
            f"{' / '.join(f'{100 * share:.0f} %' for share in saved)} | {mean:.3f} | {worst:.3f} | "
            f"{sum(m.errors_left for m in masks)} of {sum(m.errors for m in masks)} | "
            f"{sum(m.error_ml_left for m in masks):.1f} of {sum(m.error_ml for m in masks):.1f} |"
        )
    return lines


def attention_table(who: str, cases: Sequence[Proposed]) -> list[str]:
    """A row a tolerance and opening: errors, sensitivity and precision by component."""
    from voxledger.bundles.judged import Counts, judge
    from voxledger.imaging.visible_change import visible_change

    lines = []
    for opening in OPENINGS:
        for tolerance in TOLERANCES:
            total = Counts()
            for one in cases:
                for i in range(1, len(CLASSES) + 1):
                    masks = one.labels == i, one.sample.labels == i
                    changed = visible_change(*masks, one.sample.grid.spacing, tolerance)
                    total += judge((one.attention[opening] == i).astype(np.uint8), changed)
            found = total.metrics()
            numbers = [found[name] for name in ("sensitivity", "precision", "voxel_sensitivity", "voxel_precision")]
            told = " | ".join("–" if number is None else f"{number:.2f}" for number in numbers)
            reading = f"beyond {tolerance:g} mm" if tolerance else "any voxel"
            lines.append(f"| {who} | {opening} | {reading} | {total.errors} | {told} |")
    return lines


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/data/hippocampus"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="keep what the networks propose here, and use it again")
    given = parser.parse_args()
    started = time.process_time()
    samples = acquisition.load(given.images)
    minutes = [
        "| models | looks | corrects | revised | looks | drawing, min | saved at 0.25 / 0.5 / 1 min a look | Dice | "
        "worst tenth | visible errors left | ml wrong left |",
        "| --- " * 11 + "|",
    ]
    attention = [
        "| models | opening | error | errors | sensitivity | precision | sensitivity by voxel | precision by voxel |",
        "| --- " * 8 + "|",
    ]
    for count, steps in STEPS.items():
        cases, who = proposals(samples, count, steps, given.keep), f"{count} cases, {steps} steps"
        minutes += minutes_table(who, cases)
        attention += attention_table(who, cases)
        print(f"{who}: {time.process_time() - started:.0f} s", flush=True)
    told = "\n".join([*minutes, "", *attention, "", *assumptions(0.5, SAIM_SCRATCH_MINUTES)])
    print(f"\n{told}\n\n{time.process_time() - started:.0f} CPU s")
    if given.out:
        given.out.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
