"""Connected components of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def connected_components(mask: npt.NDArray[Any], connectivity: int = 26) -> tuple[npt.NDArray[Any], int]:
    """Number the components of a mask (z, y, x) from 1 in the order of their first voxel; returns how many too.

    Parameters
    ----------
    connectivity
        6, 18 or 26: voxels that share a face, an edge or a corner belong together.
    """
    import cc3d

    # cc3d 4.1 fails on some bool masks: "maximum length exception"
    binary = np.asarray(mask != 0).view(np.uint8)
    labels, count = cc3d.connected_components(binary, connectivity=connectivity, return_N=True)
    return labels, int(count)
