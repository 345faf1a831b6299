"""nnInteractive (Isensee et al. 2025): a network that segments the object that is marked, of whatever class it is."""

from voxledger.models.backend import Backend

BACKEND = Backend(__name__, adopts=True, prompted=True)
