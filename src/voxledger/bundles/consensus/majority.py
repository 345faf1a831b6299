"""majority: a voxel is of a class if more than half of the readers who keep the class say so.

Two readers have a majority only where they agree; where they do not, a tie is a disagreement: ties that leave the mask
open by more than `review.agreement` keep the class out of the release. Within that bound, tied voxels are those that
somebody drew rather than accepted, and otherwise as they were proposed.
"""

from __future__ import annotations

from voxledger.bundles.votes import Consensus, open_ties, vote

CONSENSUS = Consensus(dispute=open_ties, draw=vote)
