"""A returned label map, read and compared with what was sent once per content; what is remembered is what counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from voxledger.bundles.appearance import Look
from voxledger.bundles.check import Found, Surroundings, find_all, find_around
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.contradictions import Contradiction, contradictions
from voxledger.bundles.label_file import Expected, read_returned_label
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.settle import Reader, Settled, overrule
from voxledger.casemap.job import Job, content, place
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import file_sha256, read, read_grid, read_label, write
from voxledger.params import Outside
from voxledger.records.bundle import is_class_file
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelSchema

FILE = "labels.nii.gz"
"""The label map as it was read, on the grid of its image: all that others look at."""
LIKE = 0.9
"""Dice with the proposal of all classes below which image and other cases are looked at, too."""
CLASS_LIKE = 0.8
"""The same of a single class."""
SWALLOWED, TAKEN = "swallowed", "taken"
"""Checks of what changes hands."""


@dataclass(frozen=True)
class Compared:
    """What a returned label map says beside the proposal and the decisions."""

    contradictions: tuple[Contradiction, ...]
    found: tuple[Found, ...]
    """What checks of the label maps alone say."""
    unlike: bool
    """Whether it looks so little like its proposal that the image and other cases have to be asked."""
    notes: tuple[str, ...]
    """What was undone or decided to read it, see `voxledger.bundles.label_file`."""
    resampled: bool
    """Whether it lay on other voxels than its image."""


class LabelCheck(Job[Compared]):
    """Reads the label of one case, writes it as `FILE`, and compares it with the proposal and the decisions."""

    stage, algorithms = "gate", ("gate",)
    folder: Path = place()
    """The return."""
    files: tuple[str, ...] = content()
    """Paths in it of the returned files; suffixes tell how they are read."""
    sha256: tuple[str, ...] = content()
    """SHA-256 of each."""
    parts: tuple[str, ...] = content()
    """Those of the files that hold the voxels of another one, such as `.raw`."""
    outside: Outside = content()
    """What voxels outside of the extent of a cropped label are."""
    resample: bool = content()
    """Whether the curator wants labels on other voxels resampled."""
    shown: Path = place()
    """The proposal that was sent."""
    shown_sha256: str = content()
    most_bytes: int = content()
    """Bound on the unpacked size of the returned file."""
    label_schema: LabelSchema = content()
    rows: tuple[Row, ...] = content()
    """Lines of `decisions.csv` about the case."""
    asked: tuple[str, ...] = content()
    """Classes that the reviewer was asked about."""
    trusted: tuple[str, ...] = content()
    """Classes that people stand behind in the base version; those on which readers agree see to `CheckSettled`."""

    def compute(self, folder: Path) -> Compared:
        """Read and compare.

        Raises
        ------
        VoxledgerError
            It is no label map of this schema on the grid of its image, or changes just now: not remembered.
        """
        shown = read(self.shown)
        expected = Expected(self.label_schema, shown, self.most_bytes, self.outside, self.resample)
        headers = [self.folder / path for path in self.files if path not in self.parts]
        found = read_returned_label(headers, any(map(is_class_file, self.files)), expected)
        labels = found.labels
        if tuple(file_sha256(self.folder / path) for path in self.files) != self.sha256:
            raise BundleRefused("changed while it was read", "run the command again once nobody writes there any more")
        write(folder / FILE, labels, shown.grid)
        rows = {row.class_name: row for row in self.rows}
        trusted = frozenset(self.trusted)
        comparison = Comparison(self.label_schema, shown.array, labels, rows, trusted, shown.grid.spacing)
        unlike = [n for n in comparison.revised if comparison.after(n) and comparison.dice(n) < CLASS_LIKE]
        return Compared(
            tuple(contradictions(comparison, self.asked)),
            tuple(find_all(comparison)),
            bool(unlike) or comparison.agreement < LIKE,
            found.notes,
            found.resampled,
        )


class CheckSettled(Job[tuple[Found, ...]]):
    """Compares what an adjudicator drew with what the readers of the case agree on, which the bundle does not show."""

    stage, algorithms = "gate", ("gate",)
    labels: Path = content()
    """As it was read."""
    agreed: Path = content()
    """Label map that the readers agree on."""
    settled: tuple[Row, ...] = content()
    """What they decided together."""
    rows: tuple[Row, ...] = content()
    """Lines of the adjudicator's `decisions.csv` about the case."""
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> tuple[Found, ...]:
        """Read both, and look which voxels change hands when hers are laid over theirs."""
        agreed, rows = read(self.agreed), {row.class_name: row for row in self.rows}
        decided = {name: row for name, row in rows.items() if row.decision is not None}
        theirs = Settled(agreed.array, {row.class_name: row for row in self.settled}, {})
        after = overrule(self.label_schema, theirs, Reader("", read_label(self.labels), decided, frozenset(decided)))
        kept = frozenset(row.class_name for row in self.settled if row.decision is not Decision.REJECT)
        comparison = Comparison(self.label_schema, agreed.array, after.labels, rows, kept, agreed.grid.spacing)
        told = "; that is of what its readers agree on, and the bundle shows what was proposed"
        return tuple(
            Found(one.kind, replace(one.suspicion, problem=one.suspicion.problem + told))
            for one in find_all(comparison)
            if one.kind in (SWALLOWED, TAKEN) and one.suspicion.class_name in kept - decided.keys()
        )


class CheckAround(Job[tuple[Found, ...]]):
    """Compares a label map that is unlike its proposal with the image and with the proposals of other cases."""

    stage, algorithms = "gate", ("gate",)
    labels: Path = content()
    """As it was read."""
    shown: Path = content()
    """The proposal that was sent."""
    image: Path = content()
    others: Mapping[str, Path] = content()
    """Proposals of the other cases of the round, by case."""
    looks: Mapping[str, Look] = content()
    """What classes look like in trusted cases."""
    rows: tuple[Row, ...] = content()
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> tuple[Found, ...]:
        """Read all of it and compare."""
        shown = read(self.shown)
        rows = {row.class_name: row for row in self.rows}
        comparison = Comparison(
            self.label_schema, shown.array, read_label(self.labels), rows, spacing=shown.grid.spacing
        )
        surroundings = Surroundings(cache(lambda: read(self.image).array), self.looks, self._others)
        return tuple(find_around(comparison, surroundings))

    def _others(self) -> Iterator[tuple[str, LabelMap]]:
        wanted = read_grid(self.shown).shape
        for case, path in self.others.items():
            if read_grid(path).shape == wanted:
                yield case, read_label(path)
