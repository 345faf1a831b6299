"""One training as a backend gets it, and how it reads its cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.casemap.job import content, place
from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, whole
from voxledger.imaging.volume import Grid, Volume, mask_sha256, read, read_label
from voxledger.knowledge import CaseKnowledge, Knowledge, knowledge_of
from voxledger.models.cohort import Member
from voxledger.models.region import Region, organ_box
from voxledger.models.start import HeadStart, Start
from voxledger.params import ModelParams
from voxledger.progress import progress
from voxledger.records.cases import require_image
from voxledger.schema import LabelSchema


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """One case as a training reads it."""

    case_id: str
    image: Path = place()
    image_sha256: str
    modality: str
    label: Path
    knowledge: dict[str, Knowledge]
    """What is known of every class of the schema."""
    masks: dict[str, str]
    """SHA-256 of every mask that people stand behind, by class."""

    @classmethod
    def of(cls, member: Member, labels: Path, schema: LabelSchema, hybrid: bool = False) -> TrainingCase:
        """A case of a cohort.

        Parameters
        ----------
        labels
            Folder of label maps that the ledger speaks of, `<case>.nii.gz`.
        hybrid
            Whether what models drew is learned, too.

        Raises
        ------
        VoxledgerError
            Its label is not here.
        """
        case, label = member.case, layout.label_map(labels, member.case.case_id)
        if not label.is_file():
            raise VoxledgerError(
                f"case {case.case_id} is in the ledger, but {label} is missing",
                "restore it with `dvc checkout`, or run `dvc repro import`",
            )
        one = TrainingCase(
            case_id=case.case_id,
            image=Path(case.image),
            image_sha256=case.sha256,
            modality=case.modality,
            label=label,
            knowledge=dict(member.knowledge(schema).by_class),
            masks=_masks(member, Knowledge.TRUSTED),
        )
        drawn = _masks(member, Knowledge.PREDICTED) if hybrid else {}
        return HybridCase.with_masks(one, drawn) if drawn else one

    @property
    def drawn(self) -> Mapping[str, str]:
        """SHA-256 of every mask that models drew and that is learned as if people stood behind it, by class."""
        return {}


@dataclass(frozen=True, kw_only=True)
class HybridCase(TrainingCase):
    """One case of which classes that nobody looked at are learned as models drew them."""

    by_model: dict[str, str]

    @classmethod
    def with_masks(cls, case: TrainingCase, drawn: dict[str, str]) -> HybridCase:
        """The case with masks of models, by class, that are taken for known."""
        values = {f.name: getattr(case, f.name) for f in fields(case)}
        known = {**case.knowledge, **dict.fromkeys(drawn, Knowledge.TRUSTED)}
        return cls(**{**values, "knowledge": known}, by_model=drawn)

    @property
    def drawn(self) -> Mapping[str, str]:
        """See `TrainingCase`."""
        return self.by_model


def _masks(member: Member, knowledge: Knowledge) -> dict[str, str]:
    """SHA-256 of the masks of a case of which this is known, by class."""
    return {e.class_name: e.mask_sha256 for e in member.entries if knowledge_of(e) is knowledge}


def taught(schema: LabelSchema) -> list[Any]:
    """What a training depends on of the classes: not on colours and codes."""
    return [[c.name, c.id, c.inside, c.lesion] for c in schema.classes]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What to train, on what, from where, and on which device."""

    name: str
    model: ModelParams = content(by=lambda model: model.model_dump(mode="json", exclude={"start"}))
    """Without its `start`, for which `start` stands here."""
    start: Start
    cases: tuple[TrainingCase, ...]
    schema: LabelSchema = content(by=taught)
    """The classes that the model learns."""
    labels: LabelSchema = content(by=taught)
    """Those of the label maps: all of `labels.yaml`."""
    seed: int
    device: str = place()

    @property
    def ignores(self) -> bool:
        """Whether anything of a case may be unknown."""
        return any(case.knowledge[name] is not Knowledge.TRUSTED for case in self.cases for name in self.schema.names)

    @property
    def ignore(self) -> int:
        """The label of voxels that training leaves out."""
        return len(self.schema.classes) + 1

    def load(self, case: TrainingCase) -> tuple[Volume, npt.NDArray[np.int16]]:
        """Image and labels to learn (z, y, x) of a case, of a model of a region those around its organ.

        Without a voxel of the organ there is nothing to learn for it: every label is `ignore`. The image is hashed
        against the case table and the masks of trusted classes against the ledger first: what is trained on is what
        people saw.
        """
        image, labels = self._read(case)
        box = self._box(labels, image.grid)
        if box is None:
            return image, np.full(labels.shape, self.ignore, np.int16)
        known = CaseKnowledge(self.schema, {name: case.knowledge[name] for name in self.schema.names})
        learned = known.voxels(self.labels.repaint(labels[box], self.schema)).learned
        return image.cropped(box), learned

    def painted(self, case: TrainingCase) -> tuple[Volume, npt.NDArray[np.int16]] | None:
        """Image and innermost classes (z, y, x) of a case, known or not, cut and hashed as `load` does.

        None where there is nothing of the organ. Classes are numbered from 1 in the order of the schema.
        """
        image, labels = self._read(case)
        box = self._box(labels, image.grid)
        if box is None:
            return None
        numbers = np.zeros(max(c.id for c in self.schema.classes) + 1, np.int16)
        for number, c in enumerate(self.schema.classes, start=1):
            numbers[c.id] = number
        return image.cropped(box), numbers[self.labels.repaint(labels[box], self.schema)]

    def numbers_within(self, name: str) -> list[int]:
        """Numbers of a class and of all that lie in it, as `painted` gives them."""
        return [self.schema.names.index(inner) + 1 for inner in self.schema.within(name)]

    @property
    def taught_by(self) -> dict[str, dict[str, int]]:
        """By class that is trained, how many cases people teach it in, and how many the model does."""
        if isinstance(self.start, HeadStart):
            lessons = self.start.lessons
            return {one.class_name: {"people": len(one.people), "model": len(one.model)} for one in lessons}
        masks, drawn = [case.masks for case in self.cases], [case.drawn for case in self.cases]
        return {
            name: {"people": sum(name in one for one in masks), "model": sum(name in one for one in drawn)}
            for name in self.schema.names
        }

    def trusted(self, case: TrainingCase) -> tuple[Volume, list[tuple[str, npt.NDArray[np.bool_]]]]:
        """Image, and mask (z, y, x) of every class to learn that people stand behind, both hashed as `load` does."""
        image, labels = self._read(case)
        return image, [(n, self.labels.mask(labels, n)) for n in self.schema.names if n in case.masks]

    def _read(self, case: TrainingCase) -> tuple[Volume, npt.NDArray[Any]]:
        """Image and label map of a case, once they are known to be what people saw."""
        require_image(case.image, case.image_sha256)
        image = read(case.image)
        labels = read_label(case.label, image.grid)
        self.labels.check(labels, str(case.label))
        for name, digest in (*case.masks.items(), *case.drawn.items()):
            if mask_sha256(self.labels.mask(labels, name), image.grid) != digest:
                raise VoxledgerError(
                    f"case {case.case_id}: {name} in {case.label} is not the mask that the ledger names",
                    "restore the labels with `dvc checkout`, or run `dvc repro import`",
                )
        return image, labels

    def _box(self, labels: npt.NDArray[Any], grid: Grid) -> Box | None:
        """What of a case is learned from; None where that is nothing."""
        if self.region is None:
            return whole(grid.shape)
        organ = organ_box(self.labels.mask(labels, self.region.inside))
        return None if organ is None else self.region.box(organ, grid)

    @cached_property
    def region(self) -> Region | None:
        """What the model looks at.

        Raises
        ------
        VoxledgerError
            No case has a voxel of the organ.
        """
        if isinstance(self.start, HeadStart) and self.start.parent is not None:
            return self.start.parent.region
        if self.model.region is None:
            return None
        name, volumes = self.model.region.inside, []
        for case in self.cases:
            label = read(case.label)
            voxels = int(np.count_nonzero(self.labels.mask(label.array, name)))
            volumes += [voxels * label.grid.voxel_ml] if voxels else []
        if not volumes:
            raise VoxledgerError(
                f"{self.name} looks at the {name}, of which no case of the cohort has a voxel",
                f"review cases for it, or remove retrain.models.{self.name}.region from {layout.PARAMS}",
            )
        return Region(inside=name, margin_mm=self.model.region.margin_mm, smallest_ml=min(volumes))

    def load_all(self) -> Iterator[tuple[TrainingCase, Volume, npt.NDArray[np.int16]]]:
        """Every case of which anything is known, one at a time.

        Raises `VoxledgerError` at the end where no case has said what is background: such a network would fill the
        whole image with its classes.
        """
        background = False
        for case in self.cases:
            image, labels = self.load(case)
            background = background or bool((labels == 0).any())
            if (labels != self.ignore).any():
                yield case, image, labels
        if not background and self.region is not None:
            raise VoxledgerError(
                f"{self.name} sees nothing but its classes: in no case of the cohort anything else is known in the box "
                f"around the {self.region.inside}",
                f"raise retrain.models.{self.name}.region.margin_mm in {layout.PARAMS}, or have all classes of a case "
                "reviewed",
            )
        if not background:
            raise VoxledgerError(
                "in every case of the cohort some class was never looked for, so nothing tells what is background",
                f"have at least one case reviewed for all classes of {layout.SCHEMA}",
            )

    @contextmanager
    def report(self, network: str = "", iterations: int | None = None) -> Iterator[Callable[[float], None]]:
        """Show the progress of a network of the training; gets the loss of every step and shows its running mean.

        `iterations` are those of the start unless others are given.
        """
        count = self.start.iterations if iterations is None else iterations
        bar, mean = progress(f"train {self.name} {network}".rstrip(), count), 0.0

        def step(loss: float) -> None:
            nonlocal mean
            if not math.isfinite(loss):
                raise VoxledgerError(
                    f"training of {self.name} diverged at iteration {bar.done + 1}: the loss is {loss}",
                    f"lower retrain.models.{self.name}.learning_rate in {layout.PARAMS}",
                )
            mean = loss if bar.done == 0 else 0.95 * mean + 0.05 * loss
            bar.step(f"loss {mean:.3f}")

        yield step
        bar.close()
