"""How many wrong returns pass without a word, and how many right ones are stopped.

    python benchmarks/returns.py                    held-out returns: minutes on two cores
    python benchmarks/returns.py --split tuning     those that bounds were chosen on

Labels are real: hippocampus of the Medical Segmentation Decathlon (expert labels, MR), an abdominal CT with organs of
TotalSegmentator, and kidneys and tumours of KiTS23 that three annotators drew, which are corrections of one another.
A model's proposal is the label deformed by a smooth field, with borders that are off; a reviewer who is right returns
the label, a part of it, or another annotator's. Wrong returns are made of right ones. All is seeded, no case is in both
splits, and images are compared with trusted cases of the other one.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, map_coordinates

from voxledger.bundles.appearance import Look, look_at, looks
from voxledger.bundles.check import Severity, Surroundings, all_checks, find_all, find_around
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.contradictions import contradictions
from voxledger.bundles.label_check import CLASS_LIKE, LIKE
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import read
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelClass, LabelSchema

DATA = Path(__file__).parents[1].parent / "shared" / "data"
Labels = npt.NDArray[np.uint8]
Random = np.random.Generator

HIPPOCAMPUS = LabelSchema(
    name="hippocampus", classes=(LabelClass(id=1, name="anterior"), LabelClass(id=2, name="posterior"))
)
KIDNEYS = LabelSchema(
    name="kidneys",
    classes=(LabelClass(id=1, name="kidney"), LabelClass(id=2, name="tumour", inside="kidney", lesion=True)),
)
ORGANS = {
    **{1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "gallbladder", 5: "liver", 6: "stomach", 7: "pancreas"},
    **{10: "lung_upper_lobe_left", 11: "lung_lower_lobe_left", 14: "lung_lower_lobe_right", 20: "colon"},
    **{51: "heart", 52: "aorta", 63: "inferior_vena_cava"},
}
ABDOMEN = LabelSchema(name="abdomen", classes=tuple(LabelClass(id=i, name=n) for i, n in ORGANS.items()))


@dataclass(frozen=True)
class Sample:
    """What a reviewer was sent of one case, and what is right."""

    schema: LabelSchema
    name: str
    proposal: Labels
    truth: Labels
    spacing: tuple[float, float, float]
    image: npt.NDArray[Any] | None
    others: tuple[tuple[str, Labels, Labels], ...] = ()
    """Other cases on the same grid: name, proposal and label."""


@dataclass(frozen=True)
class Back:
    """What came back: labels and lines by class."""

    labels: Labels
    rows: dict[str, Row]
    trusted: frozenset[str] = frozenset()


def seeded(*what: object) -> Random:
    """A generator of its own for everything that has a name."""
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


def proposal_of(labels: Labels, rng: Random, spacing: tuple[float, float, float]) -> Labels:
    """What a model makes of a label: 0.7 to 0.95 Dice."""
    size = rng.uniform(0.4, 1.6)
    sigma = np.asarray([6.0, 6.0, 6.0]) * (min(spacing) / np.asarray(spacing))
    field = [gaussian_filter(rng.normal(size=labels.shape), sigma) for _ in range(3)]
    grid = np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij")
    moved = [g + size * f / max(float(np.abs(f).max()), 1e-9) * 2 for g, f in zip(grid, field, strict=True)]
    made = map_coordinates(labels, moved, order=0, mode="nearest").astype(np.uint8)
    for value in np.unique(made)[1:]:
        mask, bias = made == value, rng.random()
        if bias < 0.25:
            made[mask & ~binary_erosion(mask)] = 0
        elif bias > 0.75:
            made[binary_dilation(mask) & (made == 0)] = value
    return made


def hippocampi(split: str) -> Iterator[Sample]:
    names = sorted(p.name for p in (DATA / "hippocampus/labels").glob("*.nii.gz"))
    chosen = names[::2] if split == "tuning" else names[1::2]
    read_of = {n: read(DATA / "hippocampus/labels" / n) for n in chosen}
    for name, volume in read_of.items():
        labels = volume.array.astype(np.uint8)
        others = []
        for other in sorted(read_of.keys() - {name}, key=lambda n: zlib.crc32(f"{name}{n}".encode()))[:4]:
            fitted = on_grid(read_of[other].array.astype(np.uint8), labels.shape)
            others.append((other, proposal_of(fitted, seeded(other, split), volume.grid.spacing), fitted))
        image = read(DATA / "hippocampus/images" / name).array
        proposal = proposal_of(labels, seeded(name, split), volume.grid.spacing)
        yield Sample(HIPPOCAMPUS, name, proposal, labels, volume.grid.spacing, image, tuple(others))


def on_grid(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Another case on a grid of this shape, its middle in the middle: crops of one size, as many data sets have."""
    fitted = np.zeros(shape, np.uint8)
    ours, theirs = [], []
    for n, m in zip(shape, labels.shape, strict=True):
        common = min(n, m)
        ours.append(slice((n - common) // 2, (n - common) // 2 + common))
        theirs.append(slice((m - common) // 2, (m - common) // 2 + common))
    fitted[tuple(ours)] = labels[tuple(theirs)]
    return fitted


def abdomens(split: str) -> Iterator[Sample]:
    folder = DATA / "totalsegmentator"
    volume = read(folder / "example_seg_fast_force_split.nii.gz")
    image = read(folder / "example_ct.nii.gz").array
    labels = np.where(np.isin(volume.array, list(ORGANS)), volume.array, 0).astype(np.uint8)
    for number in range(6) if split == "tuning" else range(100, 112):
        yield Sample(
            ABDOMEN,
            f"abdomen-{number}",
            proposal_of(labels, seeded("abdomen", number), volume.grid.spacing),
            labels,
            volume.grid.spacing,
            image,
        )


def kidneys(split: str) -> Iterator[Sample]:
    """Each annotator's label as proposal, each other one's as the correction; no image of these is here."""
    case = "case_00038" if split == "tuning" else "case_00061"
    folder = DATA / "kits23-raters" / case / "instances"
    drawn = {}
    for rater in (1, 2, 3):
        volumes = {p.name: read(p) for p in sorted(folder.glob(f"*annotation-{rater}.nii.gz"))}
        grid = next(iter(volumes.values())).grid
        labels = np.zeros(grid.shape, np.uint8)
        for part, value in (("kidney", 1), ("tumor", 2)):
            for name, volume in volumes.items():
                if name.startswith(part):
                    labels[volume.array > 0] = value
        box = bounding_box(labels, 8)
        drawn[rater] = labels, grid.spacing, box
    for a in drawn:
        for b in drawn:
            if a != b:
                box = drawn[a][2]
                yield Sample(KIDNEYS, f"{case}-{a}-{b}", drawn[a][0][box], drawn[b][0][box], drawn[a][1], None)


Make = Callable[[Sample, Random], Back | None]


def rows_of(sample: Sample, labels: Labels, confirmed: bool = False) -> dict[str, Row]:
    """Lines that fit: revise what changed, with the error type that says so, accept the rest."""
    found = {}
    for c in sample.schema.classes:
        old, new = sample.schema.mask(sample.proposal, c.name), sample.schema.mask(labels, c.name)
        error = ErrorKind.BOUNDARY
        if not new.any():
            error = ErrorKind.FALSE_POSITIVE
        elif not old.any():
            error = ErrorKind.FALSE_NEGATIVE
        changed = not np.array_equal(old, new)
        decision = Decision.REVISE if changed else Decision.ACCEPT
        found[c.name] = Row(sample.name, c.name, decision, 1.0, error if changed else ErrorKind.NONE, "", confirmed)
    return found


def whole(sample: Sample, rng: Random) -> Back:
    """Everything corrected."""
    return Back(sample.truth, rows_of(sample, sample.truth))


def half(sample: Sample, rng: Random) -> Back:
    """Every second error of the proposal corrected."""
    blocks = gaussian_filter(rng.normal(size=sample.truth.shape), 3) > 0
    labels = np.where(blocks, sample.truth, sample.proposal)
    return Back(labels, rows_of(sample, labels))


def smoothed(sample: Sample, rng: Random) -> Back:
    """Corrected, with another hand: the border a voxel off here and there."""
    labels = sample.truth.copy()
    edge = (labels != 0) & ~binary_erosion(labels != 0)
    labels[edge & (gaussian_filter(rng.normal(size=labels.shape), 1.5) > 0.05)] = 0
    return Back(labels, rows_of(sample, labels))


def one_class(sample: Sample, rng: Random) -> Back | None:
    """One class corrected and the others accepted; those that it took from are confirmed, as the README asks."""
    names = [n for n in sample.schema.names if sample.schema.mask(sample.truth, n).any()]
    name = names[int(rng.integers(len(names)))]
    from voxledger.bundles.merge import paint

    labels = paint(sample.schema, sample.proposal, sample.truth, name)
    rows = rows_of(sample, labels)
    mine = {n for n in sample.schema.names if n == name or name in sample.schema.chain(n)}
    for n, row in rows.items():
        if n not in mine and row.decision is Decision.REVISE:
            rows[n] = replace(row, decision=Decision.ACCEPT, error_type=ErrorKind.NONE, confirmed=True)
    if rows[name].decision is not Decision.REVISE:
        return None
    return Back(labels, rows)


def untouched(sample: Sample, rng: Random) -> Back:
    """All accepted."""
    return Back(sample.proposal, rows_of(sample, sample.proposal))


RIGHT: dict[str, Make] = {
    "all corrected": whole,
    "half of the errors corrected": half,
    "corrected by another hand": smoothed,
    "one class corrected": one_class,
    "accepted": untouched,
}


def revised(sample: Sample, labels: Labels) -> Back | None:
    """Labels that were spoilt, every class that changed called revised; None where they are what is right."""
    if np.array_equal(labels, sample.truth) or np.array_equal(labels, sample.proposal):
        return None
    rows = rows_of(sample, labels)
    return Back(labels, {n: replace(r, error_type=ErrorKind.NONE) for n, r in rows.items()})


def largest(sample: Sample) -> str:
    counts = Counter({n: int((sample.truth == sample.schema[n].id).sum()) for n in sample.schema.names})
    return counts.most_common(1)[0][0]


def some_class(sample: Sample, rng: Random, least: int = 200) -> str:
    names = [n for n in sample.schema.names if int(sample.schema.mask(sample.truth, n).sum()) >= least]
    return names[int(rng.integers(len(names)))] if names else largest(sample)


def swallow(sample: Sample, rng: Random) -> Back | None:
    """The largest class takes a trusted neighbour whole."""
    name = some_class(sample, rng, 50)
    big = largest(sample)
    if name == big or big in sample.schema.chain(name):
        return None
    labels = np.where(sample.schema.mask(sample.proposal, name), sample.schema[big].id, sample.proposal)
    rows = rows_of(sample, labels.astype(np.uint8))
    accepted = {n: replace(r, decision=Decision.ACCEPT, error_type=ErrorKind.NONE) for n, r in rows.items() if n != big}
    inside = {n: r for n, r in accepted.items() if n == name or name not in sample.schema.chain(n)}
    return Back(labels.astype(np.uint8), {**inside, big: rows[big]}, frozenset({name}))


def bite(sample: Sample, rng: Random) -> Back | None:
    """A revised class takes a slab of an accepted neighbour, and nobody says so."""
    name, big = some_class(sample, rng, 50), largest(sample)
    mask = sample.schema.mask(sample.proposal, name)
    box = bounding_box(mask)
    if name == big or big in sample.schema.chain(name) or box is None:
        return None
    part = np.zeros_like(mask)
    depth = max(1, (box[2].stop - box[2].start) // 4)
    part[box[0], box[1], box[2].start : box[2].start + depth] = True
    labels = np.where(mask & part, sample.schema[big].id, sample.proposal).astype(np.uint8)
    rows = rows_of(sample, labels)
    rows |= {n: replace(r, decision=Decision.ACCEPT, error_type=ErrorKind.NONE) for n, r in rows.items() if n != big}
    return Back(labels, rows)


def spoilt(edit: Callable[[Labels, Sample, Random], Labels]) -> Make:
    """A wrong return out of a right one."""
    return lambda sample, rng: revised(sample, edit(sample.truth.copy(), sample, rng).astype(np.uint8))


def without(labels: Labels, sample: Sample, rng: Random) -> Labels:
    mask = sample.schema.mask(labels, some_class(sample, rng))
    return np.where(mask, 0, labels)


def one_slice(labels: Labels, sample: Sample, rng: Random) -> Labels:
    middle = int(np.median(np.flatnonzero(labels.any(axis=(1, 2)))))
    return np.where(np.arange(len(labels))[:, None, None] == middle, labels, 0)


def half_of(axis: int) -> Callable[[Labels, Sample, Random], Labels]:
    def edit(labels: Labels, sample: Sample, rng: Random) -> Labels:
        hit = np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis)))
        where = np.arange(labels.shape[axis]) <= (hit[0] + hit[-1]) // 2
        return np.where(where.reshape([-1 if a == axis else 1 for a in range(3)]), labels, 0)

    return edit


def every_second(labels: Labels, sample: Sample, rng: Random) -> Labels:
    return np.where(np.arange(len(labels))[:, None, None] % 2 == 0, labels, 0)


def filled(labels: Labels, sample: Sample, rng: Random) -> Labels:
    return np.where(labels == 0, sample.schema[largest(sample)].id, labels)


def swapped(labels: Labels, sample: Sample, rng: Random) -> Labels:
    present = [v for v in np.unique(labels)[1:] if int((labels == v).sum()) > 100]
    a, b = rng.permutation(present)[:2]
    return np.where(labels == a, b, np.where(labels == b, a, labels))


def ring(labels: Labels, sample: Sample, rng: Random) -> Labels:
    table = np.arange(256)
    present = np.unique(labels)[1:]
    table[present] = np.roll(present, 1)
    return table[labels]


def flipped(axis: int) -> Callable[[Labels, Sample, Random], Labels]:
    return lambda labels, sample, rng: np.flip(labels, axis)


def noisy(labels: Labels, sample: Sample, rng: Random) -> Labels:
    crumbs = (rng.random(labels.shape) < 0.01) & (labels == 0)
    return np.where(crumbs, sample.schema[largest(sample)].id, labels)


def shifted(labels: Labels, sample: Sample, rng: Random) -> Labels:
    box = bounding_box(labels)
    assert box is not None
    return np.roll(labels, max(4, (box[1].stop - box[1].start) // 2), axis=1)


def other_case(corrected: bool) -> Make:
    """The label of another case, as it was sent or corrected."""

    def make(sample: Sample, rng: Random) -> Back | None:
        if not sample.others:
            return None
        _, proposal, truth = sample.others[int(rng.integers(len(sample.others)))]
        return revised(sample, truth if corrected else proposal)

    return make


def case_of_another_round(sample: Sample, rng: Random) -> Back | None:
    """The corrected label of a case that none of the proposals is of."""
    return revised(sample, sample.others[-1][2]) if sample.others else None


def erased(sample: Sample, rng: Random) -> Back | None:
    """An inner class erased to background, while the class around it was accepted."""
    inner = next((c for c in sample.schema.classes if c.inside and (sample.proposal == c.id).any()), None)
    if inner is None:
        return None
    labels = np.where(sample.proposal == inner.id, 0, sample.proposal).astype(np.uint8)
    rows = rows_of(sample, labels)
    rows |= {n: replace(r, decision=Decision.ACCEPT) for n, r in rows.items() if n != inner.name}
    return Back(labels, rows)


WRONG: dict[str, Make] = {
    "a trusted class swallowed": swallow,
    "a trusted class bitten": bite,
    "a binary mask": spoilt(lambda a, s, r: (a > 0).astype(np.uint8) * s.schema.classes[0].id),
    "a class lost": spoilt(without),
    "one slice only": spoilt(one_slice),
    "half along z": spoilt(half_of(0)),
    "half along y": spoilt(half_of(1)),
    "half along x": spoilt(half_of(2)),
    "every second slice": spoilt(every_second),
    "everything emptied": spoilt(lambda a, s, r: a * 0),
    "background filled": spoilt(filled),
    "two classes swapped": spoilt(swapped),
    "renumbered in a ring": spoilt(ring),
    "flipped along z": spoilt(flipped(0)),
    "flipped along y": spoilt(flipped(1)),
    "flipped along x": spoilt(flipped(2)),
    "crumbs": spoilt(noisy),
    "shifted": spoilt(shifted),
    "another case's proposal": other_case(False),
    "another case, corrected": other_case(True),
    "a case of another round": case_of_another_round,
    "an inner class erased": erased,
}


def judge(sample: Sample, back: Back, known: dict[str, Look], hidden: bool = False) -> Counter[Severity]:
    """What is found in a return, by what follows; `hidden`: the last of the other cases is not in this round."""
    comparison = Comparison(
        sample.schema, sample.proposal, back.labels, back.rows, frozenset(back.trusted), sample.spacing
    )
    found = [(f.kind, f.suspicion.class_name) for f in find_all(comparison)]
    unlike = [n for n in comparison.revised if comparison.after(n) and comparison.dice(n) < CLASS_LIKE]
    image = sample.image
    if image is not None and (unlike or comparison.agreement < LIKE):
        others = sample.others[:-1] if hidden else sample.others
        around = Surroundings(lambda: image, known, lambda: ((name, proposal) for name, proposal, _ in others))
        found += [(f.kind, f.suspicion.class_name) for f in find_around(comparison, around)]
    counted = Counter[Severity]()
    for kind, name in found:
        severity = all_checks()[kind].severity
        confirmed = name in back.rows and back.rows[name].confirmed
        counted[Severity.NOTE if severity is Severity.WARNING and confirmed else severity] += 1
    asked = [c.name for c in sample.schema.classes]
    counted[Severity.BLOCKING] += len(contradictions(comparison, asked))
    return counted


def trusted_looks(split: str) -> dict[str, dict[str, Look]]:
    """What classes look like in cases of the other split."""
    other = "held-out" if split == "tuning" else "tuning"
    seen = []
    for sample in hippocampi(other):
        assert sample.image is not None
        boxes = {n: bounding_box(sample.schema.mask(sample.truth, n)) for n in sample.schema.names}
        seen.append({n: look_at(sample.image, sample.schema.mask(sample.truth, n), b) for n, b in boxes.items() if b})
        if len(seen) == 24:
            break
    return {"hippocampus": looks(seen)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("tuning", "held-out"), default="held-out")
    split = parser.parse_args().split
    known = trusted_looks(split)
    table: dict[tuple[str, str], Counter[str]] = {}
    for samples in (hippocampi, abdomens, kidneys):
        for sample in samples(split):
            for right, kinds in ((True, RIGHT), (False, WRONG)):
                for kind, make in kinds.items():
                    back = make(sample, seeded(sample.name, kind, split))
                    if back is None:
                        continue
                    hidden = kind == "a case of another round"
                    found = judge(sample, back, known.get(sample.schema.name, {}), hidden)
                    outcome = next((s.value for s in Severity if found[s]), "silent")
                    table.setdefault(("right" if right else "wrong", kind), Counter())[outcome] += 1
    for what in ("right", "wrong"):
        print(f"\n| {what} returns ({split}) | n | blocked | to be confirmed | noted | nothing said |")
        print("| --- | --- | --- | --- | --- | --- |")
        total: Counter[str] = Counter()
        for (which, kind), counted in table.items():
            if which == what:
                total += counted
                print(line(kind, counted))
        print(line("all", total))


def line(kind: str, counted: Counter[str]) -> str:
    n = counted.total()
    shares = [f"{counted[s] / n:.1%}".replace("%", " %") for s in ("blocking", "warning", "note", "silent")]
    return f"| {kind} | {n} | {' | '.join(shares)} |"


if __name__ == "__main__":
    main()
