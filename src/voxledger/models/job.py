"""One training as a backend gets it, and how it reads its cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import Volume, mask_sha256, read, read_label
from voxledger.knowledge import Knowledge
from voxledger.models.cohort import Member
from voxledger.models.start import Start
from voxledger.params import ModelParams
from voxledger.progress import progress
from voxledger.records.cases import require_image
from voxledger.schema import LabelSchema


@dataclass(frozen=True)
class Job:
    """What to train, on what, from where, and on which device."""

    name: str
    model: ModelParams
    start: Start
    members: tuple[Member, ...]
    labels: Path
    """Folder of `<case>.nii.gz`."""
    schema: LabelSchema
    seed: int
    device: str

    @property
    def ignores(self) -> bool:
        """Whether anything of a case may be unknown."""
        return any(k is not Knowledge.TRUSTED for m in self.members for k in m.knowledge(self.schema).by_class.values())

    @property
    def ignore(self) -> int:
        """The label of voxels that training leaves out."""
        return len(self.schema.classes) + 1

    def label_path(self, member: Member) -> Path:
        return self.labels / f"{member.case.case_id}.nii.gz"

    def load(self, member: Member) -> tuple[Volume, npt.NDArray[np.int16]]:
        """Image and labels to learn (z, y, x) of a case.

        The image is hashed against the case table and the masks of trusted classes against the ledger first: what is
        trained on is what people saw.
        """
        require_image(member.case.image, member.case.sha256)
        image, path = read(member.case.image), self.label_path(member)
        labels = read_label(path, image.grid)
        self.schema.check(labels, str(path))
        for entry in member.entries:
            mask = self.schema.mask(labels, entry.class_name)
            if entry.origin.trusted and mask_sha256(mask, image.grid) != entry.mask_sha256:
                raise VoxledgerError(
                    f"case {entry.case_id}: {entry.class_name} in {path} is not the mask that the ledger names",
                    "restore the labels with `dvc checkout`, or run `dvc repro import`",
                )
        return image, member.knowledge(self.schema).voxels(labels).learned

    def load_all(self) -> Iterator[tuple[Member, Volume, npt.NDArray[np.int16]]]:
        """Every case of which anything is known, one at a time.

        Raises `VoxledgerError` at the end where no case has said what is background: such a network would fill the
        whole image with its classes.
        """
        background = False
        for member in self.members:
            image, labels = self.load(member)
            background = background or bool((labels == 0).any())
            if (labels != self.ignore).any():
                yield member, image, labels
        if not background:
            raise VoxledgerError(
                "in every case of the cohort some class was never looked for, so nothing tells what is background",
                f"have at least one case reviewed for all classes of {layout.SCHEMA}",
            )

    @contextmanager
    def report(self) -> Iterator[Callable[[float], None]]:
        """Show the progress of the training; gets the loss of every step and shows its running mean."""
        bar, mean = progress(f"train {self.name}", self.start.iterations), 0.0

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
