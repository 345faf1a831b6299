"""Models that exist only as their predictions: label maps or soft predictions made elsewhere."""
