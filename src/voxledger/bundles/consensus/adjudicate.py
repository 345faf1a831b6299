"""adjudicate: what readers do not agree on goes to a named person, who sees all readings; the round waits.

Every two readers have to agree, by `review.agreement`, and none may reject what others keep. What they agree on is
settled by the majority.

Examples
--------
>>> import numpy as np
>>> from voxledger.bundles.votes import Votes
>>> a, b = np.array([[[1, 1, 0]], [[1, 0, 0]]], bool)
>>> CONSENSUS.dispute(Votes(3, 0, (a, a, b), (True, True, True), a), 0.9)
'Dice of two readers is 0.667'
"""

from __future__ import annotations

from voxledger.bundles.votes import Consensus, any_pair, vote

CONSENSUS = Consensus(dispute=any_pair, draw=vote, adjudicated=True)
