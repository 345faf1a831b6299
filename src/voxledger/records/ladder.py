"""What was tried for classes of which features of a network may not be enough, and what it took."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Rung(BaseModel):
    """One step: heads, an added decoder, or adapters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    voxels: int
    """Voxels that weights were trained on, iteration by iteration, and those that networks ran over once."""
    classes: tuple[str, ...]
    dice: dict[str, float] = {}
    """By class, over cases that were held out; of classes that none of these shows there is none."""


class Ladder(BaseModel):
    """The steps in their order, and the one that is kept for each class.

    CPU seconds are not in it: they differ from run to run, and files that DVC keeps must not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rungs: tuple[Rung, ...]
    kept: dict[str, str]
    """Name of the step, by class."""
    wanted: dict[str, float] = {}
    """Dice that full training reached last, on the same cases, by class; none where nothing was held out."""
    margin: float | None = None
    """How far below that a class may stay without another step; None where steps were not chosen by it."""

    @property
    def voxels(self) -> int:
        """What all steps took."""
        return sum(rung.voxels for rung in self.rungs)
