"""Where classes lie in label maps, each of which is run through once: most classes fill little of a volume."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from voxledger.imaging.boxes import Box, label_boxes, union
from voxledger.imaging.volume import Grid, empty_sha256, mask_sha256
from voxledger.schema import LabelSchema


class ClassBoxes:
    """The smallest boxes around the classes of a schema in label maps (z, y, x), which must not change meanwhile.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.check import EXAMPLE
    >>> labels = np.zeros((4, 5, 6), np.uint8)
    >>> labels[1, 2, 3:5] = 2, 3  # the lesion lies inside the pancreas
    >>> ClassBoxes(EXAMPLE).box("pancreas", labels)
    (slice(1, 2, None), slice(2, 3, None), slice(3, 5, None))
    """

    def __init__(self, schema: LabelSchema) -> None:
        self._schema = schema
        self._found: dict[int, tuple[npt.NDArray[Any], dict[int, Box]]] = {}

    def box(self, name: str, *maps: npt.NDArray[Any]) -> Box | None:
        """The box around a class, those inside it included, in all of the label maps; None where none has it."""
        return union(self._boxes(labels).get(i) for labels in maps for i in self._schema.ids_of(name))

    def mask_sha256(self, name: str, labels: npt.NDArray[Any], grid: Grid) -> str:
        """`imaging.volume.mask_sha256` of a class."""
        box = self.box(name, labels)
        return empty_sha256(grid) if box is None else mask_sha256(self._schema.mask(labels[box], name), grid, box)

    def _boxes(self, labels: npt.NDArray[Any]) -> dict[int, Box]:
        if id(labels) not in self._found:
            self._found[id(labels)] = labels, label_boxes(labels)
        return self._found[id(labels)][1]
