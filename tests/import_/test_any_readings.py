"""Whatever several readers say of a case, it is merged by the rules for one reviewer, and nothing trusted is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_round import GRID, SCHEMA, anatomy

from voxledger.bundles.case_return import CaseReturn, Panel
from voxledger.bundles.shown import read_sources
from voxledger.imaging.volume import file_sha256, mask_sha256, read_grid, read_label, write
from voxledger.import_.merge_case import MergeCase
from voxledger.records.decisions import Decision, Row
from voxledger.records.ledger import Entry, Origin


def scribbled(rng: np.random.Generator, proposal: np.ndarray) -> np.ndarray:
    """A proposal in which up to three boxes were painted over with any class, or erased."""
    labels = proposal.copy()
    for _ in range(rng.integers(0, 4)):
        low = [int(rng.integers(0, n - 3)) for n in GRID.shape]
        box = tuple(slice(a, a + int(rng.integers(1, 6))) for a in low)
        labels[box] = rng.choice([0, *(c.id for c in SCHEMA.classes)])
    return labels


def said(rng: np.random.Generator, labels: np.ndarray, proposal: np.ndarray) -> tuple[Row, ...]:
    """A decision on every class: what was changed is revised, the rest accepted, rejected or left out."""
    rows = []
    for name in SCHEMA.names:
        changed = not np.array_equal(SCHEMA.mask(labels, name), SCHEMA.mask(proposal, name))
        decision = Decision.REVISE if changed else rng.choice([None, Decision.ACCEPT, Decision.ACCEPT, Decision.REJECT])
        if decision is not None:
            rows.append(Row("c", name, Decision(decision), 1.0))
    return tuple(rows)


def case(folder: Path, seed: int) -> MergeCase:
    """A case with some trusted classes, read by two to four people, at times with an adjudicator."""
    rng = np.random.default_rng(seed)
    image, base, pseudo, shown = (folder / f"{name}.nii.gz" for name in ("image", "base", "pseudo", "shown"))
    write(image, np.zeros(GRID.shape, np.float32), GRID)
    grid, labels = read_grid(image), np.zeros(GRID.shape, np.uint8)
    trusted = [name for name in SCHEMA.names if rng.random() < 0.3]
    for name in sorted(trusted, key=lambda n: len(SCHEMA.chain(n))):
        labels[SCHEMA.mask(anatomy(), name)] = SCHEMA[name].id
    write(base, labels, GRID)
    write(pseudo, anatomy(1), GRID)
    hashes = {name: mask_sha256(SCHEMA.mask(labels, name), grid) for name in trusted}
    entries = {n: Entry("c", n, 0, Origin.SOURCE, (), "", "", digest, "", 1.0) for n, digest in hashes.items()}
    sources = read_sources(SCHEMA, image, base, pseudo, entries, frozenset(SCHEMA.names), 1)
    proposal = sources.proposal(SCHEMA)
    write(shown, proposal, GRID)
    returns = []
    readers = int(rng.integers(2, 5))
    for n in range(readers + int(rng.random() < 0.4)):
        own, path = scribbled(rng, proposal), folder / f"reader-{n}.nii.gz"
        write(path, own, GRID)
        asked = tuple(name for name in SCHEMA.names if rng.random() < 0.7)
        rows = said(rng, own, proposal)
        returns.append(CaseReturn(f"r{n}", f"{n}" * 64, path, shown, rows, False, asked, n == readers))
    return MergeCase(
        name="c",
        version=1,
        changed_in=1,
        image=image,
        image_sha256=file_sha256(image),
        base=base,
        pseudo=pseudo,
        predicted=dict.fromkeys(SCHEMA.names, ("m",)),
        weak={},
        entries=tuple(entries.values()),
        returns=tuple(returns),
        panel=Panel(str(rng.choice(["majority", "staple"])), float(rng.choice([0, 0.5, 0.9]))),
        label_schema=SCHEMA,
    )


@pytest.mark.parametrize("seed", range(12))
def test_any_readings_are_merged(tmp_path: Path, seed: int) -> None:
    job = case(tmp_path, seed)
    found = job.compute(tmp_path / "out")
    merged, grid = read_label(tmp_path / "out/c.nii.gz"), read_grid(job.image)
    for entry in found.entries:
        assert entry.mask_sha256 == mask_sha256(SCHEMA.mask(merged, entry.class_name), grid)
    assert len(found.readings) == sum(len(one.rows) for one in job.returns)


@pytest.mark.parametrize("seed", range(12))
def test_readers_who_say_the_same_are_merged_as_one(tmp_path: Path, seed: int) -> None:
    job = case(tmp_path, seed)
    first = replace(job.returns[0], asked=tuple(SCHEMA.names))
    same = tuple(replace(first, reviewer=name, bundle=name * 64) for name in "abc")
    several = replace(job, returns=same).compute(tmp_path / "several")
    one = replace(job, returns=(first,), panel=None).compute(tmp_path / "one")
    labels = [read_label(tmp_path / name / "c.nii.gz") for name in ("several", "one")]
    assert np.array_equal(*labels)
    assert [(e.class_name, e.origin, e.mask_sha256) for e in several.entries] == [
        (e.class_name, e.origin, e.mask_sha256) for e in one.entries
    ]
    assert [t.voxels for t in several.taken] == [t.voxels for t in one.taken]
