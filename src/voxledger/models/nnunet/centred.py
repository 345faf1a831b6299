"""nnU-Net's preprocessed cases with what patches are centred on: classes, the background, and single lesions.

This module imports nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from voxledger.models.centres import Voxels, centres, chances, lesions


class CentredDataset(nnUNetDatasetBlosc2):  # type: ignore[misc]
    """Cases as nnU-Net reads them, and each once more for every lesion of it, then centred on that lesion alone.

    Patches of a case are centred on a class or the background, each as often as the next.
    """

    def centre(self, lesion_numbers: list[int], share: float, seed: int) -> npt.NDArray[np.float64]:
        """Look where patches may be centred; returns how often each of `identifiers` is to be drawn.

        Parameters
        ----------
        lesion_numbers
            Labels of lesion classes.
        share
            Of the patches, that are centred on a lesion.
        """
        rng = np.random.default_rng(seed)
        cases, found = self.get_identifiers(self.source_folder), list[Voxels]()
        cases.sort()
        self._places: dict[str, tuple[str, dict[int, Voxels]]] = {}
        for case in cases:
            _, seg, _, properties = super().load_case(case)
            labels = np.asarray(seg[0])
            known = [int(n) for n in properties["class_locations"] if not isinstance(n, tuple)]
            self._places[case] = case, centres(labels, [0, *known], rng)
            for number, voxels in enumerate(lesions(labels, lesion_numbers) if share else []):
                self._places[f"{case}, lesion {number}"] = case, {0: voxels}
                found.append(voxels)
        self.identifiers = list(self._places)
        chance = dict.fromkeys(cases, (1 - share if found else 1.0) / len(cases))
        of_lesions = iter(share * chances(found))
        return np.array([chance[i] if i in chance else next(of_lesions) for i in self.identifiers])

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Image, labels, labels of a stage before, and properties, whose places are what patches are centred on."""
        case, places = self._places[identifier]
        data, seg, before, properties = super().load_case(case)
        # nnU-Net's places are voxels with the channel in front.
        located = {number: np.insert(voxels, 0, 0, axis=1) for number, voxels in places.items()}
        return data, seg, before, {**properties, "class_locations": located}
