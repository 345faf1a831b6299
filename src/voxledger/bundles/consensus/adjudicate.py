"""adjudicate: what readers do not agree on goes to a named person, who sees all readings; the round waits.

Every two readers have to agree, by `review.agreement`, and none may reject what others keep. What they agree on is
settled by the majority.
"""

from __future__ import annotations

from voxledger.bundles.votes import Consensus, any_pair, vote

CONSENSUS = Consensus(dispute=any_pair, draw=vote, adjudicated=True)
