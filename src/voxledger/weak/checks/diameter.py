"""diameter: in its slice, the object is as long as somebody measured.

Measured: longest diameter of the pieces of the slice that the line touches, as a share of the given one; both between
outer edges of voxels.
"""

from __future__ import annotations

import numpy as np

from voxledger.imaging.components import connected_components
from voxledger.weak.check import Marked, WeakCheck
from voxledger.weak.diameter import longest, outer_length


def measure(marked: Marked) -> float:
    """Share of the given diameter; 0 where the line touches nothing.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, predicted
    >>> weak = measured_at("recist", (2, 4, 2), (2, 4, 5))
    >>> measure(predicted(weak, (slice(1, 4), 4, slice(1, 7))))
    1.5
    """
    plane, spacing = marked.in_plane(marked.mask)
    told, _ = marked.in_plane(marked.prompted)
    labels, _ = connected_components(plane[None])
    hit = np.unique(labels[0][told])
    touched = np.isin(labels[0], hit[hit > 0])
    if not touched.any():
        return 0.0
    given = outer_length(marked.weak.points[0, 1:], marked.weak.points[1, 1:], spacing)
    return longest(touched, spacing)[1] / given


CHECK = WeakCheck(measure, low=0.7, high=1.3, kinds=("recist",))
