"""What is known of a release, from its ledger, readings, cases and cards: all that its descriptions are made of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import voxledger
from voxledger import layout
from voxledger.imaging.volume import file_sha256
from voxledger.params import UNSPECIFIED, Params, read_params
from voxledger.records.bundle import EMULATED
from voxledger.records.card import CARD, WEIGHTS, ModelCard, list_models
from voxledger.records.cases import Case, read_cases
from voxledger.records.dataset_description import DatasetDescription, read_dataset_description
from voxledger.records.history import HistoryRow, read_history
from voxledger.records.ledger import Ledger, Origin, read_ledger
from voxledger.records.manifest import Manifest, read_manifest
from voxledger.records.overrides import Override, read_overrides
from voxledger.records.readings import JOINT, Reading, read_readings
from voxledger.records.reviewers import Reviewers, read_reviewers
from voxledger.release.marked import note_of
from voxledger.release.models_used import SERVED, cards_of_release, models_behind, models_that_answered
from voxledger.release.state import release_name
from voxledger.release.times import now
from voxledger.schema import LabelSchema, read_schema
from voxledger.textfile import read_json_if_there, read_text_if_there


@dataclass(frozen=True)
class File:
    """A file of a release."""

    name: str
    """Seen from the folder of the descriptions."""
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where cases came from."""

    name: str
    licence: str
    modality: str
    cases: int


@dataclass(frozen=True)
class Facts:
    """Of one release."""

    params: Params
    description: DatasetDescription
    schema: LabelSchema
    cases: Sequence[Case]
    """Those that the ledger names, sorted."""
    ledger: Ledger
    readings: Sequence[Reading]
    reviewers: Reviewers
    models: Mapping[str, ModelCard]
    """By id: of this round and of all before it, as far as the release has their cards."""
    released: Sequence[ModelCard]
    """Models that the next round begins with, by name: those that this one trained, and those that went on."""
    overrides: Sequence[Override]
    history: Sequence[HistoryRow]
    agreement: Mapping[str, object]
    """Of the readers of this round, as `layout.READERS` has it; empty where nobody measured it."""
    manifest: Manifest | None
    """Of this round; None while it is open."""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """By id of a model, what there is to say of withdrawn patients whom it learned from."""
    exported: Path | None = None
    """The folder that the release was handed over into; None for the release as it lies in the repository."""

    @property
    def version(self) -> str:
        return release_name(self.params.round)

    @property
    def name(self) -> str:
        """For people."""
        return self.description.title or self.params.dataset

    @property
    def date(self) -> str:
        """The day on which the round was closed, or today."""
        closed = self.manifest.closed if self.manifest else None
        return str(closed["at"] if closed else now())[:10]

    @property
    def made_with(self) -> str:
        """Version of the voxledger that closed the round, or would now."""
        closed = self.manifest.closed if self.manifest else None
        return str(closed["environment"]["voxledger"]["version"]) if closed else voxledger.__version__

    @property
    def authors(self) -> list[str]:
        """Who is cited: those who made it, or, where nobody says who that was, its curators."""
        return [one.name for one in self.description.creators] or [f"The curators of {self.params.dataset}"]

    @property
    def summary(self) -> str:
        """What people said that it is, or what can be counted."""
        kinds = " and ".join(sorted({case.modality for case in self.cases}))
        counted = f"{len(self.cases)} {kinds} volumes with masks of {', '.join(self.schema.names)}"
        return self.description.summary or f"{counted}; the ledger says which model or which person each mask is from."

    @property
    def origins(self) -> Mapping[Origin, int]:
        """How many masks are of each origin."""
        return Counter(entry.origin for entry in self.ledger.values())

    @property
    def sources(self) -> list[Source]:
        """Where cases came from, sorted."""
        found = Counter((case.source, case.licence, case.modality) for case in self.cases)
        return [Source(*source, n) for source, n in sorted(found.items())]

    @property
    def used(self) -> list[ModelCard]:
        """Models that masks are from, and those that they go on from, by name and id."""
        return models_behind(self.ledger, self.models, models_that_answered())

    @cached_property
    def readers(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """Who looked at each mask of the ledger, by case and class."""
        found = {key: set(filter(None, entry.reviewer.split(JOINT))) for key, entry in self.ledger.items()}
        for one in self.readings:
            if one.key in found:
                found[one.key].add(one.reader)
        return {key: frozenset(names) for key, names in found.items()}

    @cached_property
    def people(self) -> list[str]:
        """Everybody who looked at a mask, emulated readers too, sorted."""
        return sorted({name for names in self.readers.values() for name in names})

    @cached_property
    def emulated(self) -> set[str]:
        """Those of whom a return says that no person made it."""
        listed = self.manifest.files if self.manifest else {}
        notes = {(one.reader, layout.RELEASE_REVISIONS / one.bundle / EMULATED) for one in self.readings}
        return {reader for reader, note in notes if note.as_posix() in listed or note.is_file()}

    @cached_property
    def images(self) -> list[File]:
        """Of every case, its channels in their order."""
        channels = [channel for case in self.cases for channel in case.channels]
        return [*self._files((Path(c.image), "images", c.sha256) for c in channels)]

    @cached_property
    def labels(self) -> list[File]:
        """The label map of every case."""
        maps = [layout.label_map(layout.RELEASE_LABELS, case.case_id) for case in self.cases]
        return [*self._files((path, "labels", self.sha256(path)) for path in maps)]

    def _files(self, paths: Iterable[tuple[Path, str, str]]) -> Iterable[File]:
        for path, folder, digest in paths:
            if self.exported is None:
                yield File(_from_release(path), digest)
            # A layout may have them in another form.
            elif (copied := self.exported / folder / path.name).is_file() and file_sha256(copied) == digest:
                yield File(f"{folder}/{path.name}", digest)

    def record(self, path: Path) -> File:
        """A table or text of the release; in an export they lie together."""
        return File(f"{PROVENANCE}/{path.name}" if self.exported else _from_release(path), self.sha256(path))

    def sha256(self, path: Path) -> str:
        """Of a file of the repository, as the manifest says where there is one."""
        listed = self.manifest.files.get(path.as_posix()) if self.manifest else None
        return listed or file_sha256(path)

    def not_closed(self) -> str:
        """That this is no version yet, while the round is open; else empty."""
        if self.manifest is not None:
            return ""
        return f"round {self.params.round} is open, and {self.version} is not closed: what is described may change"

    def missing(self) -> dict[str, str]:
        """What nobody said, as questions by where they are answered."""
        found = {
            f"{layout.DATASET_DESCRIPTION}: {name}": question for name, question in self.description.missing().items()
        }
        if self.params.licence == UNSPECIFIED:
            found[f"{layout.PARAMS}: licence"] = "under which licence is it released?"
        for source in self.sources:
            if source.licence in ("", UNSPECIFIED):
                found[f"{layout.CASES}: licence of {source.name}"] = "under which licence did its images come?"
        for name in self.people:
            if name not in self.reviewers or not self.reviewers[name].told:
                found[f"{layout.REVIEWERS}: {name}"] = "what is their affiliation and qualification?"
        return found


PROVENANCE = "provenance"
"""Folder of an export, of what says where labels came from."""


def read_facts(exported: Path | None = None) -> Facts:
    """Of the release that lies in the working tree.

    Raises
    ------
    VoxledgerError
        A record is damaged.
    """
    params, ledger = read_params(), read_ledger(layout.RELEASE_LEDGER)
    labelled = {case_id for case_id, _ in ledger}
    text = read_text_if_there(layout.MANIFEST)
    listed = read_manifest(text.encode()) if text else None
    manifest = listed if listed and listed.round == params.round else None
    readers, models = read_json_if_there(layout.READERS) or {}, cards_of_release()
    return Facts(
        params,
        read_dataset_description(),
        read_schema(layout.SCHEMA),
        [case for case in read_cases() if case.case_id in labelled],
        ledger,
        read_readings(layout.RELEASE_READINGS),
        read_reviewers(),
        models,
        _released(models, manifest.files if manifest else {}),
        read_overrides(layout.LICENCES),
        [row for row in read_history(layout.HISTORY) if row.round == params.round],
        readers.get("agreement", {}) if readers.get("round") == params.round else {},
        manifest,
        {model_id: note for model_id in models if (note := note_of(model_id))},
        exported,
    )


def _released(models: Mapping[str, ModelCard], files: Mapping[str, str]) -> list[ModelCard]:
    """Models of the next round: those that the files of a manifest hold, or, without one, those that lie here.

    A clone need not have the models of a closed round.
    """
    names = sorted(p.parent.name for p in map(Path, files) if p.name == CARD and p.parent.parent == layout.NEXT_MODELS)
    if not names:
        return list_models(layout.NEXT_MODELS)
    own = [card for card in models.values() if card.strategy != SERVED]
    last = {card.name: card for card in sorted(own, key=lambda card: card.round)}
    by_weights = {name: files.get((layout.NEXT_MODELS / name / WEIGHTS).as_posix(), "") for name in names}
    # The id of a model without weights is what its owner says: there, its name decides.
    found = (models.get(digest) or last.get(name) for name, digest in by_weights.items())
    return [card for card in found if card is not None]


def _from_release(path: Path) -> str:
    return Path(os.path.relpath(path, layout.RELEASE)).as_posix()
