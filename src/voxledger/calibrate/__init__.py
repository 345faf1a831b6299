"""calibrate: the threshold that keeps a wanted lesion sensitivity."""
