"""Models that exist only as their predictions: label maps or soft predictions made elsewhere."""

from voxledger.models.backend import Backend

BACKEND = Backend(__name__, made_elsewhere=True)
