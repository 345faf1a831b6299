"""nnU-Net's fingerprint of a cohort: spacings, shapes and intensities, which its planner reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxledger.errors import VoxledgerError
from voxledger.models.training import Training

VOXELS = {"nnunet": 100_000_000, "small": 2_000_000}
"""Foreground intensities drawn, by recipe, for the percentiles that normalise CT: nnU-Net's 10^8 need gigabytes and
change them by a hundredth of a standard deviation."""


def fingerprint(training: Training) -> dict[str, Any]:
    """What nnU-Net's fingerprint extractor gathers; ignored voxels are no foreground."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    spacings, shapes, sizes, intensities = [], [], [], []
    for _, image, labels in training.load_all():
        known = np.where(labels == training.ignore, 0, labels)
        data, seg, _ = crop_to_nonzero(image.array[None].astype(np.float32), known[None])
        drawn, _ = DatasetFingerprintExtractor.collect_foreground_intensities(
            seg, data, num_samples=VOXELS[training.model.recipe] // len(training.cases)
        )
        intensities.extend(drawn)
        spacings.append(list(image.grid.spacing))
        shapes.append(list(data.shape[1:]))
        sizes.append(data[0].size / image.array.size)
    foreground = np.concatenate(intensities)
    if foreground.size == 0:
        raise VoxledgerError("the cohort holds no voxel of any class", "review cases in which the classes are seen")
    low, median, high = np.percentile(foreground, (0.5, 50.0, 99.5))
    precision = np.float64 if training.model.recipe == "small" else None  # nnU-Net's own is that of the intensities
    return {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": float(np.median(sizes)),
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": float(np.mean(foreground, dtype=precision)),
                "median": float(median),
                "std": float(np.std(foreground, dtype=precision)),
                "min": float(foreground.min()),
                "max": float(foreground.max()),
                "percentile_99_5": float(high),
                "percentile_00_5": float(low),
            }
        },
    }
