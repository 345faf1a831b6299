"""appearance: a class does not look in the image as it does in cases that people stand behind.

Compared are its mean intensity, and how much steeper the image is along its border than nearby: what was drawn on
another image lies across its tissues, and its border follows none of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.appearance import Scale, field_of, look_at, scale_of
from voxledger.bundles.check import Check, Severity, Surroundings, Suspicion
from voxledger.bundles.comparison import Comparison

DEVIATIONS = 5.0
"""Standard deviations over the trusted cases; 4 are still met by right labels of the hippocampus."""
LIKE = 0.8
"""Dice with the proposal from which a class is not looked at: it lies where it was."""


def find(comparison: Comparison, surroundings: Surroundings) -> Iterator[Suspicion]:
    """Revised classes that are unlike their proposal and deviate from trusted cases.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.appearance import Look
    >>> from voxledger.bundles.check import example, told
    >>> comparison = example(lambda a: a.__setitem__(..., np.roll(a, 8, axis=2)), liver="revise")
    >>> image = np.where(comparison.proposal == 1, 60.0, -1000.0)
    >>> liver = Look(12, 58.0, 12.0, 1.2, 0.1, "HU")
    >>> told(CHECK, comparison, Surroundings(lambda: image, {"liver": liver}, lambda: iter(())))[0]
    'liver: its mean intensity is -545.71, in 12 trusted cases 58.00 ± 12.00 (HU)'
    """
    scale: Scale | None = None
    for name in comparison.revised:
        known, box = surroundings.looks.get(name), comparison.box(name)
        if known is None or box is None or not comparison.after(name) or comparison.dice(name) >= LIKE:
            continue
        scale = scale_of(surroundings.image()) if scale is None else scale
        field = field_of(box, comparison.returned.shape)
        own = look_at(surroundings.image()[field], comparison.masks(name, field)[1], scale)
        for what, value, mean, deviation in (
            ("mean intensity", own.mean, known.mean, known.mean_deviation),
            ("border contrast", own.contrast, known.contrast, known.contrast_deviation),
        ):
            away = abs(value - mean) if what == "mean intensity" else mean - value
            if away > DEVIATIONS * deviation:
                problem = (
                    f"its {what} is {value:.2f}, in {known.cases} trusted cases {mean:.2f} ± {deviation:.2f} "
                    f"({known.unit})"
                )
                remedy = f"look whether {name} was drawn on the image of this case, and lies on it"
                yield Suspicion(name, problem, remedy)
                break


CHECK = Check(Severity.WARNING, find_around=find)
