"""majority: a voxel is of a class if more than half of the readers who keep the class say so.

Two readers have a majority only where they agree; where they do not, a tie is a disagreement: ties that leave the mask
open by more than `review.agreement` keep the class out of the release. Within that bound, tied voxels are those that
somebody drew rather than accepted, and otherwise as they were proposed.

Examples
--------
>>> import numpy as np
>>> from voxledger.bundles.votes import Votes
>>> a, b, c = np.array([[[1, 1, 0]], [[1, 0, 1]], [[1, 0, 0]]], bool)
>>> CONSENSUS.draw(Votes(3, 0, (a, b, c), (True, True, True), a)).tolist()
[[True, False, False]]
>>> CONSENSUS.dispute(Votes(2, 0, (a, b), (True, True), a), 0.9)
'ties leave the mask open: Dice 0.500 of the least and the most'
"""

from __future__ import annotations

from voxledger.bundles.votes import Consensus, open_ties, vote

CONSENSUS = Consensus(dispute=open_ties, draw=vote)
