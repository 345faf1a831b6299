"""What is decided before training: the same as for every network of MONAI."""

from voxledger.models.monai.plan import plan

__all__ = ["plan"]
