"""Label maps of the dataset in the numbers of a model's outputs, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.models.model import Model
from voxledger.schema import LabelSchema


class Numbering:
    """Which class is which output of a model.

    Parameters
    ----------
    model
        Its outputs are single classes, as those of a model that was trained here.
    """

    def __init__(self, model: Model) -> None:
        self._schema: LabelSchema = model.schema
        self._outputs = 1 + len(model.classes)
        self.of = {name: number for number, name in enumerate(model.classes, 1) if name in model.schema.names}
        """Number of every class that it has an output for, by its name of today."""

    def taught(self, model: Model, names: Sequence[str]) -> list[int]:
        """Numbers of those of some classes that it was taught, in their order."""
        return [self.of[name] for name in names if name in self.of and name in model.taught]

    def numbers(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        """A label map of innermost ids in numbers; what has no output is the class around it, or background."""
        found = np.zeros(self._schema.classes[-1].id + 1, np.int16)
        for c in self._schema.classes:
            known = next((n for n in self._schema.chain(c.name) if n in self.of), None)
            found[c.id] = self.of[known] if known else 0
        numbered: npt.NDArray[np.int16] = found[labels]
        return numbered

    def ids(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The way back: innermost ids; what is no class today is background."""
        found = np.zeros(self._outputs, np.int32)
        for name, number in self.of.items():
            found[number] = self._schema[name].id
        labels: npt.NDArray[np.int32] = found[numbers]
        return labels
