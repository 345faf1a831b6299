"""Pictures of the report as jobs: most stay as they are from run to run, and loading what draws them takes a second."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from voxledger.casemap.job import Job, content
from voxledger.schema import LabelSchema
from voxledger.score.pictures import attention_curve, busiest_slice, side_by_side


@dataclass(frozen=True)
class Drawn:
    """A picture as PNG, and the axial slice that it shows."""

    base64: str
    slice: int = 0

    @property
    def png(self) -> bytes:
        """The bytes of the file."""
        return base64.b64decode(self.base64)


class AttentionCurve(Job[Drawn]):
    """Attention of all cases by rank."""

    stage, algorithms = "charts", ("charts",)
    attention_ml: tuple[float, ...] = content()
    above_knee: int = content()
    chosen: int = content()

    def compute(self, folder: Path) -> Drawn:
        return _drawn(attention_curve(self.attention_ml, self.above_knee, self.chosen))


class TopCase(Job[Drawn]):
    """Image, proposal and attention of a case, at the slice with most heat."""

    stage, algorithms = "charts", ("charts",)
    image: Path = content()
    proposal: Path = content()
    heat: Path = content()
    schema: LabelSchema = content()

    def compute(self, folder: Path) -> Drawn:
        from voxledger.imaging import volume

        heat, image = volume.read(self.heat), volume.read(self.image)
        labels = volume.read_label(self.proposal, image.grid)
        z = busiest_slice(heat.array)
        return _drawn(side_by_side(image.array[z], labels[z], heat.array[z], heat.grid, self.schema), z)


def _drawn(png: bytes, z: int = 0) -> Drawn:
    return Drawn(base64.b64encode(png).decode("ascii"), z)
