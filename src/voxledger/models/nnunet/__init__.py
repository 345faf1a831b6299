"""nnU-Net (Isensee et al., Nature Methods 2021)."""
