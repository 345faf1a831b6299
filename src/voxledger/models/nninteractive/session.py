"""nnInteractive's own session, for whole stages instead of a person at a viewer.

It keeps nothing that is there for a person: no undo, no automatic threads. Beside the mask that the session writes, the
probabilities that it was made from are kept. This module imports torch and nnInteractive at once: import it only where
a model predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from voxledger.imaging.boxes import Box, intersection, union, view, whole
from voxledger.models.nninteractive.images import Clip, clipped
from voxledger.models.nninteractive.marks import LARGE, box_of, in_one_patch
from voxledger.models.process import quiet
from voxledger.weak.prompt import Prompt

DENSE = 2**24
"""Voxels of an image above which its prompts are kept compressed."""


class Session(nnInteractiveInferenceSession):  # type: ignore[misc]
    """One image at a time, and its objects one after the other.

    Parameters
    ----------
    artifacts
        The network and what is known of it, see `network.artifacts`.
    device
        `cpu` or `cuda`.
    clip
        Bounds of the intensities, if it was trained with some.
    """

    AUTO_TENSOR_MAX_VOXELS = DENSE

    def __init__(self, artifacts: dict[str, Any], device: str, clip: Clip = None) -> None:
        with quiet():
            super().__init__(torch.device(device), torch_n_threads=torch.get_num_threads(), enable_undo=False)
            watched = _Watched(artifacts["network"].to(device).eval())
            self.initialize_from_loaded_artifacts({**artifacts, "network": watched})
        self._patch = tuple(self.configuration_manager.patch_size)
        if min(self._patch) < LARGE:
            self.MAX_AUTOZOOM_FACTOR = 1
        self._clip, self._blank = clip, True
        self.new_interaction_zoom_out_factors: list[float] = []

    def show(self, image: npt.NDArray[Any]) -> None:
        """Begin with an image: intensities (z, y, x)."""
        seen = clipped(image, self._clip)
        self._blank = seen is None
        if seen is None:
            return
        with quiet():
            self.set_image(seen[None])
            self._finish_preprocessing_and_initialize_interactions()
            self.set_target_buffer(np.zeros(image.shape, np.uint8))
        self._probability = np.zeros(image.shape, np.float32)
        self._touched: Box | None = None

    def segment(self, prompts: Sequence[Prompt]) -> tuple[Box, npt.NDArray[np.float32]] | None:
        """The object that prompts mark: a box of the image, and in it the probability (z, y, x) of every voxel.

        Prompts that lie close together are looked at together; otherwise one after the other, in their order. None
        where there is nothing to see: the image is the same everywhere, or there is no prompt.
        """
        if self._blank or not prompts:
            return None
        with quiet():
            self._forget()
            together = in_one_patch(prompts, self._patch)
            for prompt in prompts:
                self._add(prompt, run=together is None)
            if together is not None:
                self.new_interaction_centers = [list(together)]
                self.new_interaction_zoom_out_factors = self.new_interaction_zoom_out_factors[-1:]
                self._predict()
        return None if self._touched is None else (self._touched, self._probability[self._touched].copy())

    def _forget(self) -> None:
        self.reset_interactions()
        self.new_interaction_centers, self.new_interaction_zoom_out_factors = [], []
        if self._touched is not None:
            self._probability[self._touched] = 0
            self.target_buffer[self._touched] = 0
        self._touched = None

    def _add(self, prompt: Prompt, run: bool) -> None:
        bounds = [[s.start, s.stop] for s in box_of(prompt)]
        mask = prompt.mask.astype(np.uint8)
        match prompt.kind:
            case "point":
                self.add_point_interaction(prompt.start, prompt.positive, run)
            case "box":
                self.add_bbox_interaction(bounds, prompt.positive, run)
            case "lasso":
                self.add_lasso_interaction(mask, prompt.positive, run, interaction_bbox=bounds)
            case "guess":
                before = np.zeros(self._probability.shape, np.uint8)
                before[box_of(prompt)] = mask
                self.add_initial_seg_interaction(before)
            case "scribble":
                self.add_scribble_interaction(mask, prompt.positive, run, interaction_bbox=bounds)

    def _refine_coarse(self, bboxes_ordered: Any, coarse_pred: Any, coarse_bbox: Any) -> None:
        # From here on the network is called once for every box, and what it says is pasted in the same order.
        self.network.seen.clear()
        super()._refine_coarse(bboxes_ordered, coarse_pred, coarse_bbox)

    def _paste_prediction_to_target_buffer(self, prediction: Any, bbox: Any, record_undo: bool = True) -> None:
        super()._paste_prediction_to_target_buffer(prediction, bbox, record_undo)
        probability = self.network.seen.pop(0)
        z, y, x = (slice(*side) for side in bbox)
        inside = intersection((z, y, x), whole(self._probability.shape))
        if inside is not None:
            self._probability[inside] = view(probability, (z, y, x), inside)
            self._touched = union([self._touched, inside])


class _Watched(torch.nn.Module):  # type: ignore[misc]
    """A network that keeps the probability of the object (z, y, x) of every patch that it was asked about."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.seen: list[npt.NDArray[np.float32]] = []

    def forward(self, patches: Any) -> Any:
        """Logits (batch, output, z, y, x)."""
        logits = self.network(patches)
        self.seen.append(logits[0].float().softmax(0)[1].cpu().numpy())
        return logits
